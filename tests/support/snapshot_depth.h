/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/live/snapshot.h"

/* Frames of a traceback. O(depth). */
static inline uint32_t snapshot_depth(const struct snapshot *s, uint32_t node) {
        uint32_t depth = 0;
        for (; node; node = s->nodes[node].parent)
                depth++;
        return depth;
}
