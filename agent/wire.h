/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Framed messages on agent.sock, on a non-blocking socket, each step bounded by
 * a deadline of CLOCK_MONOTONIC. No allocation, no SIGPIPE, errno untouched.
 */

#include "proto/agent.pb-c.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_FDS_MAX     32
#define WIRE_MESSAGE_MAX (UINT32_C(1) << 20) /* proto/agent.proto: FRAMING */

/** wire_connect() - a connected descriptor, close-on-exec and non-blocking
 * Return: descriptor; -errno (nobody listens, path too long, backlog full until @deadline_ns). */
int wire_connect(const char *path, uint64_t deadline_ns);

/** wire_send_all() - send bytes; descriptors go with the first of them
 * @fds: [n_fds] at most WIRE_FDS_MAX, borrowed
 * Return: 0; -ETIMEDOUT (part of it may have gone out: the connection is of no use any more); -errno. */
int wire_send_all(int fd, const void *bytes, size_t length, const int *fds, unsigned n_fds, uint64_t deadline_ns);

/** wire_send() - frame and send one message
 * @buffer: [size] for the packed message. Return: as above; -EMSGSIZE where it does not fit. */
int wire_send(int fd, const Tracemallocd__Agent__AgentMessage *message, uint8_t *buffer, size_t size, const int *fds,
              unsigned n_fds, uint64_t deadline_ns);

/** wire_receive() - receive one whole message
 * @buffer: [size]; *lengthp: bytes of the message; @fds: [2] set, -1 where none came, the caller's
 * Return: 0; -ETIMEDOUT; -ECONNRESET at the end of the stream; -EMSGSIZE; -errno. Descriptors are closed on failure. */
int wire_receive(int fd, uint8_t *buffer, size_t size, size_t *lengthp, int fds[2], uint64_t deadline_ns);

/* Memory for unpacking a message: handed out once, never given back. */
struct wire_arena {
        ProtobufCAllocator allocator;
        size_t used, size;
        uint8_t *memory;
};

/** wire_arena_init() - @memory: [size], aligned to 8, borrowed */
void wire_arena_init(struct wire_arena *arena, void *memory, size_t size);
