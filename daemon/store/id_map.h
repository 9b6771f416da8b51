/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Row ids, which are above 0, to indexes of a snapshot that is being read. What a snapshot needs was mostly stored one
 * after the other, so neighbours share a page: 5 bytes an id, and the page of the one before is tried first. An id
 * without neighbours takes 80. Nothing is removed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_map {
        struct id_page *pages;
        uint32_t *slots;                       /* hash of a page's number to 1 + its place in pages; 0: free */
        uint32_t n_pages, pages_room, n_slots; /* slots: a power of two, or 0 */
        uint32_t last;                         /* page that was found or made last */
};

/** id_map_deinit() - of a zeroed or used map */
void id_map_deinit(struct id_map *map);

/** id_map_find() - O(1). Return: whether it is there; @valuep is set then. */
bool id_map_find(struct id_map *map, int64_t id, uint32_t *valuep);

/** id_map_add() - one that is not there
 * @value: below UINT32_MAX
 * Return: 0; -ENOMEM. */
int id_map_add(struct id_map *map, int64_t id, uint32_t value);
