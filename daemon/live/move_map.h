/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Blocks whose realloc is under way: position of the MOVE_OUT -> the block. As
 * many as threads are in realloc at one moment. One thread.
 */

#include "daemon/live/trace_table.h"

#include <stddef.h>
#include <stdint.h>

#define MOVES_MAX 65536 /* more threads than Linux gives a process by default; bounds a hostile peer */

struct move {
        uint64_t position;
        struct trace_block block;
};

struct move_map {
        struct move *moves; /* in no order */
        size_t n_moves, capacity;
};

enum {
        MOVE_MAP_E_FULL = 1,
        MOVE_MAP_E_UNKNOWN = 2,
};

/** move_map_deinit() - zero memory is an empty map */
void move_map_deinit(struct move_map *m);

/** move_map_put() - Return: 0; MOVE_MAP_E_FULL; -ENOMEM (unchanged). */
int move_map_put(struct move_map *m, uint64_t position, const struct trace_block *block);

/** move_map_take() - O(moves). Return: 0 with @blockp set; MOVE_MAP_E_UNKNOWN. */
int move_map_take(struct move_map *m, uint64_t position, struct trace_block *blockp);
