/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* agent.sock: from connections to processes. Main loop. */

struct agents;
struct daemon;

/** agents_open() - serve a listening socket
 * @fd: taken. Return: 0; -errno. */
int agents_open(struct daemon *d, int fd, struct agents **agentsp);

/** agents_close() - accept no more, hang up; frees @a after the last peer */
void agents_close(struct agents *a);

/** agents_peer_count() - open connections */
unsigned agents_peer_count(const struct agents *a);
