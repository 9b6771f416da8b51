/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Execs that lead out of tracing. An agent says that an exec is about to come; whether the next program has an agent
 * shows when it greets. Here it is seen that the exec has happened, and an image whose successor does not greet soon is
 * ended. A successor that greets after all is the next image of the same process. Main loop.
 */

#include "daemon/base/proc.h"

#include <stdint.h>

struct daemon;
struct exec_watch;
struct process;

/** exec_watch_new() - one for the daemon. Return: 0; -errno. */
int exec_watch_new(struct daemon *daemon, struct exec_watch **watchp);

/** exec_watch_free() - before the loop ends; nobody is watched any more. Return: NULL. */
struct exec_watch *exec_watch_free(struct exec_watch *watch);

/** exec_watch_begin() - an exec of a process is about to come */
void exec_watch_begin(struct process *process);

/** exec_watch_adopt() - execs that the daemon before had heard of; the successor has as much time again
 * @n_execs: under way */
void exec_watch_adopt(struct process *process, uint32_t n_execs);

/** exec_watch_back() - it failed */
void exec_watch_back(struct process *process);

/** exec_watch_sweep() - look after execs that take long, forget who is dead; call it every few seconds */
void exec_watch_sweep(struct exec_watch *watch);

/** exec_watch_take() - a process greets: what it was before an exec for which its image was ended
 * Return: the number of that image, forgotten from then on; 0: there was none. */
uint32_t exec_watch_take(struct exec_watch *watch, const struct proc_info *proc);
