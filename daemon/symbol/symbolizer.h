/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Native addresses to source frames, by a helper process without privileges
 * (tracemallocd-symbolizer, proto/symbol.proto), because it parses files that
 * users control. This is the daemon's side: it starts the helper when there is
 * work, ends it when it is silent for too long, and starts another.
 *
 * A helper serves one uid; another uid gets a fresh one. So a file that takes
 * the helper over can lie to its owner only. For the same reason keep what is
 * resolved apart by uid (the sets given here): the build id of a file is
 * whatever its owner wrote into it.
 *
 * Any thread that may block (the thread pool); calls share the one helper and
 * take turns, request by request, users in turn (symbol_turn.h).
 */

#include "daemon/live/snapshot.h"
#include "daemon/symbol/module_files.h"
#include "daemon/symbol/symbol_set.h"

#include <stddef.h>
#include <stdint.h>

#define SYMBOLIZER_E_TIMEOUT 1 /* the caller's deadline passed; what was resolved until then is in the set */

#define SYMBOLIZER_NO_DEADLINE INT64_MAX

struct symbolizer;

struct symbolizer_config {
        const char *helper_path;      /* of tracemallocd-symbolizer */
        const char *debug_root;       /* separate debug files; NULL: /usr/lib/debug */
        const char *debuginfod_urls;  /* NULL or "": debuginfod is not asked */
        const char *debuginfod_cache; /* folder the helper may write to; NULL: debuginfod's default */
        uint32_t request_timeout_ms;  /* a helper that is silent for longer is ended; 0: 60 s, 120 s with debuginfod */
};

/** symbolizer_new() - start nothing yet
 * @config: copied, strings too
 * @files: borrowed until symbolizer_free(); NULL: files are opened by path only
 * Return: 0; -ENOMEM. */
int symbolizer_new(const struct symbolizer_config *config, struct module_files *files, struct symbolizer **symbolizerp);

/** symbolizer_free() - end the helper; no call may be under way; NULL is fine. Return: NULL. */
struct symbolizer *symbolizer_free(struct symbolizer *symbolizer);

/** symbolizer_cancel() - the daemon leaves: end the request that is under way, and refuse others; any thread */
void symbolizer_cancel(struct symbolizer *symbolizer);

/** symbolizer_resolve() - resolve locations of one module
 * @uid: whose process mapped the file
 * @module: index in @set, from symbol_set_module(); its path and build id say which file
 * @offsets: [n] return addresses less load bias, as struct snapshot_location.offset, in any order; the call looked up
 *      is at offset - 1
 * @set: borrowed; gets each location and what was found out about the module. A file that cannot be read, or that
 *      ended two helpers, is a problem of the module in @set, and its locations have no frames.
 * @deadline_ns: CLOCK_MONOTONIC; looked at between requests, so the return may be one request timeout later
 * Return: 0; SYMBOLIZER_E_TIMEOUT; -ECANCELED: symbolizer_cancel(); -errno: no helper could be started, or no memory
 *      (a part may be in @set). */
int symbolizer_resolve(struct symbolizer *symbolizer, uint32_t uid, uint32_t module, const uint64_t *offsets, size_t n,
                       struct symbol_set *set, int64_t deadline_ns);

/** symbolizer_resolve_snapshot() - resolve the native locations of a snapshot that a set lacks
 * @snapshot: its info.uid says whose files they are
 * @known: borrowed; gets what was missing. "[vdso]" and the like are answered without a look at any file;
 *      locations in no module are passed over.
 * @deadline_ns: as above
 * Return: as symbolizer_resolve(). */
int symbolizer_resolve_snapshot(struct symbolizer *symbolizer, const struct snapshot *snapshot,
                                struct symbol_set *known, int64_t deadline_ns);
