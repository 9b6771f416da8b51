/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/terminal.h"

#include <stddef.h>
#include <stdio.h>

/* Aligned columns with a heading. Columns in which no row has anything are left out. */

struct table_column {
        const char *heading;
        int right;     /* numbers */
        int stretches; /* shortened in the middle when the terminal is too narrow, the highest rank first */
        int rank;      /* above 0: left out when it is too narrow even so, the highest first */
};

struct table;

/** table_new() - @columns: [n] borrowed */
struct table *table_new(const struct table_column *columns, size_t n);

/** table_free() - NULL is fine. Return: NULL. */
struct table *table_free(struct table *table);

/** table_cell() - the next cell, row by row; takes @text (heap) */
void table_cell(struct table *table, char *text);

/** table_print() - @terminal decides width and colours
 * Columns that had to be left out are named below the table. */
void table_print(const struct table *table, FILE *out, const struct terminal *terminal);
