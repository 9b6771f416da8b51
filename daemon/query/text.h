/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * File names and functions as numbers, with Python's order of str.
 *
 * Python decodes names by UTF-8 with surrogateescape (daemon/base/python_text.h).
 * Bytes therefore compare as Python compares the names if each byte of no valid
 * sequence is written as the three bytes of its surrogate; that form is the key of a text. Names that are UTF-8
 * (surrogates allowed, as in pickles) are their own keys.
 */

#include "daemon/query/intern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NONE UINT32_MAX

struct text {
        const char *bytes; /* as it came, borrowed from its source */
        size_t length;
        const char *key; /* == bytes where those are UTF-8 */
        size_t key_length;
};

struct text_table {
        struct text *texts;
        uint32_t n_texts, size;
        struct intern index;
};

/** text_table_init() - empty */
void text_table_init(struct text_table *t);

/** text_table_deinit() - free the table, not the bytes that it borrowed */
void text_table_deinit(struct text_table *t);

/** text_table_intern() - the number of a text; names that Python takes for equal have the same
 * @bytes: borrowed until text_table_deinit()
 * O(length). Return: 0; -ENOMEM; -EOVERFLOW (2^32 - 2 texts). The table is unchanged then. */
int text_table_intern(struct text_table *t, const char *bytes, size_t length, uint32_t *idp);

/** text_table_compare() - Python's order of str; TEXT_NONE comes first
 * Return: <0, 0, >0. */
int text_table_compare(const struct text_table *t, uint32_t a, uint32_t b);
