/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of struct process share. Main loop. */

struct process;
struct snapshot_info;

/** process_link() - make it one of the daemon's */
void process_link(struct process *p);

/** process_close() - unlink it, free it when its feed has been closed */
void process_close(struct process *p);

/** process_watch() - open its pidfd and look out for its end. Return: 0; -errno. */
int process_watch(struct process *p);

/** process_info() - who it is, for its snapshots. Return: strings are borrowed. */
struct snapshot_info process_info(const struct process *p);
