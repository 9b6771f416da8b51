/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The opcodes of pickles that hold snapshots. Each is checked against what is on
 * the stack; none looks anything up, calls anything or recurses.
 */

#include "daemon/query/pickle_stack.h"
#include "daemon/query/pickle_tables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKLE_MESSAGE_BYTES 256
#define PICKLE_TEXT_MAX      (UINT32_C(1) << 20) /* paths have 4096 at most, but Python's file names may be any text */
#define PICKLE_SHOWN_MAX     48                  /* of a text in a message */
#define PICKLE_SHOWN_BYTES   (PICKLE_SHOWN_MAX + 4)

struct pickle_machine {
        struct pickle_tables tables;
        struct pickle_stack stack;
        uint64_t offset; /* of the opcode that is being done */
        uint64_t skip;   /* bytes behind it that belong to a value and are passed over */
        bool stopped;    /* the one value of the stack is the result */
        char message[PICKLE_MESSAGE_BYTES];
};

/** pickle_machine_init() - before the first opcode; @memory_max: bytes that tables, stack and memo may have together */
void pickle_machine_init(struct pickle_machine *m, uint64_t memory_max);

/** pickle_machine_deinit() - free all */
void pickle_machine_deinit(struct pickle_machine *m);

/** pickle_machine_refuse() - say why. Return: PICKLE_E_REFUSED. */
int pickle_machine_refuse(struct pickle_machine *m, uint64_t at, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/** pickle_machine_shown() - a text of the file for a message: printable, short. Return: @buffer. */
const char *pickle_machine_shown(const struct pickle_machine *m, uint32_t text_id, char buffer[PICKLE_SHOWN_BYTES]);

/** pickle_machine_length() - of the opcode at the beginning of some bytes
 * @n: >= 1
 * @lengthp: set on 0; more than @n where more bytes are needed: to know it, or to have all of it; at most
 * PICKLE_TEXT_MAX and a few
 * Return: 0; PICKLE_E_REFUSED. */
int pickle_machine_length(struct pickle_machine *m, const uint8_t *bytes, size_t n, size_t *lengthp);

/** pickle_machine_do() - do one opcode
 * @operand: all of it
 * Return: 0; PICKLE_E_REFUSED (without a message: the bound of memory); -ENOMEM. */
int pickle_machine_do(struct pickle_machine *m, uint8_t opcode, const uint8_t *operand);
