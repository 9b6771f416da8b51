/* SPDX-License-Identifier: Apache-2.0 */

/* Events to blocks, sums and mappings. Runs on the ingest worker; called by daemon/ingest/feed_reader.c. */

#include "daemon/live/image_apply.h"

#include "daemon/live/image_fork.h"
#include "proto/record.h"

#include <stdbool.h>

/* events between the prefetch of a line and its use, each about the latency of a cache miss */
#define SLOT_AHEAD  4
#define INDEX_AHEAD 8
#define CELL_AHEAD  16

/* ---- blocks ---- */

/* What a removed block counted for. Its slot exists: it was found when the block came.
 * Inline, so that the block stays in registers. */
__attribute__((always_inline)) static inline void count_gone(struct image *image, const struct trace_block *block) {
        struct node_sums *slot = traceback_sums_slot(image->sums, trace_block_node(block), trace_block_domain(block));
        traceback_sums_sub(image->sums, slot, block->size);
}

/* A block comes alive; what was at its address is gone. Return: where it counts; NULL: it found no room. */
static struct node_sums *block_in(struct image *image, uint64_t hash, unsigned domain, uint64_t address, uint64_t size,
                                  uint32_t node) {
        struct node_sums *slot = traceback_sums_slot(image->sums, node, domain);
        struct trace_cell *cell = slot ? trace_table_place(image->table, hash, domain, address, size) : NULL;
        if (__builtin_expect(!cell, 0)) {
                image->lost++;
                return NULL;
        }
        if (__builtin_expect(!trace_cell_is_new(cell), 0)) {
                struct trace_block replaced = trace_table_block(image->table, cell);
                count_gone(image, &replaced);
                slot = traceback_sums_slot(image->sums, node, domain);
        }
        trace_table_fill(image->table, cell, domain, address, size, node);
        traceback_sums_add(image->sums, slot, size);
        return slot;
}

/* One that is allocated there and then: not what is left of a mapping. */
static void block_allocated(struct image *image, uint64_t hash, unsigned domain, uint64_t address, uint64_t size,
                            uint32_t node) {
        struct node_sums *slot = block_in(image, hash, domain, address, size, node);
        if (slot)
                traceback_sums_allocated(slot, size);
}

static void event_allocated(struct image *image, const struct event *event, uint64_t size) {
        block_allocated(image, event->hash, event->domain, event->word[0], size, event->argument);
}

static void apply_free(struct image *image, const struct event *event) {
        const struct trace_cell *cell = trace_table_find(image->table, event->hash, event->domain, event->word[0]);
        if (!cell) {
                image->unknown_frees++;
                return;
        }
        struct trace_block block = trace_table_block(image->table, cell);
        count_gone(image, &block);
        trace_table_erase(image->table, event->hash, cell);
}

static void apply_move_out(struct image *image, const struct event *event) {
        struct trace_block block;
        if (trace_table_remove(image->table, event->hash, event->domain, event->word[0], &block)) {
                image->unknown_frees++;
                return;
        }
        if (move_map_put(&image->moves, event->position, &block) == 0)
                return;
        count_gone(image, &block);
        image->lost++;
}

/* The old block goes before the new one comes: both at one instant, so that the sum has no peak between. Without a
 * known MOVE_OUT it is the realloc of a block that nobody told us of. */
static void apply_move_in(struct image *image, const struct event *event) {
        struct trace_block block;
        if (move_map_take(&image->moves, event->word[2], &block) == 0)
                count_gone(image, &block);
        event_allocated(image, event, event->word[1]);
}

/* Back to where it was. It was counted all the time; its birth is now, and cuts that are open have it already. */
static void apply_move_back(struct image *image, const struct event *event) {
        struct trace_block block, replaced;
        if (move_map_take(&image->moves, event->word[0], &block))
                return;
        uint64_t address = block.address;
        unsigned domain = trace_block_domain(&block);
        int r = trace_table_insert(image->table, trace_table_hash(image->table, domain, address), domain, address,
                                   block.size, trace_block_node(&block), &replaced);
        if (r == TRACE_TABLE_REPLACED)
                count_gone(image, &replaced);
        if (r == TRACE_TABLE_E_FULL) {
                count_gone(image, &block);
                image->lost++;
        }
}

/* The interpreter made an object of a block that it had kept: size and address stay, whoever asked for it is
 * another. It counts as allocated once more, as after a realloc. */
static void apply_relabel(struct image *image, const struct event *event) {
        const struct trace_cell *cell = trace_table_find(image->table, event->hash, event->domain, event->word[0]);
        if (!cell || trace_cell_domain(cell) != event->domain)
                return;
        event_allocated(image, event, trace_table_block(image->table, cell).size);
}

/* @allocated: not so for the rest of a mapping that was cut */
static void map_piece(struct image *image, const struct interval *piece, bool allocated) {
        if (interval_map_insert(&image->mappings, piece)) {
                image->lost++;
                return;
        }
        uint64_t hash = trace_table_hash(image->table, DOMAIN_INDEX_MMAP, piece->start);
        if (allocated)
                block_allocated(image, hash, DOMAIN_INDEX_MMAP, piece->start, piece->length, piece->node);
        else
                block_in(image, hash, DOMAIN_INDEX_MMAP, piece->start, piece->length, piece->node);
}

/* Take [start, start + length) out of all mappings. What is left of them stays, as mappings of the same node. */
static void map_cut_out(struct image *image, uint64_t start, uint64_t length) {
        uint64_t end = start + length; /* both are below 2**63 */
        struct interval piece;
        while (interval_map_take(&image->mappings, start, length, &piece)) {
                struct trace_block block;
                uint64_t hash = trace_table_hash(image->table, DOMAIN_INDEX_MMAP, piece.start);
                if (trace_table_remove(image->table, hash, DOMAIN_INDEX_MMAP, piece.start, &block) == 0)
                        count_gone(image, &block);
                struct interval left = piece, right = piece;
                if (piece.start < start) {
                        left.length = start - piece.start;
                        map_piece(image, &left, false);
                }
                if (piece.start + piece.length > end) {
                        right.start = end;
                        right.length = piece.start + piece.length - end;
                        map_piece(image, &right, false);
                }
        }
}

static void apply_map(struct image *image, const struct event *event) {
        struct interval mapping = {.start = event->word[0], .length = event->word[1], .node = event->argument};
        if (mapping.length == 0)
                return;
        map_cut_out(image, mapping.start, mapping.length);
        if (event->type == RECORD_MAP)
                map_piece(image, &mapping, true);
}

void image_apply_inherited(struct image *child, const struct trace_block *block) {
        uint64_t address = block->address;
        unsigned domain = trace_block_domain(block);
        if (domain == DOMAIN_INDEX_MMAP && block->size > 0) {
                struct interval piece = {.start = address, .length = block->size, .node = trace_block_node(block)};
                map_cut_out(child, piece.start, piece.length);
                map_piece(child, &piece, true);
                return;
        }
        block_allocated(child, trace_table_hash(child->table, domain, address), domain, address, block->size,
                        trace_block_node(block));
}

/* Everything but blocks. Return: whether the caller wants to see it. */
static bool apply_rare(struct image *image, const struct event *event) {
        switch (event->type) {
        case RECORD_LOST:
                image->lost_records += event->word[0];
                return false;
        case RECORD_FORK:
                image_fork_add(image, event->argument);
                return true;
        case RECORD_FORK_DONE:
                image_fork_done(image, event->argument, (uint32_t)event->word[0]);
                return true;
        case RECORD_EXIT:
                image->exit_seen = true;
                image->exit_status = event->word[0];
                image->farewell = event->argument == 0;
                return true;
        case RECORD_EXEC:
        case RECORD_EXEC_BACK:
                image->exec_pending = event->type == RECORD_EXEC;
                image->farewell = image->exec_pending && event->argument == 0;
                return true;
        case RECORD_MODULE_LOAD:
        case RECORD_DOMAIN:
        case RECORD_PHASE:
                return true;
        default: /* MODULE_UNLOAD: its generation stays, blocks may point at it */
                return false;
        }
}

static bool is_about_blocks(unsigned type) {
        const uint32_t types = 1U << RECORD_ALLOC | 1U << RECORD_FREE | 1U << RECORD_MOVE_OUT | 1U << RECORD_MOVE_IN |
                               1U << RECORD_MOVE_BACK | 1U << RECORD_MAP | 1U << RECORD_UNMAP | 1U << RECORD_RELABEL;
        return types >> type & 1;
}

/* GCC takes a function that does nothing but prefetch for one without effect, and leaves its calls out unless it is
 * inlined before that. */
#define PREFETCH __attribute__((always_inline)) static inline void

/* For all types alike: where word[0] is no address, a cell is fetched for nothing. */
PREFETCH prefetch_cell(const struct image *image, struct event *event) {
        event->hash = trace_table_hash(image->table, event->domain, event->word[0]);
        const struct trace_cell *home = trace_table_home(image->table, event->hash);
        __builtin_prefetch(home, 1);
        __builtin_prefetch((const char *)(home + 2) - 1, 1); /* where the run mostly ends */
}

/* An allocation's node, or that of the block that lies at the home of a freed address (mostly the one). Without a
 * branch: it would be missed as often as the one that applies the event. */
PREFETCH prefetch_index(const struct image *image, struct event *event) {
        const uint32_t named = 1U << RECORD_ALLOC | 1U << RECORD_RELABEL;
        uint32_t is_named = -(named >> event->type & 1);
        event->node = (event->argument & is_named) |
                      (trace_cell_node(trace_table_home(image->table, event->hash)) & ~is_named);
        traceback_sums_prefetch_index(image->sums, event->node);
}

PREFETCH prefetch_slot(const struct image *image, const struct event *event) {
        traceback_sums_prefetch_slot(image->sums, event->node);
}

/* In steps, because each needs what the one before brings. */
PREFETCH prefetch(const struct image *image, struct event *events, size_t i, size_t n) {
        if (__builtin_expect(i + CELL_AHEAD < n, 1)) {
                prefetch_cell(image, &events[i + CELL_AHEAD]);
                prefetch_index(image, &events[i + INDEX_AHEAD]);
                prefetch_slot(image, &events[i + SLOT_AHEAD]);
                return;
        }
        if (i + INDEX_AHEAD < n)
                prefetch_index(image, &events[i + INDEX_AHEAD]);
        if (i + SLOT_AHEAD < n)
                prefetch_slot(image, &events[i + SLOT_AHEAD]);
}

/* Less frequent than allocations and frees. Return: whether the caller wants to see it. */
static bool apply_other(struct image *image, const struct event *event) {
        switch (event->type) {
        case RECORD_MOVE_OUT:
                apply_move_out(image, event);
                return false;
        case RECORD_MOVE_IN:
                apply_move_in(image, event);
                return false;
        case RECORD_MOVE_BACK:
                apply_move_back(image, event);
                return false;
        case RECORD_RELABEL:
                apply_relabel(image, event);
                return false;
        case RECORD_MAP:
        case RECORD_UNMAP:
                apply_map(image, event);
                return false;
        default:
                return apply_rare(image, event);
        }
}

static inline bool apply_event(struct image *image, const struct event *event) {
        if (__builtin_expect(!image->tracing, 0) && is_about_blocks(event->type))
                return false;
        if (event->type == RECORD_ALLOC)
                event_allocated(image, event, event->word[1]);
        else if (event->type == RECORD_FREE)
                apply_free(image, event);
        else
                return apply_other(image, event);
        return false;
}

int image_apply(struct image *image, struct event *events, size_t n, size_t *donep) {
        for (size_t i = 0; i < n && i < CELL_AHEAD; i++)
                prefetch_cell(image, &events[i]);
        for (size_t i = 0; i < n && i < INDEX_AHEAD; i++)
                prefetch_index(image, &events[i]);
        for (size_t i = 0; i < n; i++) {
                prefetch(image, events, i, n);
                if (__builtin_expect(apply_event(image, &events[i]), 0)) {
                        image->events += i + 1;
                        *donep = i + 1;
                        return IMAGE_SPECIAL;
                }
        }
        image->events += n;
        *donep = n;
        return 0;
}
