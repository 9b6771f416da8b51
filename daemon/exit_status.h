/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a process ended, as far as one that isn't its parent can know. */

#include <stdbool.h>
#include <sys/types.h>

/** exit_status_describe() - in a user's words
 * @pidfd: of the process, readable (it is dead)
 * @agent_saw: whether the agent recorded an exit; @agent_status: with what status
 * The kernel's word comes first (a zombie's stat, or PIDFD_GET_INFO since Linux 6.15), then the agent's.
 * Return: malloc'd "exit 0", "signal 9" or "killed" (by a signal, nobody says which); NULL: no memory. */
char *exit_status_describe(int pidfd, pid_t pid, bool agent_saw, int agent_status);

/** exit_status_is_kill() - whether the kernel says that it was SIGKILL; false where it says nothing
 * @pidfd: of the process, readable */
bool exit_status_is_kill(int pidfd, pid_t pid);
