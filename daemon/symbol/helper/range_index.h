/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which of many ranges of addresses, nested or overlapping at will, answers for
 * an address. Collect the ranges, build once, then find in O(log n): building
 * cuts them into pieces that do not overlap, so that hostile overlaps cost no
 * more than honest ones.
 */

#include <stddef.h>
#include <stdint.h>

#define RANGE_NONE UINT32_MAX

struct range {
        uint64_t low, high; /* low <= address < high */
        uint32_t rank; /* the higher one answers; equal: the one that starts nearer; then by tie, then lower value */
        uint32_t tie;
        uint32_t value; /* not RANGE_NONE */
};

struct range_segment {
        uint64_t low, high;
        uint32_t value;
};

/* All zero: empty. Either ranges are being collected, or segments answer. */
struct range_index {
        struct range *ranges;
        size_t n_ranges, ranges_size;
        struct range_segment *segments;
        size_t n_segments, segments_size;
};

/** range_index_deinit() - free all; the index is empty again */
void range_index_deinit(struct range_index *index);

/** range_index_add() - collect a range; an empty one is passed over. Amortised O(1) */
void range_index_add(struct range_index *index, const struct range *range);

/** range_index_build() - from ranges to segments; the ranges are gone then. O(n log n) */
void range_index_build(struct range_index *index);

/** range_index_find() - the segment that covers an address; NULL where none does */
const struct range_segment *range_index_find(const struct range_index *index, uint64_t address);
