/* SPDX-License-Identifier: Apache-2.0 */

/* The live state of one image. Runs on the ingest worker that owns it; called by daemon/ingest/feed_reader.c. */

#include "daemon/live/image.h"

#include "daemon/live/image_kept.h"
#include "proto/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* events between the prefetch of a line and its use, each about the latency of a cache miss */
#define SLOT_AHEAD  4
#define INDEX_AHEAD 8
#define CELL_AHEAD  16

int image_open_state(struct image *image) {
        struct trace_table *table;
        struct traceback_sums *sums;
        int r = trace_table_new(image->charge, image->keep, &table);
        if (r)
                return r < 0 ? r : IMAGE_E_FULL;
        r = traceback_sums_new(image->charge, image->keep, &sums);
        if (r) {
                trace_table_unref(table);
                return r;
        }
        image->table = table;
        image->sums = sums;
        return 0;
}

int image_init(struct image *image, struct keep *keep, uint64_t memory_limit) {
        *image = (struct image){.keep = keep, .tracing = true};
        image->charge = charge_new(memory_limit ? memory_limit : UINT64_MAX);
        if (!image->charge)
                return -ENOMEM;
        int r = module_map_new(image->charge, &image->modules);
        if (r == 0)
                r = image_open_state(image);
        if (r) {
                module_map_unref(image->modules);
                image->charge = charge_unref(image->charge);
                return r;
        }
        interval_map_init(&image->mappings, image->charge);
        return 0;
}

void image_release(struct image *image) {
        interval_map_deinit(&image->mappings);
        move_map_deinit(&image->moves);
        domain_map_deinit(&image->domains);
        image->modules = module_map_unref(image->modules);
        image->table = trace_table_unref(image->table);
        image->sums = traceback_sums_unref(image->sums);
}

void image_deinit(struct image *image) {
        if (!image->charge)
                return;
        while (image->forks) {
                struct image_fork *fork = image->forks;
                image->forks = fork->next;
                image_fork_free(fork);
        }
        image_release(image);
        charge_unref(image->charge);
        *image = (struct image){};
}

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

/* A cut of the blocks, those in realloc included. */
int image_cut(struct image *image, struct cut *cut) {
        int r = cut_open(cut, image->table);
        for (size_t i = 0; r == 0 && i < image->moves.n_moves; i++)
                cut_add(cut, &image->moves.moves[i].block);
        return r;
}

/* The same for a child. Its heap has no thread in realloc any more: such a block is where it was, unless its address
 * is somebody else's already. */
static int cut_for_child(struct image *image, struct cut *cut) {
        int r = cut_open_kept(cut, image->table, image->moves.n_moves);
        for (size_t i = 0; r == 0 && i < image->moves.n_moves; i++) {
                const struct trace_block *block = &image->moves.moves[i].block;
                unsigned domain = trace_block_domain(block);
                uint64_t address = block->address, hash = trace_table_hash(image->table, domain, address);
                if (!trace_table_find(image->table, hash, domain, address))
                        cut_add(cut, block);
        }
        return r;
}

static void unlink_fork(struct image *image, struct image_fork *fork) {
        struct image_fork **link = &image->forks;
        while (*link != fork)
                link = &(*link)->next;
        *link = fork->next;
        image->n_forks--;
}

static void drop_oldest_fork(struct image *image) {
        struct image_fork *fork = image->forks;
        while (fork->next)
                fork = fork->next;
        unlink_fork(image, fork);
        image->forks_dropped++;
        image->fork_dropped_token = fork->token;
        image_fork_free(fork);
}

/* Whatever fails here, the child will find no table and start inexact. */
static void apply_fork(struct image *image, const struct event *event) {
        if (image->n_forks == IMAGE_FORKS_MAX)
                drop_oldest_fork(image);
        struct image_fork *fork = calloc(1, sizeof *fork);
        if (!fork)
                return;
        if (domain_map_copy(&fork->domains, &image->domains) || cut_for_child(image, &fork->cut)) {
                domain_map_deinit(&fork->domains);
                free(fork);
                return;
        }
        fork->modules = module_map_ref(image->modules);
        fork->n_modules = image->modules->n_entries;
        fork->phase = image->phase;
        fork->token = event->argument;
        fork->exact = image_is_exact(image);
        fork->next = image->forks;
        image->forks = fork;
        image->n_forks++;
}

static void apply_fork_done(struct image *image, const struct event *event) {
        for (struct image_fork *fork = image->forks; fork; fork = fork->next) {
                if (fork->token != event->argument)
                        continue;
                fork->pid = (uint32_t)event->word[0];
                if (fork->pid == 0) {
                        unlink_fork(image, fork);
                        image_fork_free(fork);
                }
                return;
        }
}

/* Everything but blocks. Return: whether the caller wants to see it. */
static bool apply_rare(struct image *image, const struct event *event) {
        switch (event->type) {
        case RECORD_LOST:
                image->lost_records += event->word[0];
                return false;
        case RECORD_FORK:
                apply_fork(image, event);
                return true;
        case RECORD_FORK_DONE:
                apply_fork_done(image, event);
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

int image_module_load(struct image *image, uint32_t generation, const void *path, size_t path_length,
                      const uint8_t *build_id, size_t build_id_length) {
        if (image->keep)
                image_journal_module(image, generation, path, path_length, build_id, build_id_length);
        int r = module_map_add(image->modules, generation, path, path_length, build_id, build_id_length);
        return r > 0 ? IMAGE_E_FULL : r;
}

int image_domain(struct image *image, unsigned index, uint32_t number, const void *name, size_t name_length) {
        if (image->keep)
                image_journal_domain(image, index, number, name, name_length);
        return domain_map_add(&image->domains, index, number, name, name_length);
}

const struct image_phase *image_peak_phase(const struct image *image) {
        return image->sums->total.peak_size != image->phase_peak_size ? &image->phase : &image->old_peak;
}

/* The peak so far is the old phase's if it rose in it: that is all there is to do, and nothing at each event. */
void image_begin_phase(struct image *image, const void *label, size_t length) {
        image->old_peak = *image_peak_phase(image);
        image->phase_peak_size = image->sums->total.peak_size;
        image->phase.length = (uint8_t)(length < IMAGE_PHASE_BYTES_MAX ? length : IMAGE_PHASE_BYTES_MAX);
        if (length)
                memcpy(image->phase.label, label, image->phase.length);
}

void image_cut_off(struct image *image) {
        if (!image->farewell)
                image->cut_off = true;
}

void image_lost_told(struct image *image, uint64_t lost_events) {
        image->lost_told = lost_events;
}

void image_lose(struct image *image, uint64_t n) {
        image->lost += n;
}

/* The agent's counter runs ahead of its LOST records; after its death the counter is the better witness. */
static uint64_t lost_ever(const struct image *image) {
        return image->lost + (image->lost_told > image->lost_records ? image->lost_told : image->lost_records);
}

uint64_t image_lost(const struct image *image) {
        return lost_ever(image) - image->lost_forgotten;
}

bool image_is_exact(const struct image *image) {
        return !image->begun_inexact && !image->cut_off && image_lost(image) == 0;
}

int image_clear(struct image *image) {
        struct trace_table *table = image->table;
        struct traceback_sums *sums = image->sums;
        int r = image_open_state(image);
        if (r)
                return r < 0 ? r : -ENOMEM;
        trace_table_unref(table);
        traceback_sums_unref(sums);
        move_map_deinit(&image->moves);
        interval_map_deinit(&image->mappings);
        interval_map_init(&image->mappings, image->charge);
        image->lost_forgotten = lost_ever(image);
        image->begun_inexact = false;
        image->old_peak = image->phase;
        image->phase_peak_size = 0;
        return 0;
}

int image_stop(struct image *image) {
        int r = image_clear(image);
        if (r == 0)
                image->tracing = false;
        return r;
}

void image_start(struct image *image) {
        image->tracing = true;
        image->lost_forgotten = lost_ever(image);
}

void image_reset_peak(struct image *image) {
        traceback_sums_reset_peak(image->sums);
        image->old_peak = image->phase;
        image->phase_peak_size = image->sums->total.peak_size;
}

struct image_fork *image_fork_take(struct image *image, uint32_t token) {
        for (struct image_fork *fork = image->forks; fork; fork = fork->next) {
                if (fork->token == token) {
                        unlink_fork(image, fork);
                        return fork;
                }
        }
        return NULL;
}

struct image_fork *image_fork_find(struct image *image, uint32_t token) {
        struct image_fork *fork = image->forks;
        while (fork && fork->token != token)
                fork = fork->next;
        return fork;
}

struct image_fork *image_fork_free(struct image_fork *fork) {
        if (!fork)
                return NULL;
        cut_close(&fork->cut);
        module_map_unref(fork->modules);
        domain_map_deinit(&fork->domains);
        free(fork);
        return NULL;
}

int image_fork_begin(struct image *child, struct image_fork *fork) {
        if (!fork->exact)
                child->begun_inexact = true;
        child->phase = fork->phase;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < fork->n_modules && i < fork->modules->n_entries; i++) {
                const struct module_entry *module = &fork->modules->entries[i];
                r = image_module_load(child, module->generation, module->file->path, module->file->path_length,
                                      module->file->build_id, module->file->build_id_length);
        }
        for (unsigned i = DOMAIN_INDEX_FIRST_FREE; r == 0 && i <= DOMAIN_INDEX_MAX; i++) {
                const struct domain_def *def = domain_map_find(&fork->domains, i);
                if (def)
                        r = image_domain(child, i, def->number, def->name, def->name_length);
        }
        return r;
}

static void adopt(struct image *child, const struct trace_block *block) {
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

int image_fork_step(struct image *child, struct image_fork *fork, size_t n) {
        struct trace_block blocks[2 * CUT_READ_MIN];
        for (size_t done = 0; done < n; done += sizeof blocks / sizeof blocks[0]) {
                size_t got;
                int r = cut_read(&fork->cut, blocks, sizeof blocks / sizeof blocks[0], &got);
                if (r == CUT_E_BROKEN)
                        child->begun_inexact = true;
                if (r) {
                        child->inherited_size = child->sums->total.live_size;
                        return 0;
                }
                for (size_t i = 0; i < got; i++)
                        adopt(child, &blocks[i]);
        }
        return IMAGE_MORE;
}

void image_check(const struct image *image) {
        trace_table_check(image->table);
        traceback_sums_check(image->sums);
        interval_map_check(&image->mappings);
        assert(image->table->count + image->moves.n_moves == image->sums->total.live_count);
        unsigned n_forks = 0;
        for (const struct image_fork *fork = image->forks; fork; fork = fork->next)
                n_forks++;
        assert(n_forks == image->n_forks);
}
