/* SPDX-License-Identifier: Apache-2.0 */

/* Row ids to indexes. Readers. */

#include "daemon/store/id_map.h"

#include <errno.h>
#include <stdlib.h>

struct id_map_entry {
        int64_t id; /* 0: free */
        uint32_t value;
};

void id_map_deinit(struct id_map *map) {
        free(map->entries);
        *map = (struct id_map){0};
}

static struct id_map_entry *probe(struct id_map_entry *entries, size_t n_entries, int64_t id) {
        size_t at = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 32;
        for (;; at++) {
                struct id_map_entry *entry = &entries[at & (n_entries - 1)];
                if (entry->id == id || entry->id == 0)
                        return entry;
        }
}

bool id_map_find(const struct id_map *map, int64_t id, uint32_t *valuep) {
        if (!map->n_entries)
                return false;
        const struct id_map_entry *entry = probe(map->entries, map->n_entries, id);
        if (entry->id == 0)
                return false;
        *valuep = entry->value;
        return true;
}

static int grow(struct id_map *map) {
        size_t n_entries = map->n_entries ? map->n_entries * 2 : 64;
        struct id_map_entry *entries = calloc(n_entries, sizeof *entries);
        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < map->n_entries; i++) {
                if (map->entries[i].id)
                        *probe(entries, n_entries, map->entries[i].id) = map->entries[i];
        }
        free(map->entries);
        map->entries = entries;
        map->n_entries = n_entries;
        return 0;
}

int id_map_add(struct id_map *map, int64_t id, uint32_t value) {
        if ((map->n_used + 1) * 2 > map->n_entries && grow(map) < 0)
                return -ENOMEM;
        *probe(map->entries, map->n_entries, id) = (struct id_map_entry){.id = id, .value = value};
        map->n_used++;
        return 0;
}
