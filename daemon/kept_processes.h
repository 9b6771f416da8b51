/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Traced processes from one daemon to the next, through systemd's store of descriptors. For each there are
 * four: ID.ring, ID.definitions, ID.control and ID.table; and one doorbell for each worker. Main loop.
 */

#include <stdint.h>

struct daemon;
struct process;

/** kept_doorbell() - the doorbell of a worker that an earlier daemon had. Return: the caller's; -1: none. */
int kept_doorbell(struct daemon *d, unsigned worker);

/** kept_doorbell_put() - store one */
void kept_doorbell_put(struct daemon *d, unsigned worker, int fd);

/** kept_processes_adopt() - go on with all that is in the store; what can't be gone on with greets anew
 * Called once, with all workers there and before the sockets are served. */
void kept_processes_adopt(struct daemon *d);

/** kept_process_put() - store the descriptors of a process that has just greeted, and wait until they are */
void kept_process_put(struct process *p);

/** kept_process_update() - who it is has changed (how it ended) */
void kept_process_update(struct process *p);

/** kept_process_remove() - nobody will want it any more */
void kept_process_remove(struct process *p);
