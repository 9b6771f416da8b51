/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Peers that were dropped: counted, and told in the log. A user who is dropped over and over for the same reason gets a
 * line every few seconds, which says how many there were, so that nobody can fill the log. Main loop. All zero is
 * empty.
 */

#include "daemon/base/credentials.h"

#include <stdbool.h>
#include <stdint.h>

#define DROPS_TOLD_MS  5000 /* between two lines about one user and one reason */
#define DROPS_KIND_MAX 64   /* users and reasons that are told apart; the one told longest ago makes room */

struct drops_kind {
        const char *reason; /* NULL: unused */
        uid_t uid;
        const char *what;
        uint64_t told_at_ms;
        uint64_t n_untold;
};

struct drops {
        uint64_t n; /* ever */
        struct drops_kind kinds[DROPS_KIND_MAX];
};

/** drops_add() - count one, say so unless the same was said a moment ago
 * @now_ms: uv_now(); @what: "agent", "client"; @reason: both static
 * Return: whether a line was written. */
bool drops_add(struct drops *drops, uint64_t now_ms, const char *what, const struct credentials *who,
               const char *reason);

/** drops_count() - count one whose line the caller writes, if any. Return: whether to. Otherwise as drops_add(). */
bool drops_count(struct drops *drops, uint64_t now_ms, const char *what, uid_t uid, const char *reason);

/** drops_tell() - say what was counted and not said, where it is time; call it every few seconds
 * Return: how many the lines spoke of. */
uint64_t drops_tell(struct drops *drops, uint64_t now_ms);
