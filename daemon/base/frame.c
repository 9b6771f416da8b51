/* SPDX-License-Identifier: Apache-2.0 */

/* Cutting a byte stream into messages. Main loop; used by agent peers, control peers and the symbol helper. */

#include "daemon/base/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MIN 4096

void frame_buffer_init(struct frame_buffer *b, uint32_t frame_max) {
        *b = (struct frame_buffer){.frame_max = frame_max};
}

void frame_buffer_deinit(struct frame_buffer *b) {
        free(b->bytes);
        *b = (struct frame_buffer){0};
}

static void discard_consumed(struct frame_buffer *b) {
        if (b->consumed == 0)
                return;
        memmove(b->bytes, b->bytes + b->consumed, b->used - b->consumed);
        b->used -= b->consumed;
        b->consumed = 0;
}

static uint32_t announced_length(const struct frame_buffer *b) {
        const uint8_t *p = b->bytes + b->consumed;
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int frame_buffer_space(struct frame_buffer *b, uint8_t **spacep, size_t *sizep) {
        discard_consumed(b);
        if (b->size - b->used < SPACE_MIN) {
                size_t size = b->size ? b->size * 2 : SPACE_MIN * 2;
                uint8_t *bytes = realloc(b->bytes, size);
                if (!bytes)
                        return -ENOMEM;
                b->bytes = bytes;
                b->size = size;
        }
        *spacep = b->bytes + b->used;
        *sizep = b->size - b->used;
        return 0;
}

void frame_buffer_commit(struct frame_buffer *b, size_t n) {
        b->used += n;
}

int frame_buffer_next(struct frame_buffer *b, const uint8_t **payloadp, size_t *lengthp) {
        *payloadp = NULL;
        *lengthp = 0;
        if (b->used - b->consumed < FRAME_HEADER_BYTES)
                return 0;
        uint32_t length = announced_length(b);
        if (length > b->frame_max)
                return FRAME_E_TOO_LONG;
        if (b->used - b->consumed - FRAME_HEADER_BYTES < length)
                return 0;
        *payloadp = b->bytes + b->consumed + FRAME_HEADER_BYTES;
        *lengthp = length;
        b->consumed += FRAME_HEADER_BYTES + length;
        return 0;
}
