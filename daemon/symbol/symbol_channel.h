/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two ends of the socket between tracemallocd and its symbol helper: whole
 * messages, framed as proto/symbol.proto says, a descriptor with them. Blocking,
 * with a deadline. One thread at a time.
 */

#include "daemon/base/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOL_CHANNEL_FRAME_MAX   (UINT32_C(16) << 20) /* proto/symbol.proto */
#define SYMBOL_CHANNEL_NO_DEADLINE INT64_MAX

enum {
        SYMBOL_CHANNEL_E_END = 1,     /* the other end closed */
        SYMBOL_CHANNEL_E_TIMEOUT = 2, /* the deadline passed */
        SYMBOL_CHANNEL_E_GARBAGE = 3, /* longer than a message may be */
};

struct symbol_channel {
        int fd;
        bool takes_fds;  /* descriptors from the other end are received; else the kernel drops them */
        int received_fd; /* what came with the bytes read so far; -1 none */
        struct frame_buffer in;
};

/** symbol_channel_init() - @fd: borrowed, a Unix stream socket */
void symbol_channel_init(struct symbol_channel *channel, int fd, bool takes_fds);

/** symbol_channel_deinit() - free buffers, close a descriptor that nobody took; not the socket */
void symbol_channel_deinit(struct symbol_channel *channel);

/** symbol_channel_send() - one message
 * @message: [length] with FRAME_HEADER_BYTES of room in front: the header is written there
 * @fd: goes along, stays the caller's; -1 none
 * @deadline_ns: CLOCK_MONOTONIC
 * Return: 0; SYMBOL_CHANNEL_E_END, _E_TIMEOUT; -errno. After anything but 0 the channel is good for nothing. */
int symbol_channel_send(struct symbol_channel *channel, uint8_t *message, size_t length, int fd, int64_t deadline_ns);

/** symbol_channel_receive() - the next message
 * @payloadp: borrowed until the next call
 * @fdp: the caller closes it; -1 where none came; NULL where the channel takes none
 * Return: 0; any of the three outcomes; -errno. After anything but 0 the channel is good for nothing. */
int symbol_channel_receive(struct symbol_channel *channel, const uint8_t **payloadp, size_t *lengthp, int *fdp,
                           int64_t deadline_ns);
