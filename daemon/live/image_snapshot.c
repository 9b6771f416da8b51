/* SPDX-License-Identifier: Apache-2.0 */

/* From a cut of an image to a snapshot. Runs on the ingest worker that owns the image; called by
 * daemon/ingest/feed_reader.c. */

#include "daemon/live/image_snapshot.h"

#include "daemon/live/node_map.h"
#include "proto/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_SLICE 1024

/* What blocks of a slot of the sums are in the snapshot. */
struct slot_memo {
        uint32_t index;        /* node of the builder, and later group there */
        uint16_t total_nframe; /* at most NODE_MAP_FRAMES_MAX; 0: no traceback of the snapshot */
        bool has_group;
};

/* First all tracebacks, then what was allocated by them: what finds nodes and what finds groups are never there at the
 * same time, and together would be more than the snapshot. */
struct image_snapshot {
        struct snapshot_builder *builder;
        struct node_map nodes; /* until all tracebacks are there */
        struct domain_map domains;
        struct cut cut;           /* not open for a peak, nor when it was read */
        struct sums_cut sums_cut; /* not open when it was read, nor for one block */
        struct slot_memo *slots;  /* [sums_cut.n_slots] */
        bool peak;
        bool one_block; /* only the smallest that contains address */
        bool has_nodes; /* the first reading of the sums is done */
        uint64_t address;
        struct trace_block found; /* birth 0: none yet */
};

static void image_snapshot_free(struct image_snapshot *s) {
        cut_close(&s->cut);
        sums_cut_close(&s->sums_cut);
        node_map_deinit(&s->nodes);
        domain_map_deinit(&s->domains);
        snapshot_builder_free(s->builder);
        free(s->slots);
        free(s);
}

static int name_domains(struct image_snapshot *s) {
        for (unsigned i = DOMAIN_INDEX_FIRST_FREE; i <= DOMAIN_INDEX_MAX; i++) {
                const struct domain_def *def = domain_map_find(&s->domains, i);
                if (def && def->name_length &&
                    snapshot_builder_domain(s->builder, def->number, def->name, def->name_length))
                        return -ENOMEM;
        }
        return 0;
}

static int open_sums(struct image_snapshot *s, struct image *image) {
        int r = sums_cut_open(&s->sums_cut, image->sums);
        if (r)
                return r;
        s->slots = calloc(s->sums_cut.n_slots, sizeof *s->slots);
        return s->slots ? 0 : -ENOMEM;
}

static int open_parts(struct image_snapshot *s, struct image *image, const struct node_source *source) {
        int r = snapshot_builder_new(&s->builder);
        if (r == 0)
                r = domain_map_copy(&s->domains, &image->domains);
        if (r == 0)
                r = name_domains(s);
        if (r)
                return r;
        r = node_map_init(&s->nodes, s->builder, source, image->modules);
        if (r == 0 && !s->one_block)
                r = open_sums(s, image);
        if (r == 0 && !s->peak && image_cut(image, &s->cut))
                return -ENOMEM;
        return r;
}

/* @s: freed on errors */
static int begin(struct image_snapshot *s, struct image *image, enum snapshot_kind kind,
                 const struct node_source *source, struct image_snapshot **snapshotp) {
        s->peak = kind == SNAPSHOT_PEAK;
        int r = open_parts(s, image, source);
        if (r) {
                image_snapshot_free(s);
                return r;
        }
        struct snapshot_info *info = snapshot_builder_info(s->builder);
        const struct image_phase *phase = s->peak ? image_peak_phase(image) : &image->phase;
        if (phase->length)
                info->label = strndup(phase->label, phase->length); /* without memory it has none */
        info->kind = kind;
        info->lost = image_lost(image);
        info->exact = image_is_exact(image);
        info->sizes_known = !s->peak;
        info->allocated_known = !s->peak && !s->one_block;
        *snapshotp = s;
        return 0;
}

int image_snapshot_begin(struct image *image, enum snapshot_kind kind, const struct node_source *source,
                         struct image_snapshot **snapshotp) {
        struct image_snapshot *s = calloc(1, sizeof *s);
        return s ? begin(s, image, kind, source, snapshotp) : -ENOMEM;
}

/* Mappings lie in a map of their own, in order of address. */
static void find_mapping(struct image_snapshot *s, const struct image *image) {
        struct interval mapping;
        if (interval_map_find(&image->mappings, s->address, &mapping))
                s->found = (struct trace_block){.address = mapping.start,
                                                .size = mapping.length,
                                                .node_domain = mapping.node | DOMAIN_INDEX_MMAP << TRACE_NODE_BITS,
                                                .birth = 1};
}

int image_snapshot_begin_block(struct image *image, uint64_t address, const struct node_source *source,
                               struct image_snapshot **snapshotp) {
        struct image_snapshot *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->one_block = true;
        s->address = address;
        find_mapping(s, image);
        return begin(s, image, SNAPSHOT_LIVE, source, snapshotp);
}

/* Return: 0; 1: nothing is left; -ENOMEM. */
static int read_sums(struct image_snapshot *s, struct sums_row *rows, size_t *np) {
        int r = sums_cut_read(&s->sums_cut, rows, ROWS_A_SLICE, np);
        return r == SUMS_CUT_E_BROKEN ? -ENOMEM : r == SUMS_CUT_END;
}

static void end_nodes(struct image_snapshot *s) {
        node_map_deinit(&s->nodes);
        snapshot_builder_nodes_done(s->builder);
        sums_cut_rewind(&s->sums_cut);
        s->has_nodes = true;
}

static bool is_wanted(const struct image_snapshot *s, const struct sums_row *row) {
        return s->peak ? row->peak_count > 0 : row->live_count > 0 || row->allocated_count > 0;
}

static int add_nodes(struct image_snapshot *s) {
        struct sums_row rows[ROWS_A_SLICE];
        size_t n = 0;
        int r = read_sums(s, rows, &n);
        if (r > 0)
                end_nodes(s);
        for (size_t i = 0; r == 0 && i < n; i++) {
                struct slot_memo *slot = &s->slots[rows[i].slot];
                uint32_t total_nframe;
                if (slot->total_nframe > 0 || !is_wanted(s, &rows[i]))
                        continue;
                r = node_map_traceback(&s->nodes, rows[i].node, &slot->index, &total_nframe);
                slot->total_nframe = r ? 0 : (uint16_t)total_nframe;
        }
        return r < 0 ? r : 0;
}

/* The group of a slot whose traceback is there. */
static int find_group(struct image_snapshot *s, uint32_t index, unsigned domain, uint32_t *groupp) {
        struct slot_memo *slot = &s->slots[index];
        int r = 0;
        if (!slot->has_group) {
                assert(slot->total_nframe > 0);
                r = snapshot_builder_group(s->builder, domain_map_number(&s->domains, domain), slot->index,
                                           slot->total_nframe, &slot->index);
                slot->has_group = r == 0;
        }
        *groupp = slot->index;
        return r;
}

/* Each block of the cut was counted into its slot before. */
static int add_blocks(struct image_snapshot *s, const struct trace_block *blocks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                unsigned domain = trace_block_domain(&blocks[i]);
                uint32_t group, slot = traceback_sums_find(s->sums_cut.sums, trace_block_node(&blocks[i]), domain);
                assert(slot > 0 && slot < s->sums_cut.n_slots);
                int r = find_group(s, slot, domain, &group);
                if (r == 0)
                        r = snapshot_builder_group_block(s->builder, group, blocks[i].size, 1);
                if (r)
                        return r;
        }
        return 0;
}

static int add_sums(struct image_snapshot *s) {
        struct sums_row rows[ROWS_A_SLICE];
        size_t n = 0;
        int r = read_sums(s, rows, &n);
        if (r > 0)
                sums_cut_close(&s->sums_cut);
        for (size_t i = 0; r == 0 && i < n; i++) {
                const struct sums_row *row = &rows[i];
                uint32_t group;
                if (s->peak ? row->peak_count == 0 : row->allocated_count == 0)
                        continue;
                r = find_group(s, row->slot, row->domain, &group);
                if (r)
                        break;
                if (s->peak)
                        snapshot_builder_group_sum(s->builder, group, row->peak_size, row->peak_count);
                else
                        snapshot_builder_group_allocated(s->builder, group, row->allocated_size, row->allocated_count);
        }
        return r < 0 ? r : 0;
}

/* A block of no bytes has an address all the same. Of two at one place (a program's own domain over malloc's) the
 * allocator's is meant. */
static void look_at_blocks(struct image_snapshot *s, const struct trace_block *blocks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t start = blocks[i].address, size = blocks[i].size;
                if (s->address < start || s->address - start >= (size ? size : 1))
                        continue;
                bool smaller = size < s->found.size;
                bool allocator = size == s->found.size && trace_key_space(trace_block_domain(&blocks[i])) == 0;
                if (!s->found.birth || smaller || allocator)
                        s->found = blocks[i];
        }
}

static int add_found(struct image_snapshot *s) {
        if (!s->found.birth)
                return 0;
        snapshot_builder_info(s->builder)->block_address = s->found.address;
        uint32_t node, total_nframe;
        int r = node_map_traceback(&s->nodes, trace_block_node(&s->found), &node, &total_nframe);
        uint32_t number = domain_map_number(&s->domains, trace_block_domain(&s->found));
        return r ? r : snapshot_builder_block(s->builder, number, node, total_nframe, s->found.size, 1);
}

static int read_blocks(struct image_snapshot *s) {
        struct trace_block blocks[ROWS_A_SLICE];
        size_t n;
        int r = cut_read(&s->cut, blocks, ROWS_A_SLICE, &n);
        if (r == CUT_E_BROKEN)
                return -ENOMEM;
        if (r == CUT_END) {
                cut_close(&s->cut);
                return s->one_block ? add_found(s) : 0;
        }
        if (!s->one_block)
                return add_blocks(s, blocks, n);
        look_at_blocks(s, blocks, n);
        return 0;
}

/* One slice. Return: 0; 1: nothing is left; -ENOMEM. */
static int read_slice(struct image_snapshot *s) {
        if (snapshot_builder_grow_ahead(s->builder))
                return 0;
        if (s->sums_cut.sums && !s->has_nodes)
                return add_nodes(s);
        if (s->cut.table)
                return read_blocks(s);
        return s->sums_cut.sums ? add_sums(s) : 1;
}

int image_snapshot_step(struct image_snapshot *s, size_t n) {
        for (size_t done = 0; done < n; done += ROWS_A_SLICE / 2) {
                int r = read_slice(s);
                if (r)
                        return r > 0 ? 0 : r;
        }
        return IMAGE_SNAPSHOT_MORE;
}

struct snapshot_builder *image_snapshot_finish(struct image_snapshot *s) {
        assert(!s->cut.table && !s->sums_cut.sums);
        struct snapshot_builder *builder = s->builder;
        s->builder = NULL;
        image_snapshot_free(s);
        return builder;
}

struct image_snapshot *image_snapshot_cancel(struct image_snapshot *s) {
        if (s)
                image_snapshot_free(s);
        return NULL;
}
