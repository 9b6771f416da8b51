/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* control.sock: clients and their requests. Main loop. */

#include <stddef.h>
#include <sys/types.h>

struct control_server;
struct daemon;

/** control_server_open() - serve a listening socket
 * @fd: taken. Return: 0; -errno. */
int control_server_open(struct daemon *d, int fd, struct control_server **serverp);

/** control_server_close() - accept no more, hang up, drop requests that have not begun; frees @s, and sets
 * daemon->control to NULL, after the last request that is under way */
void control_server_close(struct control_server *s);

/** control_server_peer_count() - open connections */
unsigned control_server_peer_count(const struct control_server *s);

/** control_server_unread() - bytes of answers that the clients of a user have not read yet. O(connections). */
size_t control_server_unread(const struct control_server *s, uid_t uid);

/** control_server_charge_uploads() - one more connection of @uid holds files (daemon/control/uploads.h)
 * Return: 0; above 0: that user has as many as may be; -ENOMEM. */
int control_server_charge_uploads(struct control_server *s, uid_t uid);
void control_server_release_uploads(struct control_server *s, uid_t uid);
