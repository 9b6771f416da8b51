/* SPDX-License-Identifier: Apache-2.0 */

/* Moves in flight. Runs on the ingest worker that owns the image; called by image_apply.c. */

#include "daemon/live/move_map.h"

#include <errno.h>
#include <stdlib.h>

void move_map_deinit(struct move_map *m) {
        free(m->moves);
        *m = (struct move_map){};
}

int move_map_put(struct move_map *m, uint64_t position, const struct trace_block *block) {
        if (m->n_moves == MOVES_MAX)
                return MOVE_MAP_E_FULL;
        if (m->n_moves == m->capacity) {
                size_t capacity = m->capacity ? 2 * m->capacity : 4;
                struct move *moves = realloc(m->moves, capacity * sizeof *moves);
                if (!moves)
                        return -ENOMEM;
                m->moves = moves;
                m->capacity = capacity;
        }
        m->moves[m->n_moves++] = (struct move){.position = position, .block = *block};
        return 0;
}

int move_map_take(struct move_map *m, uint64_t position, struct trace_block *blockp) {
        /* the newest first: a thread's MOVE_IN follows its MOVE_OUT closely */
        for (size_t i = m->n_moves; i-- > 0;) {
                if (m->moves[i].position != position)
                        continue;
                *blockp = m->moves[i].block;
                m->moves[i] = m->moves[--m->n_moves];
                return 0;
        }
        return MOVE_MAP_E_UNKNOWN;
}
