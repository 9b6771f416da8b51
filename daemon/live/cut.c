/* SPDX-License-Identifier: Apache-2.0 */

/* Cuts of a trace table. Runs on the ingest worker that owns the image; called by image.c, image_snapshot.c and, for
 * blocks that go, by trace_table.c. */

#include "daemon/live/cut.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIDE_CAPACITY_MIN 64

int cut_open(struct cut *cut, struct trace_table *table) {
        if (table->epoch == UINT32_MAX)
                return CUT_E_FULL;
        *cut = (struct cut){.table = trace_table_ref(table), .number = table->epoch++, .next = table->cuts};
        table->cuts = cut;
        table->newest_cut = cut->number;
        trace_table_set_minds(table);
        return 0;
}

int cut_open_kept(struct cut *cut, struct trace_table *table, size_t n_more) {
        int r = cut_open(cut, table);
        if (r || !table->keep)
                return r;
        /* each block of the table goes at most once */
        r = region_open(&cut->side_region, table->keep, (table->count + n_more + 1) * sizeof *cut->side, 0);
        if (r)
                cut_close(cut);
        return r;
}

void cut_keep_record(const struct cut *cut, struct kept_cut *kept) {
        *kept = (struct kept_cut){.side_offset = cut->side_region.offset,
                                  .n_side = cut->n_side,
                                  .side_max = cut->side_region.reserved / sizeof *cut->side,
                                  .number = cut->number,
                                  .broken = cut->broken};
}

int cut_adopt(struct cut *cut, struct trace_table *table, const struct kept_cut *kept) {
        if (kept->number >= table->epoch || kept->number <= table->newest_cut || kept->n_side > kept->side_max ||
            kept->side_max > UINT32_MAX)
                return CUT_E_BROKEN;
        *cut = (struct cut){.table = trace_table_ref(table),
                            .number = kept->number,
                            .next = table->cuts,
                            .broken = kept->broken,
                            .n_side = kept->broken ? 0 : kept->n_side};
        table->cuts = cut;
        table->newest_cut = cut->number;
        trace_table_set_minds(table);
        cut->side_capacity = cut->n_side;
        charge_force(table->charge, cut->n_side * sizeof *cut->side);
        int r = region_adopt(&cut->side_region, table->keep, kept->side_offset, kept->side_max * sizeof *cut->side,
                             cut->n_side * sizeof *cut->side);
        if (r)
                cut_close(cut);
        else
                cut->side = (struct trace_block *)(void *)cut->side_region.memory;
        return r;
}

static void drop_side(struct cut *cut) {
        if (cut->side_region.memory)
                region_close(&cut->side_region);
        else
                free(cut->side);
        charge_give(cut->table->charge, cut->side_capacity * sizeof *cut->side);
        cut->side = NULL;
        cut->n_side = cut->side_capacity = cut->n_side_read = 0;
}

static bool side_grow(struct cut *cut) {
        size_t capacity = cut->side_capacity ? 2 * cut->side_capacity : SIDE_CAPACITY_MIN;
        size_t most = cut->side_region.memory ? cut->side_region.reserved / sizeof *cut->side : SIZE_MAX;
        if (capacity > most)
                capacity = most;
        if (capacity <= cut->side_capacity)
                return false;
        size_t more = (capacity - cut->side_capacity) * sizeof *cut->side;
        if (!charge_take(cut->table->charge, more))
                return false;
        struct trace_block *side;
        if (cut->side_region.memory) {
                bool grown = region_grow(&cut->side_region, capacity * sizeof *side) == 0;
                side = grown ? (struct trace_block *)(void *)cut->side_region.memory : NULL;
        } else {
                side = realloc(cut->side, capacity * sizeof *side);
        }
        if (!side) {
                charge_give(cut->table->charge, more);
                return false;
        }
        cut->side = side;
        cut->side_capacity = capacity;
        return true;
}

void cut_add(struct cut *cut, const struct trace_block *block) {
        if (cut->broken)
                return;
        if (cut->n_side == cut->side_capacity && !side_grow(cut)) {
                cut->broken = true;
                drop_side(cut);
                return;
        }
        cut->side[cut->n_side++] = *block;
}

void cut_keep(struct trace_table *table, const struct trace_block *block, uint64_t hash) {
        for (struct cut *cut = table->cuts; cut && block->birth <= cut->number; cut = cut->next) {
                if (!cut->scanned && hash >= cut->cursor)
                        cut_add(cut, block);
        }
}

/* One range of hashes out of the table, about half as many homes as there is room for blocks. */
static int read_table(struct cut *cut, struct trace_block *blocks, size_t capacity, size_t *np) {
        unsigned shift = cut->table->current.shift;
        uint64_t homes = capacity / 2;
        uint64_t span = homes >= UINT64_MAX >> shift ? UINT64_MAX : (homes << shift) - 1;
        for (;; span /= 2) {
                uint64_t last = span > UINT64_MAX - cut->cursor ? UINT64_MAX : cut->cursor + span;
                size_t n = trace_table_scan(cut->table, cut->cursor, last, cut->number, blocks, capacity);
                if (n != SIZE_MAX) {
                        *np = n;
                        cut->scanned = last == UINT64_MAX;
                        cut->cursor = last + 1;
                        return 0;
                }
                assert(span > 0); /* CUT_READ_MIN keys of one 64-bit hash */
        }
}

int cut_read(struct cut *cut, struct trace_block *blocks, size_t capacity, size_t *np) {
        assert(capacity >= CUT_READ_MIN);
        if (cut->broken)
                return CUT_E_BROKEN;
        if (!cut->scanned)
                return read_table(cut, blocks, capacity, np);
        size_t n = cut->n_side - cut->n_side_read;
        if (n == 0)
                return CUT_END;
        if (n > capacity)
                n = capacity;
        memcpy(blocks, cut->side + cut->n_side_read, n * sizeof *blocks);
        cut->n_side_read += n;
        *np = n;
        return 0;
}

void cut_close(struct cut *cut) {
        struct trace_table *table = cut->table;
        if (!table)
                return;
        drop_side(cut);
        struct cut **link = &table->cuts;
        while (*link != cut)
                link = &(*link)->next;
        *link = cut->next;
        table->newest_cut = table->cuts ? table->cuts->number : 0;
        trace_table_set_minds(table);
        cut->table = NULL;
        trace_table_unref(table);
}
