/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The sizes of a group as bytes: column snapshot_group.sizes, whose form schema.sql describes. No I/O. */

#include "daemon/live/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What n sizes take at most: a byte in front, then for each two codes of 127 bits. */
#define SIZES_BYTES_MAX(n) ((size_t)(n)*32 + 2)

/** sizes_encode() - write
 * @sizes: [n_sizes], ascending and unique, each count above 0
 * @bytes: [SIZES_BYTES_MAX(n_sizes)]
 * @sizep, @countp: the sums
 * Return: bytes written; 0: no sizes, not ascending, a count of 0, or the sums do not fit 64 bits. */
size_t sizes_encode(const struct snapshot_size *sizes, size_t n_sizes, uint8_t *bytes, uint64_t *sizep,
                    uint64_t *countp);

struct sizes_reader {
        const uint8_t *at, *end;
        uint64_t bits; /* the next ones, from the highest on */
        unsigned n_bits;
        unsigned k;
        bool counted, damaged, first;
        uint64_t last;
};

/** sizes_begin() - read [length] bytes, borrowed */
struct sizes_reader sizes_begin(const void *bytes, size_t length);

/** sizes_next() - one entry
 * @entryp: set on 1
 * Return: 1; 0 at the end; -EBADMSG: no such encoding. */
int sizes_next(struct sizes_reader *reader, struct snapshot_size *entryp);
