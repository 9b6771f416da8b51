/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The frames of one address, innermost inlined call first. */

#include <stdint.h>

#define FRAME_LIST_MAX 256 /* what is further out is cut */

struct source_frame {
        const char *function; /* borrowed from the module, valid until it is closed; NULL: unknown */
        char *filename;       /* heap; NULL: unknown */
        uint32_t lineno;      /* 0: unknown */
};

struct frame_list {
        struct source_frame frames[FRAME_LIST_MAX];
        uint32_t n;
};

/** frame_list_add() - one frame further out; passed over in a full list. Takes @filename */
void frame_list_add(struct frame_list *list, const char *function, char *filename, uint32_t lineno);

/** frame_list_clear() - free what it holds */
void frame_list_clear(struct frame_list *list);
