/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which living processes a client means. Main loop. */

#include <stddef.h>

#include "daemon/base/credentials.h"
#include "proto/control.pb-c.h"

struct daemon;
struct process;

enum {
        SELECTOR_E_NOT_FOUND = 3, /* also: the values are those of Error.Code */
        SELECTOR_E_DENIED = 5,
};

struct selection {
        struct process **processes; /* oldest first; owned array, borrowed processes */
        size_t n_processes;
        uint32_t missing_pid; /* with SELECTOR_E_NOT_FOUND: the pid that was asked for, 0: none of the names fits */
        char message[256];    /* with outcomes: one line */
};

/** selection_make() - find them
 * @everything: an empty selector means every process that @who may see (else it selects nothing)
 * A pid must exist, be traced and be permitted; names and units select among those that @who may see, at least one.
 * Return: 0 (free with selection_deinit()); SELECTOR_E_*; -ENOMEM. */
int selection_make(struct daemon *d, const struct credentials *who,
                   const Tracemallocd__Control__ProcessSelector *selector, bool everything, struct selection *s);

void selection_deinit(struct selection *s);

/** selector_unit_matches() - "redis" and "redis.service" mean the same unit */
bool selector_unit_matches(const char *unit, const char *wanted);
