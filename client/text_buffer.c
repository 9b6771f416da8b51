/* SPDX-License-Identifier: Apache-2.0 */

/* A growing piece of text. Called by what prints many rows. */

#include "client/text_buffer.h"

#include "client/memory.h"

#include <stdlib.h>

#define ROOM_MIN 4096

void text_buffer_deinit(struct text_buffer *b) {
        free(b->bytes);
        *b = (struct text_buffer){0};
}

void text_buffer_grow(struct text_buffer *b, size_t n) {
        size_t room = b->room ? b->room : ROOM_MIN;
        while (room - b->n < n)
                room *= 2;
        b->bytes = memory_grow(b->bytes, room, 1);
        b->room = room;
}

void text_buffer_write(struct text_buffer *b, FILE *out) {
        if (b->n > 0)
                fwrite_unlocked(b->bytes, 1, b->n, out);
        b->n = 0;
}

void text_buffer_unsigned(struct text_buffer *b, uint64_t number) {
        char digits[20]; /* of 2^64 - 1 */
        size_t at = sizeof digits;
        do {
                digits[--at] = (char)('0' + number % 10);
                number /= 10;
        } while (number > 0);
        text_buffer_add(b, digits + at, sizeof digits - at);
}

void text_buffer_signed(struct text_buffer *b, int64_t number) {
        if (number < 0)
                text_buffer_add(b, "-", 1);
        text_buffer_unsigned(b, number < 0 ? -(uint64_t)number : (uint64_t)number);
}
