/* SPDX-License-Identifier: Apache-2.0 */

/* Images that outlive the daemon. Commits run on the ingest worker, called by feed_reader.c; adoption on the main loop,
 * called by feed.c. */

#include "daemon/live/image_kept.h"

#include "daemon/live/image_fork.h"
#include "proto/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept_counters {
        uint64_t forks_dropped, events, unknown_frees, lost, lost_told, lost_records, lost_forgotten, exit_status;
        uint32_t fork_dropped_token;
        uint8_t tracing, begun_inexact, exit_seen, exec_pending, farewell, cut_off;
        struct image_phase phase, old_peak;
        uint64_t phase_peak_size;
};

/* Followed by n_domains struct sums_total, n_moves struct move, n_forks struct kept_fork. */
struct kept_image {
        struct kept_reader reader;
        struct kept_table table;
        struct kept_sums sums;
        struct kept_counters counters;
        uint64_t journal_bytes, next_window;
        uint64_t n_moves;
        uint32_t n_forks, zero;
};

/* Newest first, as the image has them. */
struct kept_fork {
        struct kept_cut cut;
        uint32_t token, pid, n_modules, exact;
        struct image_phase phase;
};

/* Followed by the path, or the name, and padding to 8. */
struct journal_entry {
        uint32_t length; /* of what follows, without the padding */
        uint32_t what;   /* generation of a module, or JOURNAL_DOMAIN and the index of a domain */
        uint32_t number; /* of a domain */
        uint8_t build_id_length;
        uint8_t build_id[MODULE_BUILD_ID_MAX];
};
#define JOURNAL_DOMAIN UINT32_C(0x80000000)

/* ---- journal ---- */

static void append(struct image *image, struct journal_entry *entry, const void *text, size_t length) {
        union {
                struct journal_entry entry;
                char bytes[sizeof(struct journal_entry) + MODULE_PATH_MAX + 8];
        } buffer = {};
        entry->length = (uint32_t)(length < MODULE_PATH_MAX ? length : MODULE_PATH_MAX);
        buffer.entry = *entry;
        if (entry->length)
                memcpy(buffer.bytes + sizeof *entry, text, entry->length);
        size_t bytes = (sizeof *entry + entry->length + 7) / 8 * 8;
        if (keep_append(image->keep, buffer.bytes, bytes))
                keep_fail(image->keep);
}

void image_journal_module(struct image *image, uint32_t generation, const void *path, size_t path_length,
                          const uint8_t *build_id, size_t build_id_length) {
        struct journal_entry entry = {.what = generation};
        if (module_map_find(image->modules, generation))
                return; /* the first definition stays */
        entry.build_id_length =
                (uint8_t)(build_id_length < MODULE_BUILD_ID_MAX ? build_id_length : MODULE_BUILD_ID_MAX);
        if (entry.build_id_length)
                memcpy(entry.build_id, build_id, entry.build_id_length);
        append(image, &entry, path, path_length);
}

void image_journal_domain(struct image *image, unsigned index, uint32_t number, const void *name, size_t name_length) {
        struct journal_entry entry = {.what = JOURNAL_DOMAIN | index, .number = number};
        append(image, &entry, name, name_length < DOMAIN_NAME_MAX ? name_length : DOMAIN_NAME_MAX);
}

static int read_journal(struct image *image, uint64_t bytes) {
        const char *journal = keep_journal(image->keep, bytes);
        int r = journal ? 0 : IMAGE_E_BROKEN;
        for (uint64_t i = 0; r == 0 && i < bytes;) {
                struct journal_entry entry;
                if (bytes - i < sizeof entry)
                        return IMAGE_E_BROKEN;
                memcpy(&entry, journal + i, sizeof entry);
                uint64_t length = (sizeof entry + (uint64_t)entry.length + 7) / 8 * 8;
                if (length > bytes - i || entry.build_id_length > MODULE_BUILD_ID_MAX)
                        return IMAGE_E_BROKEN;
                const char *text = journal + i + sizeof entry;
                unsigned index = entry.what & 255;
                if (!(entry.what & JOURNAL_DOMAIN))
                        r = module_map_add(image->modules, entry.what, text, entry.length, entry.build_id,
                                           entry.build_id_length);
                else
                        r = domain_map_add(&image->domains, index, entry.number, text, entry.length);
                i += length;
        }
        return r > 0 ? IMAGE_E_BROKEN : r;
}

/* ---- commit ---- */

static void keep_counters(const struct image *image, struct kept_counters *c) {
        *c = (struct kept_counters){.forks_dropped = image->forks_dropped,
                                    .events = image->events,
                                    .unknown_frees = image->unknown_frees,
                                    .lost = image->lost,
                                    .lost_told = image->lost_told,
                                    .lost_records = image->lost_records,
                                    .lost_forgotten = image->lost_forgotten,
                                    .exit_status = image->exit_status,
                                    .fork_dropped_token = image->fork_dropped_token,
                                    .tracing = image->tracing,
                                    .begun_inexact = image->begun_inexact,
                                    .exit_seen = image->exit_seen,
                                    .exec_pending = image->exec_pending,
                                    .farewell = image->farewell,
                                    .cut_off = image->cut_off,
                                    .phase = image->phase,
                                    .old_peak = image->old_peak,
                                    .phase_peak_size = image->phase_peak_size};
}

/* A fork of a table that was cleared since is not kept: its child will begin inexact. */
static uint32_t keep_forks(const struct image *image, struct kept_fork *kept) {
        uint32_t n = 0;
        for (const struct image_fork *fork = image->forks; fork; fork = fork->next) {
                if (fork->cut.table != image->table || !fork->cut.side_region.memory)
                        continue;
                kept[n] = (struct kept_fork){.token = fork->token,
                                             .pid = fork->pid,
                                             .n_modules = fork->n_modules,
                                             .exact = fork->exact,
                                             .phase = fork->phase};
                cut_keep_record(&fork->cut, &kept[n++].cut);
        }
        return n;
}

void image_commit(struct image *image, const struct kept_reader *reader) {
        struct keep *keep = image->keep;
        if (!keep || !image->table)
                return;
        const struct traceback_sums *sums = image->sums;
        size_t n_moves = image->moves.n_moves;
        size_t bytes = sizeof(struct kept_image) + sums->n_domains * sizeof(struct sums_total) +
                       n_moves * sizeof(struct move) + image->n_forks * sizeof(struct kept_fork);
        struct kept_image *kept = keep_begin(keep, bytes);
        if (!kept)
                return;
        kept->reader = *reader;
        trace_table_keep(image->table, &kept->table);
        traceback_sums_keep(sums, &kept->sums);
        keep_counters(image, &kept->counters);
        kept->journal_bytes = keep->journal_bytes;
        kept->next_window = keep->next_window;
        kept->n_moves = n_moves;
        struct sums_total *domains = (struct sums_total *)(kept + 1);
        memcpy(domains, sums->domains, sums->n_domains * sizeof *domains);
        struct move *moves = (struct move *)(domains + sums->n_domains);
        if (n_moves)
                memcpy(moves, image->moves.moves, n_moves * sizeof *moves);
        kept->n_forks = keep_forks(image, (struct kept_fork *)(moves + n_moves));
        keep_commit(keep);
}

/* ---- adoption ---- */

static void adopt_counters(struct image *image, const struct kept_counters *c) {
        image->forks_dropped = c->forks_dropped;
        image->events = c->events;
        image->unknown_frees = c->unknown_frees;
        image->lost = c->lost;
        image->lost_told = c->lost_told;
        image->lost_records = c->lost_records;
        image->lost_forgotten = c->lost_forgotten;
        image->exit_status = c->exit_status;
        image->fork_dropped_token = c->fork_dropped_token;
        image->tracing = c->tracing;
        image->begun_inexact = c->begun_inexact;
        image->exit_seen = c->exit_seen;
        image->exec_pending = c->exec_pending;
        image->farewell = c->farewell;
        image->cut_off = c->cut_off;
        image->phase = c->phase;
        image->old_peak = c->old_peak;
        image->phase_peak_size = c->phase_peak_size;
}

static int adopt_moves(struct image *image, const struct move *moves, uint64_t n) {
        int r = n > MOVES_MAX ? IMAGE_E_BROKEN : 0;
        for (uint64_t i = 0; r == 0 && i < n; i++)
                r = move_map_put(&image->moves, moves[i].position, &moves[i].block);
        return r;
}

/* The oldest first: each becomes the newest of the image and of the table. */
static int adopt_forks(struct image *image, const struct kept_fork *kept, uint32_t n) {
        if (n > IMAGE_FORKS_MAX)
                return IMAGE_E_BROKEN;
        while (n-- > 0) {
                struct image_fork *fork = calloc(1, sizeof *fork);
                int r = fork && domain_map_copy(&fork->domains, &image->domains) == 0 ? 0 : -ENOMEM;
                if (r == 0)
                        r = cut_adopt(&fork->cut, image->table, &kept[n].cut);
                if (r) {
                        image_fork_free(fork);
                        return r;
                }
                fork->modules = module_map_ref(image->modules);
                fork->n_modules = kept[n].n_modules;
                fork->token = kept[n].token;
                fork->pid = kept[n].pid;
                fork->exact = kept[n].exact;
                fork->phase = kept[n].phase;
                fork->next = image->forks;
                image->forks = fork;
                image->n_forks++;
        }
        return 0;
}

static int adopt_mapping(void *data, const struct trace_block *block) {
        struct image *image = data;
        if (trace_block_domain(block) != DOMAIN_INDEX_MMAP || block->size == 0)
                return 0;
        struct interval piece = {.start = block->address, .length = block->size, .node = trace_block_node(block)};
        return interval_map_insert(&image->mappings, &piece) ? -ENOMEM : 0;
}

static int adopt_mappings(struct image *image) {
        if (image->sums->domains[DOMAIN_INDEX_MMAP].live_count == 0)
                return 0;
        return trace_table_each(image->table, adopt_mapping, image);
}

static int find_node(void *data, const struct trace_block *block) {
        const struct traceback_sums *sums = data;
        uint32_t node = trace_block_node(block);
        return node >= sums->index_capacity || sums->index[node] == 0;
}

/* What a daemon left is believed as far as it agrees with itself: the next one shall not die of it. */
static bool is_sound(const struct image *image) {
        return traceback_sums_is_sound(image->sums) && trace_table_is_sound(image->table) &&
               image->table->count + image->moves.n_moves == image->sums->total.live_count &&
               trace_table_each(image->table, find_node, image->sums) == 0;
}

static int compare_ranges(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;
        return x[0] < y[0] ? -1 : x[0] > y[0];
}

static void add_range(uint64_t (*ranges)[2], size_t *np, const struct region *region) {
        if (!region->memory)
                return;
        ranges[*np][0] = region->offset;
        ranges[(*np)++][1] = region->offset + region->reserved;
}

/* What a daemon that died had begun, or had not come to give back, is in no record. */
static void sweep(struct image *image) {
        uint64_t ranges[IMAGE_FORKS_MAX + 5][2];
        size_t n = 0;
        add_range(ranges, &n, &image->table->current.region);
        add_range(ranges, &n, &image->table->old.region);
        add_range(ranges, &n, &image->table->wide.region);
        add_range(ranges, &n, &image->sums->index_region);
        add_range(ranges, &n, &image->sums->slots_region);
        for (const struct image_fork *fork = image->forks; fork; fork = fork->next)
                add_range(ranges, &n, &fork->cut.side_region);
        qsort(ranges, n, sizeof ranges[0], compare_ranges);
        keep_sweep(image->keep, (const uint64_t(*)[2])ranges, n);
}

static int adopt_state(struct image *image, const struct kept_image *kept, size_t bytes) {
        uint64_t need = sizeof *kept;
        if (kept->sums.n_domains > 256 || kept->n_moves > MOVES_MAX || kept->n_forks > IMAGE_FORKS_MAX)
                return IMAGE_E_BROKEN;
        need += kept->sums.n_domains * sizeof(struct sums_total) + kept->n_moves * sizeof(struct move) +
                kept->n_forks * sizeof(struct kept_fork);
        if (need > bytes)
                return IMAGE_E_BROKEN;
        const struct sums_total *domains = (const struct sums_total *)(kept + 1);
        const struct move *moves = (const struct move *)(domains + kept->sums.n_domains);
        image->keep->next_window = kept->next_window;
        adopt_counters(image, &kept->counters);
        if (kept->reader.waits_for_parent) {
                /* What it took over from its parent did not come to count, but may lie in the windows that come next:
                 * new tables are to be empty. */
                keep_sweep(image->keep, NULL, 0);
                return image_open_state(image);
        }
        int r = read_journal(image, kept->journal_bytes);
        if (r == 0)
                r = trace_table_adopt(image->charge, image->keep, &kept->table, &image->table);
        if (r == 0)
                r = traceback_sums_adopt(image->charge, image->keep, &kept->sums, domains, &image->sums);
        if (r == 0)
                r = adopt_moves(image, moves, kept->n_moves);
        if (r == 0)
                r = adopt_forks(image, (const struct kept_fork *)(moves + kept->n_moves), kept->n_forks);
        if (r == 0 && !is_sound(image))
                r = IMAGE_E_BROKEN;
        if (r == 0)
                r = adopt_mappings(image);
        return r > 0 ? IMAGE_E_BROKEN : r;
}

int image_adopt(struct image *image, struct keep *keep, uint64_t memory_limit, struct kept_reader *readerp) {
        size_t bytes;
        const struct kept_image *kept = keep_record(keep, &bytes);
        if (!kept || bytes < sizeof *kept)
                return IMAGE_E_BROKEN;
        *readerp = kept->reader;
        *image = (struct image){.keep = keep};
        image->charge = charge_new(memory_limit ? memory_limit : UINT64_MAX);
        int r = image->charge ? module_map_new(image->charge, &image->modules) : -ENOMEM;
        if (r == 0)
                interval_map_init(&image->mappings, image->charge);
        if (r == 0)
                r = adopt_state(image, kept, bytes);
        if (r) {
                image_deinit(image);
                return r;
        }
        if (!kept->reader.waits_for_parent)
                sweep(image);
        keep->dirty = true;
        return 0;
}
