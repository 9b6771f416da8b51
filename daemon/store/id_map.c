/* SPDX-License-Identifier: Apache-2.0 */

/* Row ids to indexes. Readers. */

#include "daemon/store/id_map.h"

#include <errno.h>
#include <stdlib.h>

#define IDS_A_PAGE 16
#define PAGES_MIN  16
#define SLOTS_MIN  32

struct id_page {
        uint64_t number;             /* of its ids / IDS_A_PAGE */
        uint32_t values[IDS_A_PAGE]; /* 1 + value; 0: not there */
};

void id_map_deinit(struct id_map *map) {
        free(map->pages);
        free(map->slots);
        *map = (struct id_map){0};
}

/* The slot of that page, or the free one that it would take. */
static uint32_t *probe(const struct id_map *map, uint64_t number) {
        uint32_t at = (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32);
        for (;; at++) {
                uint32_t *slot = &map->slots[at & (map->n_slots - 1)];
                if (*slot == 0 || map->pages[*slot - 1].number == number)
                        return slot;
        }
}

/* Return: NULL: there is none. */
static struct id_page *find_page(struct id_map *map, uint64_t number) {
        if (map->n_pages == 0)
                return NULL;
        if (map->pages[map->last].number != number) {
                uint32_t slot = *probe(map, number);
                if (slot == 0)
                        return NULL;
                map->last = slot - 1;
        }
        return &map->pages[map->last];
}

bool id_map_find(struct id_map *map, int64_t id, uint32_t *valuep) {
        const struct id_page *page = find_page(map, (uint64_t)id / IDS_A_PAGE);
        uint32_t value = page ? page->values[(uint64_t)id % IDS_A_PAGE] : 0;
        if (value == 0)
                return false;
        *valuep = value - 1;
        return true;
}

static int grow_pages(struct id_map *map) {
        uint32_t room = map->pages_room ? map->pages_room * 2 : PAGES_MIN;
        struct id_page *pages = reallocarray(map->pages, room, sizeof *pages);
        if (!pages)
                return -ENOMEM;
        map->pages = pages;
        map->pages_room = room;
        return 0;
}

/* At most half full. The old ones say nothing that the pages don't. */
static int grow_slots(struct id_map *map) {
        uint32_t n_slots = map->n_slots ? map->n_slots * 2 : SLOTS_MIN;
        uint32_t *slots = calloc(n_slots, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        free(map->slots);
        map->slots = slots;
        map->n_slots = n_slots;
        for (uint32_t i = 0; i < map->n_pages; i++)
                *probe(map, map->pages[i].number) = i + 1;
        return 0;
}

static int add_page(struct id_map *map, uint64_t number, struct id_page **pagep) {
        if (map->n_pages >= UINT32_MAX / 4 || (map->n_pages == map->pages_room && grow_pages(map) < 0) ||
            (map->n_pages >= map->n_slots / 2 && grow_slots(map) < 0))
                return -ENOMEM;
        *probe(map, number) = map->n_pages + 1;
        map->last = map->n_pages++;
        map->pages[map->last] = (struct id_page){.number = number};
        *pagep = &map->pages[map->last];
        return 0;
}

int id_map_add(struct id_map *map, int64_t id, uint32_t value) {
        struct id_page *page = find_page(map, (uint64_t)id / IDS_A_PAGE);
        if (!page && add_page(map, (uint64_t)id / IDS_A_PAGE, &page) < 0)
                return -ENOMEM;
        page->values[(uint64_t)id % IDS_A_PAGE] = value + 1;
        return 0;
}
