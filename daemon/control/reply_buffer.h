/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Replies that a pool thread makes, framed one behind the other, for the main loop to send. One thread at a time. */

#include "proto/control.pb-c.h"

#include <stddef.h>
#include <stdint.h>

struct reply_buffer {
        uint8_t *bytes;
        size_t length, size;
};

#define REPLY_BUFFER_INIT                                                                                              \
        { 0 }

/** reply_buffer_add() - append a reply; the form of struct reply_sink.send
 * @buffer: struct reply_buffer
 * Return: 0; -ENOMEM; -EMSGSIZE: longer than a message may be (buffer unchanged). */
int reply_buffer_add(void *buffer, const Tracemallocd__Control__Reply *reply);

/** reply_buffer_take() - hand the bytes over; the buffer is empty afterwards
 * Return: malloc'd, or NULL where there are none. */
uint8_t *reply_buffer_take(struct reply_buffer *b, size_t *lengthp);

/** reply_buffer_deinit() - free the bytes that were not taken */
void reply_buffer_deinit(struct reply_buffer *b);
