/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the agent of a process hooks, and what it can't and why, as it says itself. Main loop. */

#include "proto/agent.pb-c.h"

struct process;

/** process_set_layers() - what a greeting says, the first one or a later one; a new note is logged
 * Return: 0; -ENOMEM, then it is as it was. */
int process_set_layers(struct process *p, const Tracemallocd__Agent__Hello *hello);

/** process_free_layers() - at the end of a process */
void process_free_layers(struct process *p);
