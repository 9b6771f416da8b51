/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Zeroed memory that grows where it lies: the address space for the most that it may become is reserved at the
 * start, and costs nothing. Growth is one system call and moves no byte, however much there is. Large ones are of huge
 * pages where the machine allows it: they are read and written all over. One thread.
 */

#include <stddef.h>

struct region {
        char *memory; /* NULL: not open */
        size_t bytes; /* of it that may be used */
        size_t reserved;
};

/** region_open() - @bytes: usable at once; @reserve: the most it can become. Return: 0; -ENOMEM. */
int region_open(struct region *r, size_t reserve, size_t bytes);

/** region_grow() - @bytes: at least as many as now. Return: 0; -ENOMEM (unchanged; also: more than was reserved). */
int region_grow(struct region *r, size_t bytes);

/** region_discard() - give back the whole pages of [from, to); they read as zeros from then on */
void region_discard(struct region *r, size_t from, size_t to);

/** region_close() - not open is fine */
void region_close(struct region *r);
