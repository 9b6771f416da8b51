/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages on a byte stream: a length (u32, little-endian), then that many
 * bytes (proto/agent.proto, FRAMING). A frame_buffer collects what a socket
 * gave and yields whole messages; its memory never exceeds the message limit
 * plus one read.
 */

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES 4
#define FRAME_MAX_AGENT    (UINT32_C(1) << 20)  /* proto/agent.proto */
#define FRAME_MAX_CONTROL  (UINT32_C(16) << 20) /* proto/control.proto */
#define FRAME_E_TOO_LONG   1

struct frame_buffer {
        uint8_t *bytes;
        size_t used, size, consumed;
        uint32_t frame_max;
};

/** frame_buffer_init() - @frame_max: longest message that is taken; allocates nothing yet */
void frame_buffer_init(struct frame_buffer *b, uint32_t frame_max);
void frame_buffer_deinit(struct frame_buffer *b);

/** frame_buffer_space() - room to read into
 * @spacep, @sizep: at least 4 KiB, valid until the next call
 * Return: 0; -ENOMEM (buffer unchanged). */
int frame_buffer_space(struct frame_buffer *b, uint8_t **spacep, size_t *sizep);

/** frame_buffer_commit() - @n bytes of that room are filled */
void frame_buffer_commit(struct frame_buffer *b, size_t n);

/** frame_buffer_next() - take the next whole message
 * @payloadp: borrowed from the buffer until frame_buffer_space(); NULL when there is no whole message yet
 * Return: 0; FRAME_E_TOO_LONG: the peer announced more than frame_max; give it up. */
int frame_buffer_next(struct frame_buffer *b, const uint8_t **payloadp, size_t *lengthp);

/** frame_header() - write the length of a message that follows */
static inline void frame_header(uint8_t header[FRAME_HEADER_BYTES], uint32_t length) {
        for (int i = 0; i < FRAME_HEADER_BYTES; i++)
                header[i] = (uint8_t)(length >> 8 * i);
}
