/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Seeded snapshots that hold all that a snapshot can hold: both kinds of frames, recursion, odd names, several domains,
 * sizes up to 2**40, empty tracebacks, groups of which nothing is alive. The same seed makes the same snapshot. */

#include "daemon/live/snapshot.h"

#include <stdint.h>

struct snapshot_random_options {
        uint64_t seed;
        uint32_t kind; /* enum snapshot_kind; a peak has no sizes */
        uint32_t uid, pid;
        uint32_t n_tracebacks; /* about so many; 0: an empty snapshot */
        uint32_t depth_max;    /* 0: 12 */
        uint32_t sizes_max;    /* of a group; 0: 8 */
};

/** snapshot_random() - Return: one reference; aborts without memory. */
struct snapshot *snapshot_random(const struct snapshot_random_options *options);

/** snapshot_random_next() - the generator itself (splitmix64), for tests that want more of it */
uint64_t snapshot_random_next(uint64_t *state);
