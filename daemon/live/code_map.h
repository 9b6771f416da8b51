/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Python code objects of a snapshot in the making: each one is asked for once, when its first frame comes, and its
 * line table decoded once. Belongs to one image_snapshot; one thread.
 */

#include "daemon/live/index_table.h"
#include "daemon/live/line_table.h"
#include "daemon/live/node_source.h"
#include "daemon/live/snapshot.h"

#include <stdint.h>

struct code_map {
        struct code_entry *entries;
        uint32_t n, capacity;
        struct index_table index;
        struct line_runs lines; /* of all entries */
};

/** code_map_deinit() - zero memory is an empty map */
void code_map_deinit(struct code_map *map);

/** code_map_location() - the location of a frame
 * @code, @instruction: unit without NODE_UNIT_CODE, and value of its node
 * @locationp: in @builder. A code object that nobody described is <unknown>.
 * Return: 0; -ENOMEM. */
int code_map_location(struct code_map *map, struct snapshot_builder *builder, const struct node_source *source,
                      uint32_t code, uint64_t instruction, uint32_t *locationp);
