/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Disjoint address ranges in order, each with a traceback node: what domain mmap
 * has mapped. The bytes are counted elsewhere; this answers which pieces a range touches.
 * A treap in one array; priorities are seeded. One thread.
 */

#include "daemon/live/charge.h"

#include <stdbool.h>
#include <stdint.h>

struct interval {
        uint64_t start, length; /* length > 0 */
        uint32_t node;
};

struct interval_map {
        struct interval_entry *entries; /* entry 0 is never used: it is "none" */
        uint32_t root, n_entries, capacity, free_list;
        uint64_t random;
        struct charge *charge;
};

enum { INTERVAL_MAP_E_FULL = 1 };

/** interval_map_init() - empty. @charge: referenced. */
void interval_map_init(struct interval_map *m, struct charge *charge);
void interval_map_deinit(struct interval_map *m);

/** interval_map_insert() - add a range that overlaps none. Return: 0; INTERVAL_MAP_E_FULL (no memory or charge). */
int interval_map_insert(struct interval_map *m, const struct interval *interval);

/** interval_map_take() - take out the last range that overlaps [start, start + length). Return: whether there was one.
 */
bool interval_map_take(struct interval_map *m, uint64_t start, uint64_t length, struct interval *intervalp);

/** interval_map_find() - the range that contains an address. Return: whether there is one. */
bool interval_map_find(const struct interval_map *m, uint64_t address, struct interval *intervalp);

/** interval_map_check() - abort on a broken invariant (tests) */
void interval_map_check(const struct interval_map *m);
