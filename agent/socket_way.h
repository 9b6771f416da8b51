/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The socket way: the same writers into a ring in private memory, which one
 * thread at a time (whoever just recorded something) empties into Definitions and EventBatch
 * messages. Nobody waits for the thread that sends, but for room.
 */

#include "agent/epoch.h"
#include "agent/sys.h"
#include "agent/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define SOCKET_WAY_SEND_BYTES        (32 * 1024)       /* this much is sent at once, */
#define SOCKET_WAY_SEND_NS           UINT64_C(1000000) /* less when the last send is this long ago */
#define SOCKET_WAY_STALL_US          2000000           /* longest wait of a writer for the daemon */
#define SOCKET_WAY_BATCH_BYTES       (128 * 1024)
#define SOCKET_WAY_NODES_PER_MESSAGE 4096

struct socket_way {
        struct epoch *epoch;
        int fd;
        uint64_t device, inode; /* of the socket: a program may close our number and take it for its own */
        _Atomic uint32_t busy;
        _Atomic uint32_t broken; /* the connection is gone */
        _Atomic uint32_t ending; /* EXIT was recorded: what handlers still do is sent at once */
        _Atomic uint64_t sent;   /* position up to which records went out */
        _Atomic uint64_t sent_at_ns;
        uint64_t acknowledged, window;
        uint32_t nodes_sent;
        uint64_t items_sent;
        uint32_t received; /* bytes of a message from the daemon that is not complete yet */
        uint8_t incoming[512];
        uint8_t batch[SOCKET_WAY_BATCH_BYTES]; /* records */
        uint8_t message[SOCKET_WAY_BATCH_BYTES + 4096];
};

/** socket_way_new() - for an epoch with private memory; sets epoch->socket
 * Return: 0; -ENOMEM. */
int socket_way_new(struct epoch *epoch);

/** socket_way_open() - after the handshake
 * @fd: taken, moved to the top of the descriptor table; @window: of the reply, 0 for no bound */
void socket_way_open(struct socket_way *way, int fd, uint64_t window);

/** socket_way_due() - whether a writer that just recorded should drain */
bool socket_way_due(const struct socket_way *way);

/** socket_way_drain() - send what is complete; waits for the daemon at most until @deadline_ns
 * Marks the way broken where the daemon is gone or takes no message to its end.
 * Return: whether anything was sent; false also where another thread is at it. */
bool socket_way_drain(struct socket_way *way, uint64_t deadline_ns);

/** socket_way_poll() - look for messages of the daemon; while nothing is recorded */
void socket_way_poll(struct socket_way *way);

/** socket_way_close() - close the descriptor if it still is ours */
void socket_way_close(struct socket_way *way);
