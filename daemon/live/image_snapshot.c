/* SPDX-License-Identifier: Apache-2.0 */

/* From a cut of an image to a snapshot. Runs on the ingest worker that owns the image; called by
 * daemon/ingest/feed_reader.c. */

#include "daemon/live/image_snapshot.h"

#include "daemon/live/code_map.h"
#include "proto/record.h"
#include "proto/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_SLICE   1024
/* Frames of cut tracebacks that a snapshot looks at, each shared with none: an agent that has more (a million such
 * tracebacks with the default limit) gets the rest without frames, instead of holding up other people's processes. */
#define CUT_FRAMES_MAX (1u << 26)
#define FRAMES_MAX     65535 /* the largest traceback limit; total_nframe saturates here, too, as tracemalloc's does */

/* What a node of the agent's trie became. */
struct node_memo {
        uint32_t node_plus_1;  /* 0: not looked at yet */
        uint32_t total_nframe; /* 0: the depth of node */
        uint32_t group_plus_1; /* of the domain below; 0: none yet */
        uint32_t group_domain;
        uint32_t location_plus_1; /* of a frame of cut tracebacks; 0: not looked at yet */
};

struct image_snapshot {
        struct snapshot_builder *builder;
        const struct node_source *source;
        struct module_map *modules;
        struct domain_map domains;
        struct code_map codes;
        struct cut cut;           /* not open for a peak, nor when it was read */
        struct sums_cut sums_cut; /* not open when it was read */
        struct node_memo *memos;  /* [n_memos] */
        uint32_t n_memos;
        uint32_t unknown_node_plus_1; /* the one frame of a traceback without frames */
        uint32_t *path;               /* scratch of resolve() */
        size_t path_capacity;
        uint32_t cut_frames_left;
        bool peak, broken;
        bool one_block; /* only the smallest that contains address */
        uint64_t address;
        struct trace_block found; /* birth 0: none yet */
};

static void image_snapshot_free(struct image_snapshot *s) {
        cut_close(&s->cut);
        sums_cut_close(&s->sums_cut);
        module_map_unref(s->modules);
        domain_map_deinit(&s->domains);
        code_map_deinit(&s->codes);
        snapshot_builder_free(s->builder);
        free(s->memos);
        free(s->path);
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

static int open_parts(struct image_snapshot *s, struct image *image) {
        int r = snapshot_builder_new(&s->builder);
        if (r == 0)
                r = domain_map_copy(&s->domains, &image->domains);
        if (r == 0)
                r = name_domains(s);
        if (r)
                return r;
        s->memos = calloc(s->n_memos, sizeof *s->memos);
        if (!s->memos)
                return -ENOMEM;
        s->modules = module_map_ref(image->modules);
        if (!s->one_block)
                r = sums_cut_open(&s->sums_cut, image->sums);
        if (r == 0 && !s->peak && image_cut(image, &s->cut))
                return -ENOMEM;
        return r;
}

/* @s: freed on errors */
static int begin(struct image_snapshot *s, struct image *image, enum snapshot_kind kind,
                 const struct node_source *source, struct image_snapshot **snapshotp) {
        s->source = source;
        s->peak = kind == SNAPSHOT_PEAK;
        s->n_memos = source->n_nodes(source);
        s->cut_frames_left = CUT_FRAMES_MAX;
        int r = open_parts(s, image);
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

static int unknown_node(struct image_snapshot *s, uint32_t *nodep) {
        if (!s->unknown_node_plus_1) {
                static const char unknown[] = "<unknown>";
                struct snapshot_location location = {.kind = LOCATION_SOURCE, .function = SNAPSHOT_NONE};
                uint32_t index, node;
                if (snapshot_builder_string(s->builder, unknown, sizeof unknown - 1, &location.filename) ||
                    snapshot_builder_location(s->builder, &location, &index) ||
                    snapshot_builder_node(s->builder, 0, index, &node))
                        return -ENOMEM;
                s->unknown_node_plus_1 = node + 1;
        }
        *nodep = s->unknown_node_plus_1 - 1;
        return 0;
}

static int native_location(struct image_snapshot *s, const struct node_def *def, uint32_t *indexp) {
        struct snapshot_location location = {.kind = LOCATION_NATIVE, .module = SNAPSHOT_NONE, .offset = def->value};
        const struct module_file *file = def->unit ? module_map_find(s->modules, def->unit) : NULL;
        if (file && snapshot_builder_module(s->builder, file->path, file->path_length, file->build_id,
                                            file->build_id_length, &location.module))
                return -ENOMEM;
        return snapshot_builder_location(s->builder, &location, indexp);
}

static int code_location(struct image_snapshot *s, const struct node_def *def, uint32_t *indexp) {
        return code_map_location(&s->codes, s->builder, s->source, def->unit & ~NODE_UNIT_CODE, def->value, indexp);
}

static int frame_location(struct image_snapshot *s, const struct node_def *def, uint32_t *indexp) {
        return def->unit & NODE_UNIT_CODE ? code_location(s, def, indexp) : native_location(s, def, indexp);
}

static uint32_t saturated(uint32_t total_nframe) {
        return total_nframe > FRAMES_MAX ? FRAMES_MAX : total_nframe;
}

/* One node whose parent is known already. Deeper than FRAMES_MAX no agent goes; a hostile one gets its frames cut. */
static int resolve_one(struct image_snapshot *s, struct node_memo *memo, const struct node_def *def, uint32_t parent) {
        uint32_t node = parent, location;
        if (def->unit == NODE_UNIT_DEPTH) {
                memo->total_nframe = def->value > FRAMES_MAX ? FRAMES_MAX : (uint32_t)def->value;
        } else if (snapshot_builder_depth(s->builder, parent) < FRAMES_MAX) {
                int r = frame_location(s, def, &location);
                if (r == 0)
                        r = snapshot_builder_node(s->builder, parent, location, &node);
                if (r)
                        return r;
        }
        memo->node_plus_1 = node + 1;
        return 0;
}

static int push_path(struct image_snapshot *s, size_t n, uint32_t node) {
        if (n == s->path_capacity) {
                size_t capacity = n ? 2 * n : 128;
                uint32_t *path = realloc(s->path, capacity * sizeof *path);
                if (!path)
                        return -ENOMEM;
                s->path = path;
                s->path_capacity = capacity;
        }
        s->path[n] = node;
        return 0;
}

/* A frame of a cut traceback on top of *nodep. */
static int add_cut_frame(struct image_snapshot *s, uint32_t node, uint32_t *nodep) {
        struct node_memo *memo = &s->memos[node];
        struct node_def def;
        if (!memo->location_plus_1) {
                uint32_t location;
                if (s->source->node(s->source, node, &def) || def.unit == NODE_UNIT_DEPTH || def.unit == NODE_UNIT_CUT)
                        return 0; /* hostile; no frame */
                int r = frame_location(s, &def, &location);
                if (r)
                        return r;
                memo->location_plus_1 = location + 1;
        }
        return snapshot_builder_node(s->builder, *nodep, memo->location_plus_1 - 1, nodep);
}

/* NODE_UNIT_CUT: its most recent frames make a traceback of their own, beginning at the root. */
static int resolve_cut(struct image_snapshot *s, struct node_memo *memo, const struct node_def *cut) {
        uint64_t limit = cut->value >> 32;
        uint32_t node = 0;
        size_t n = 0;
        for (uint32_t up = cut->parent; up && n < limit && n < FRAMES_MAX && s->cut_frames_left > 0;
             s->cut_frames_left--) {
                struct node_def def;
                int r = push_path(s, n++, up);
                if (r)
                        return r;
                up = s->source->node(s->source, up, &def) == 0 ? def.parent : 0;
        }
        while (n > 0) {
                int r = add_cut_frame(s, s->path[--n], &node);
                if (r)
                        return r;
        }
        memo->node_plus_1 = node + 1;
        memo->total_nframe = saturated((uint32_t)cut->value);
        return 0;
}

/* Up from the node to the first ancestor that is known, then down again. Each node is looked at once a snapshot. */
static int resolve(struct image_snapshot *s, uint32_t node) {
        size_t n = 0;
        uint32_t up = node;
        struct node_def leaf;
        if (s->source->node(s->source, node, &leaf) == 0 && leaf.unit == NODE_UNIT_CUT)
                return resolve_cut(s, &s->memos[node], &leaf);
        while (up && !s->memos[up].node_plus_1) {
                struct node_def def;
                int r = push_path(s, n++, up);
                if (r)
                        return r;
                up = s->source->node(s->source, up, &def) == 0 ? def.parent : 0;
        }
        uint32_t parent = up ? s->memos[up].node_plus_1 - 1 : 0;
        while (n > 0) {
                struct node_memo *memo = &s->memos[s->path[--n]];
                struct node_def def;
                if (s->source->node(s->source, s->path[n], &def)) {
                        memo->node_plus_1 = parent + 1; /* no such node: no frame */
                        continue;
                }
                if (def.unit == NODE_UNIT_CUT)
                        continue; /* no leaf: hostile; no frame. As a leaf it is another traceback, whichever comes
                                     first */
                int r = resolve_one(s, memo, &def, parent);
                if (r)
                        return r;
                parent = memo->node_plus_1 - 1;
        }
        return 0;
}

/* The group of (node of the agent, domain index). */
static int find_group(struct image_snapshot *s, uint32_t node, unsigned domain, uint32_t *groupp) {
        struct node_memo *memo = &s->memos[node < s->n_memos ? node : 0];
        if (memo->group_plus_1 && memo->group_domain == domain) {
                *groupp = memo->group_plus_1 - 1;
                return 0;
        }
        int r = 0;
        if (memo != s->memos && !memo->node_plus_1)
                r = resolve(s, node);
        uint32_t frame = memo->node_plus_1 ? memo->node_plus_1 - 1 : 0;
        if (r == 0 && frame == 0)
                r = unknown_node(s, &frame);
        if (r)
                return r;
        uint32_t total_nframe = memo->total_nframe ? memo->total_nframe : snapshot_builder_depth(s->builder, frame);
        uint32_t number = domain_map_number(&s->domains, domain);
        r = snapshot_builder_group(s->builder, number, frame, total_nframe, groupp);
        if (r == 0 && !memo->group_plus_1) {
                memo->group_plus_1 = *groupp + 1;
                memo->group_domain = domain;
        }
        return r;
}

static int add_blocks(struct image_snapshot *s, const struct trace_block *blocks, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint32_t group;
                int r = find_group(s, trace_block_node(&blocks[i]), trace_block_domain(&blocks[i]), &group);
                if (r == 0)
                        r = snapshot_builder_group_block(s->builder, group, blocks[i].size, 1);
                if (r)
                        return r;
        }
        return 0;
}

static int add_rows(struct image_snapshot *s, const struct sums_row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const struct sums_row *row = &rows[i];
                uint32_t group;
                if (s->peak ? row->peak_count == 0 : row->allocated_count == 0)
                        continue;
                int r = find_group(s, row->node, row->domain, &group);
                if (r)
                        return r;
                if (s->peak)
                        snapshot_builder_group_sum(s->builder, group, row->peak_size, row->peak_count);
                else
                        snapshot_builder_group_allocated(s->builder, group, row->allocated_size, row->allocated_count);
        }
        return 0;
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
        return add_blocks(s, &s->found, 1);
}

/* One slice. Return: 0; 1: nothing is left; -ENOMEM. */
static int read_slice(struct image_snapshot *s) {
        size_t n;
        if (s->cut.table) {
                struct trace_block blocks[ROWS_A_SLICE];
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
        if (!s->sums_cut.sums)
                return 1;
        struct sums_row rows[ROWS_A_SLICE];
        int r = sums_cut_read(&s->sums_cut, rows, ROWS_A_SLICE, &n);
        if (r == SUMS_CUT_E_BROKEN)
                return -ENOMEM;
        if (r == SUMS_CUT_END)
                sums_cut_close(&s->sums_cut);
        return r == SUMS_CUT_END ? 0 : add_rows(s, rows, n);
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
