/* SPDX-License-Identifier: Apache-2.0 */

/* The frames of one address. */

#include "daemon/symbol/helper/frame_list.h"

#include <stdlib.h>

void frame_list_add(struct frame_list *list, const char *function, char *filename, uint32_t lineno) {
        if (list->n == FRAME_LIST_MAX) {
                free(filename);
                return;
        }
        list->frames[list->n++] = (struct source_frame){function, filename, lineno};
}

void frame_list_clear(struct frame_list *list) {
        for (uint32_t i = 0; i < list->n; i++)
                free(list->frames[i].filename);
        list->n = 0;
}
