/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A listening Unix stream socket on a libuv loop. Hands out raw descriptors, not
 * uv streams, because agents send descriptors of kinds that libuv's pipes refuse (memfds).
 */

#include <uv.h>

#include <stdbool.h>

struct listener;

/** listener_accept_cb - a peer connected
 * @fd: its socket, non-blocking, close-on-exec; taken by the callback */
typedef void (*listener_accept_cb)(void *user, int fd);

/** listener_bind() - make a listening socket at @path, replacing a stale one
 * The caller holds the lock of the runtime directory, so that a socket found there belongs to nobody.
 * @mode: permissions of the socket file
 * Return: the descriptor; -ENAMETOOLONG: path over 107 bytes; other -errno. */
int listener_bind(const char *path, unsigned mode);

/** listener_open() - begin to accept
 * @fd: a listening socket (from listener_bind() or systemd), taken
 * Return: 0; -errno. */
int listener_open(uv_loop_t *loop, int fd, listener_accept_cb accept_cb, void *user, struct listener **listenerp);

/** listener_close() - stop; frees @l in its close callback. NULL is fine. */
void listener_close(struct listener *l);
