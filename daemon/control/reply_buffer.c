/* SPDX-License-Identifier: Apache-2.0 */

/* Framed replies in one growing block. A thread of the pool fills it, the main loop sends it. */

#include "daemon/control/reply_buffer.h"

#include "daemon/base/frame.h"

#include <errno.h>
#include <stdlib.h>

static int reserve(struct reply_buffer *b, size_t n) {
        if (b->size - b->length >= n)
                return 0;
        size_t size = b->size ? b->size : 4096;
        while (size - b->length < n)
                size *= 2;
        uint8_t *bytes = realloc(b->bytes, size);
        if (!bytes)
                return -ENOMEM;
        b->bytes = bytes;
        b->size = size;
        return 0;
}

int reply_buffer_add(void *buffer, const Tracemallocd__Control__Reply *reply) {
        struct reply_buffer *b = buffer;
        size_t length = tracemallocd__control__reply__get_packed_size(reply);
        if (length > FRAME_MAX_CONTROL)
                return -EMSGSIZE;
        int r = reserve(b, FRAME_HEADER_BYTES + length);
        if (r < 0)
                return r;
        frame_header(b->bytes + b->length, (uint32_t)length);
        tracemallocd__control__reply__pack(reply, b->bytes + b->length + FRAME_HEADER_BYTES);
        b->length += FRAME_HEADER_BYTES + length;
        return 0;
}

uint8_t *reply_buffer_take(struct reply_buffer *b, size_t *lengthp) {
        uint8_t *bytes = b->bytes;
        *lengthp = b->length;
        *b = (struct reply_buffer)REPLY_BUFFER_INIT;
        return bytes;
}

void reply_buffer_deinit(struct reply_buffer *b) {
        free(b->bytes);
        *b = (struct reply_buffer)REPLY_BUFFER_INIT;
}
