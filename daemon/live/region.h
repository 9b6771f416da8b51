/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Zeroed memory that grows where it lies: the address space for the most that it may become is reserved at the
 * start, and costs nothing. Growth is one system call and moves no byte, however much there is. Large ones are of huge
 * pages where the machine allows it: they are read and written all over. With a keep it lies in the keep's memfd and
 * outlives the daemon. One thread.
 */

#include "daemon/live/keep.h"

#include <stddef.h>
#include <stdint.h>

struct region {
        char *memory; /* NULL: not open */
        size_t bytes; /* of it that may be used */
        size_t ready; /* pages before it are there: region_expect() */
        size_t reserved;
        struct keep *keep; /* NULL: private memory */
        uint64_t offset;   /* in the keep's file */
};

/** region_open() - @keep: borrowed, outlives the region; NULL: none
 * @bytes: usable at once; @reserve: the most it can become. Return: 0; -ENOMEM. */
int region_open(struct region *r, struct keep *keep, size_t reserve, size_t bytes);

/** region_adopt() - as region_open(), with what is at an offset of the keep's file
 * Return: 0; REGION_E_BROKEN: nobody can have had it there; -ENOMEM. */
#define REGION_E_BROKEN 1
int region_adopt(struct region *r, struct keep *keep, uint64_t offset, size_t reserve, size_t bytes);

/** region_save() - before @bytes (at most 64) at @at change */
static inline void region_save(const struct region *r, const void *at, size_t bytes) {
        if (__builtin_expect(r->keep != NULL, 0))
                keep_save(r->keep, r->offset + (uint64_t)((const char *)at - r->memory), at, bytes);
}

/** region_save_line() - the same for the 64 bytes at @at, which begin a cache line; cheap where they were saved since
 * the last commit */
static inline void region_save_line(const struct region *r, const void *at) {
        if (__builtin_expect(r->keep != NULL, 0))
                keep_save_line(r->keep, r->offset + (uint64_t)((const char *)at - r->memory), at);
}

/** region_expect() - bytes up to @to come into use soon, after all before them
 * Makes pages ahead, many at once, where a fault for each would be dearer: a few microseconds each, and most of what a
 * table in a keep cost while it grew. Beyond the region is fine. */
void region_make_ready(struct region *r, size_t to);
static inline void region_expect(struct region *r, size_t to) {
        if (__builtin_expect(to > r->ready, 0))
                region_make_ready(r, to);
}

/** region_grow() - @bytes: at least as many as now. Return: 0; -ENOMEM (unchanged; also: more than was reserved). */
int region_grow(struct region *r, size_t bytes);

/** region_discard() - give back the whole pages of [from, to): nobody looks at them any more; with a keep after the
 * next commit */
void region_discard(struct region *r, size_t from, size_t to);

/** region_close() - not open is fine; with a keep the memory goes after the next commit */
void region_close(struct region *r);
