/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Row ids, which are above 0, to indexes of a snapshot that is being read. Open addressing; nothing is removed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_map {
        struct id_map_entry *entries;
        size_t n_entries, n_used; /* entries: a power of two, or 0 */
};

/** id_map_deinit() - of a zeroed or used map */
void id_map_deinit(struct id_map *map);

/** id_map_find() - O(1). Return: whether it is there; @valuep is set then. */
bool id_map_find(const struct id_map *map, int64_t id, uint32_t *valuep);

/** id_map_add() - one that is not there. Return: 0; -ENOMEM. */
int id_map_add(struct id_map *map, int64_t id, uint32_t value);
