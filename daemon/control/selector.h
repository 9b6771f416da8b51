/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which living processes a client means. Main loop. */

#include "daemon/base/credentials.h"
#include "daemon/control/untraced_pid.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct process;

/* Of pids, names and units together, as a message has them. Each process is held against each of them on the main loop:
 * a million names took 1.2 s with one process. */
#define SELECTOR_BYTES_MAX (UINT32_C(64) << 10)

#define SELECTOR_MESSAGE_TOO_LONG "too many processes: their pids, names and units have 64 KiB at most; select by name"

/* The values are those of Error.Code. */
enum selector_outcome {
        SELECTOR_E_USAGE = 2,
        SELECTOR_E_NOT_FOUND = 3,
        SELECTOR_E_DENIED = 5,
};

struct selection {
        struct process **processes; /* oldest first; owned array, borrowed processes */
        size_t n_processes;
        uint32_t missing_pid; /* with SELECTOR_E_NOT_FOUND: the pid that was asked for, 0: none of the names fits */
        char message[UNTRACED_PID_MESSAGE_BYTES]; /* with outcomes: one line */
};

/** selection_make() - find them
 * @everything: an empty selector means every process that @who may see (else it selects nothing)
 * A pid must exist, be traced and be permitted; names and units select among those that @who may see, at least one.
 * Return: 0 (free with selection_deinit()); SELECTOR_E_*; -ENOMEM. */
int selection_make(struct daemon *d, const struct credentials *who,
                   const Tracemallocd__Control__ProcessSelector *selector, bool everything, struct selection *s);

/** selection_deinit() - free what selection_make() found */
void selection_deinit(struct selection *s);

/** selector_fits() - whether it is one that a command line can be, SELECTOR_BYTES_MAX; NULL is
 * selection_make() asks this itself. */
bool selector_fits(const Tracemallocd__Control__ProcessSelector *selector);

/** selector_matches() - whether it names this process, whatever its state */
bool selector_matches(const Tracemallocd__Control__ProcessSelector *selector, const struct process *p);

/** selector_texts() - names or units as C strings, a NULL behind the last
 * Return: free with selector_texts_free(); NULL: no memory. */
char **selector_texts(const ProtobufCBinaryData *texts, size_t n);
void selector_texts_free(char **texts);
