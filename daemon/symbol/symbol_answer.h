/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a symbol helper answers (proto/symbol.proto), from bytes to a symbol_set.
 * The helper has parsed what users control, so nothing that it says is believed before it
 * was looked at. No state, any thread.
 */

#include "daemon/symbol/symbol_set.h"
#include "proto/symbol.pb-c.h"

#include <stddef.h>
#include <stdint.h>

enum {
        SYMBOL_ANSWER_E_CLOSED = 1,  /* the module is not open there: ask again, with open */
        SYMBOL_ANSWER_E_PROBLEM = 2, /* the file cannot be read; the set knows why */
        SYMBOL_ANSWER_E_GARBAGE = 3, /* no helper says such a thing */
};

/** symbol_answer_unpack() - a message of at most SYMBOL_CHANNEL_FRAME_MAX bytes; unpacked it takes at most 64 MiB
 * Return: the answer, for symbol_answer_free(); NULL: it is none, or too big. */
Tracemallocd__Symbol__Resolved *symbol_answer_unpack(const uint8_t *message, size_t length);

/** symbol_answer_free() - NULL is fine */
void symbol_answer_free(Tracemallocd__Symbol__Resolved *answer);

/** symbol_answer_take() - put what is said of the first locations into a set
 * @module: in @set; @offsets: [n] of the return addresses that were asked for
 * @n_donep: set always: of how many something was said, 0..@n
 * Return: 0; SYMBOL_ANSWER_E_*; -ENOMEM. */
int symbol_answer_take(const Tracemallocd__Symbol__Resolved *answer, struct symbol_set *set, uint32_t module,
                       const uint64_t *offsets, size_t n, size_t *n_donep);
