/* SPDX-License-Identifier: Apache-2.0 */

/* Blocks that do not fit into a cell. Runs on the ingest worker that owns the image; called by trace_table.c. */

#include "daemon/live/wide_blocks.h"

#include <errno.h>

#define CAPACITY_MIN 32 /* less than a page: most processes have some large blocks */

void wide_blocks_deinit(struct wide_blocks *w, struct charge *charge) {
        if (!w->slots)
                return;
        region_close(&w->region);
        charge_give(charge, w->capacity * sizeof *w->slots);
        *w = (struct wide_blocks){};
}

void wide_blocks_keep(const struct wide_blocks *w, struct kept_wide_blocks *kept) {
        *kept = (struct kept_wide_blocks){
                .offset = w->region.offset, .n = w->n, .capacity = w->capacity, .first = w->first, .n_used = w->n_used};
}

int wide_blocks_adopt(struct wide_blocks *w, struct charge *charge, struct keep *keep,
                      const struct kept_wide_blocks *kept) {
        if (kept->capacity > WIDE_BLOCKS_MAX || kept->n > kept->capacity || !kept->n != !kept->capacity)
                return 1;
        if (kept->capacity == 0)
                return 0;
        size_t bytes = kept->capacity * sizeof *w->slots;
        int r = region_adopt(&w->region, keep, kept->offset, WIDE_BLOCKS_MAX * sizeof *w->slots, bytes);
        if (r)
                return r;
        charge_force(charge, bytes);
        w->slots = (struct wide_block *)(void *)w->region.memory;
        w->n = kept->n;
        w->capacity = kept->capacity;
        w->first = kept->first;
        w->n_used = kept->n_used;
        return 0;
}

static bool grow(struct wide_blocks *w, struct charge *charge) {
        uint32_t capacity = w->capacity ? 2 * w->capacity : CAPACITY_MIN;
        size_t more = (capacity - w->capacity) * sizeof *w->slots;
        if (capacity > WIDE_BLOCKS_MAX || !charge_take(charge, more))
                return false;
        if (region_grow(&w->region, capacity * sizeof *w->slots)) {
                charge_give(charge, more);
                return false;
        }
        w->capacity = capacity;
        return true;
}

static bool open_first(struct wide_blocks *w, struct charge *charge, struct keep *keep) {
        if (region_open(&w->region, keep, WIDE_BLOCKS_MAX * sizeof *w->slots, 0))
                return false;
        if (!grow(w, charge)) {
                region_close(&w->region);
                return false;
        }
        w->slots = (struct wide_block *)(void *)w->region.memory;
        w->slots[0] = (struct wide_block){};
        w->n = 1;
        return true;
}

bool wide_blocks_reserve(struct wide_blocks *w, struct charge *charge, struct keep *keep) {
        if (w->first || w->n < w->capacity)
                return true;
        return w->slots ? grow(w, charge) : open_first(w, charge, keep);
}

/* Slots behind the committed number need not be saved, and one that is there is saved whole. */
uint32_t wide_blocks_take(struct wide_blocks *w, uint64_t address, uint64_t size, uint32_t node) {
        uint32_t index = w->first;
        if (index)
                w->first = w->slots[index].next;
        else
                index = w->n++;
        w->n_used++;
        wide_blocks_set(w, index, address, size, node);
        return index;
}

void wide_blocks_set(struct wide_blocks *w, uint32_t index, uint64_t address, uint64_t size, uint32_t node) {
        region_save(&w->region, &w->slots[index], sizeof w->slots[index]);
        w->slots[index] = (struct wide_block){.address = address, .size = size, .node = node, .next = WIDE_BLOCK_USED};
}

void wide_blocks_put(struct wide_blocks *w, uint32_t index) {
        region_save(&w->region, &w->slots[index], sizeof w->slots[index]);
        w->slots[index].next = w->first;
        w->first = index;
        w->n_used--;
}

bool wide_blocks_is_sound(const struct wide_blocks *w) {
        uint32_t n_free = 0;
        for (uint32_t i = w->first; i; n_free++) {
                if (i >= w->n || w->slots[i].next == WIDE_BLOCK_USED || n_free == w->n)
                        return false;
                i = w->slots[i].next;
        }
        return w->n == 0 ? w->n_used == 0 && n_free == 0 : (uint64_t)w->n_used + n_free + 1 == w->n;
}
