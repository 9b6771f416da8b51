/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Text that is put together piece by piece before it is written: a call of stdio's for each piece of a million rows is
 * most of what they cost. Zero memory is an empty one. */

struct text_buffer {
        char *bytes; /* no NUL behind them */
        size_t n, room;
};

/** text_buffer_deinit() - of a zeroed or used one */
void text_buffer_deinit(struct text_buffer *buffer);

/** text_buffer_grow() - make room for @n bytes more */
void text_buffer_grow(struct text_buffer *buffer, size_t n);

/** text_buffer_write() - write all of it, and begin anew; for a stream that no other thread uses */
void text_buffer_write(struct text_buffer *buffer, FILE *out);

/** text_buffer_add() - @n bytes, copied */
static inline void text_buffer_add(struct text_buffer *buffer, const void *bytes, size_t n) {
        if (n == 0)
                return;
        if (buffer->room - buffer->n < n)
                text_buffer_grow(buffer, n);
        memcpy(buffer->bytes + buffer->n, bytes, n);
        buffer->n += n;
}

/** text_buffer_text() - a C string, without its NUL */
static inline void text_buffer_text(struct text_buffer *buffer, const char *text) {
        text_buffer_add(buffer, text, strlen(text));
}

/** text_buffer_unsigned(), text_buffer_signed() - in decimal */
void text_buffer_unsigned(struct text_buffer *buffer, uint64_t number);
void text_buffer_signed(struct text_buffer *buffer, int64_t number);
