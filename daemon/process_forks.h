/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Forks whose children have not greeted: their parent's table, as it was then, waits for them. The child may greet as
 * itself or as what it becomes by exec, or never. Main loop.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon;
struct process;

/* One of them. */
struct process_fork {
        uint32_t token;
        pid_t pid;
        uint64_t start_ticks;
};

/** process_forks_note() - FORK_DONE was read
 * @pid: as the parent sees it; 0: the fork failed. A child that is gone already is let go of at once. */
void process_forks_note(struct process *p, uint32_t token, pid_t pid);

/** process_forks_settle() - a child greeted, as itself or after an exec: its parent's table is claimed or not wanted
 * @claimed_token: of the table that it claims; 0: none */
void process_forks_settle(struct daemon *d, pid_t pid, uint32_t claimed_token);

/** process_forks_sweep() - drop those whose children are gone */
void process_forks_sweep(struct process *p);
