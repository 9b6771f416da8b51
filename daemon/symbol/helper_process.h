/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One running tracemallocd-symbolizer, seen from the daemon. Started from any
 * thread of a threaded program (posix_spawn); one thread at a time uses it.
 */

#include "proto/symbol.pb-c.h"

#include <stddef.h>
#include <stdint.h>

struct helper_process;

struct helper_process_config {
        const char *path;
        const char *debug_root;       /* NULL: /usr/lib/debug */
        const char *debuginfod_urls;  /* NULL or "": none */
        const char *debuginfod_cache; /* NULL: debuginfod's default */
};

/* Whatever it is, the helper is good for nothing afterwards. */
enum {
        HELPER_E_DIED = 1,    /* it ended, or said something that no helper says */
        HELPER_E_TIMEOUT = 2, /* it said nothing in time */
};

/** helper_process_start() - start one and wait until it answers
 * Its environment is empty but for debuginfod's variables, so it is not traced.
 * Return: 0; -errno: it cannot be started; -EIO: it started and did not answer. */
int helper_process_start(const struct helper_process_config *config, struct helper_process **helperp);

/** helper_process_end() - kill it, reap it; NULL is fine. Return: NULL. */
struct helper_process *helper_process_end(struct helper_process *helper);

/** helper_process_interrupt() - end the request that is under way, by HELPER_E_DIED; from another thread */
void helper_process_interrupt(struct helper_process *helper);

/** helper_process_ask() - one request, one answer
 * @fd: goes along, stays the caller's; -1 none
 * @answerp: free with symbol_answer_free()
 * Return: 0; HELPER_E_*; -errno (-ENOMEM). */
int helper_process_ask(struct helper_process *helper, const Tracemallocd__Symbol__Resolve *request, int fd,
                       uint32_t timeout_ms, Tracemallocd__Symbol__Resolved **answerp);
