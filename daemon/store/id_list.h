/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A growing list of row ids, each looked at once in the end. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct id_list {
        int64_t *ids;
        size_t n, room;
};

static inline void id_list_deinit(struct id_list *list) {
        free(list->ids);
        *list = (struct id_list){0};
}

/** id_list_add() - 0 is no id and passed over. Return: 0; -ENOMEM. */
static inline int id_list_add(struct id_list *list, int64_t id) {
        if (id == 0)
                return 0;
        if (list->n == list->room) {
                size_t room = list->room ? list->room * 2 : 64;
                int64_t *ids = reallocarray(list->ids, room, sizeof *ids);
                if (!ids)
                        return -ENOMEM;
                list->ids = ids;
                list->room = room;
        }
        list->ids[list->n++] = id;
        return 0;
}

static inline int id_list_compare(const void *a, const void *b) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

/** id_list_unique() - sort ascending, drop what is there twice */
static inline void id_list_unique(struct id_list *list) {
        size_t kept = 0;
        if (list->n)
                qsort(list->ids, list->n, sizeof *list->ids, id_list_compare);
        for (size_t i = 0; i < list->n; i++) {
                if (kept == 0 || list->ids[kept - 1] != list->ids[i])
                        list->ids[kept++] = list->ids[i];
        }
        list->n = kept;
}
