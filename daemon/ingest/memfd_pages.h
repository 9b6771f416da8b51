/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which pages of a peer's memfd are there. It may be sparse, and who reads a hole through a mapping has a page made
 * that counts as the reader's memory: so the daemon looks before it reads. A page that is there stays
 * (memfd_map_peer() insists on the seals). One thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct memfd_pages {
        int fd; /* borrowed */
        uint64_t bytes;
        uint64_t known; /* everything from where it was opened to here is there */
};

/** memfd_pages_open() - @start: a page; most of what is asked for is written from there on, without holes */
void memfd_pages_open(struct memfd_pages *pages, int fd, uint64_t start, uint64_t bytes);

/** memfd_pages_end() - where the first hole behind an offset begins; @from itself in a hole; the file's size: none
 * A system call where that is not known; O(pages in between). */
uint64_t memfd_pages_end(struct memfd_pages *pages, uint64_t from);

/** memfd_pages_next() - @from, or the first page behind it that is there; the file's size: none. A system call. */
uint64_t memfd_pages_next(const struct memfd_pages *pages, uint64_t from);

/** memfd_pages_there() - whether all of [from, to) is; @from: not before the start */
static inline bool memfd_pages_there(struct memfd_pages *pages, uint64_t from, uint64_t to) {
        return to <= pages->known || memfd_pages_end(pages, from) >= to;
}
