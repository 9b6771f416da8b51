/* SPDX-License-Identifier: Apache-2.0 */

/* Tracebacks of a snapshot. Runs on the ingest worker that owns the image; called by image_snapshot.c. */

#include "daemon/live/node_map.h"

#include "proto/ring.h"

#include <errno.h>
#include <stdlib.h>

/* Frames of cut tracebacks that a snapshot looks at, each shared with none: an agent that has more (a million such
 * tracebacks with the default limit) gets the rest without frames, instead of holding up other people's processes. */
#define CUT_FRAMES_MAX (1u << 26)

#define MEMO_KIND_BITS  2
#define MEMO_VALUE_BITS (32 - MEMO_KIND_BITS)

enum memo_kind {
        MEMO_NONE = 0,     /* not looked at yet */
        MEMO_FRAME = 1,    /* the builder's node of its path; its location is the node's own */
        MEMO_NO_FRAME = 2, /* the same, but it added no frame to its parent's */
        MEMO_LOCATION = 3, /* only what its frame is, for cut tracebacks */
};

_Static_assert(NODE_CAPACITY_MAX + (uint64_t)CUT_FRAMES_MAX + 2 < UINT64_C(1) << MEMO_VALUE_BITS,
               "the builder has no more nodes, and no more locations");

static enum memo_kind memo_kind(const struct node_map *map, uint32_t node) {
        return (enum memo_kind)(map->memos[node] >> MEMO_VALUE_BITS);
}

static uint32_t memo_value(const struct node_map *map, uint32_t node) {
        return map->memos[node] & ((UINT32_C(1) << MEMO_VALUE_BITS) - 1);
}

static void set_memo(struct node_map *map, uint32_t node, enum memo_kind kind, uint32_t value) {
        map->memos[node] = (uint32_t)kind << MEMO_VALUE_BITS | value;
}

static bool memo_has_node(const struct node_map *map, uint32_t node) {
        enum memo_kind kind = memo_kind(map, node);
        return kind == MEMO_FRAME || kind == MEMO_NO_FRAME;
}

int node_map_init(struct node_map *map, struct snapshot_builder *builder, const struct node_source *source,
                  struct module_map *modules) {
        uint32_t n_memos = source->n_nodes(source);
        uint32_t *memos = calloc(n_memos, sizeof *memos);
        if (!memos)
                return -ENOMEM;
        *map = (struct node_map){.builder = builder,
                                 .source = source,
                                 .modules = module_map_ref(modules),
                                 .memos = memos,
                                 .n_memos = n_memos,
                                 .cut_frames_left = CUT_FRAMES_MAX};
        return 0;
}

void node_map_deinit(struct node_map *map) {
        module_map_unref(map->modules);
        code_map_deinit(&map->codes);
        free(map->memos);
        free(map->path);
        *map = (struct node_map){};
}

static int unknown_node(struct node_map *map, uint32_t *nodep) {
        if (!map->unknown_node) {
                static const char unknown[] = "<unknown>";
                struct snapshot_location location = {.kind = LOCATION_SOURCE, .function = SNAPSHOT_NONE};
                uint32_t index;
                if (snapshot_builder_string(map->builder, unknown, sizeof unknown - 1, &location.filename) ||
                    snapshot_builder_location(map->builder, &location, &index) ||
                    snapshot_builder_node(map->builder, 0, index, &map->unknown_node))
                        return -ENOMEM;
        }
        *nodep = map->unknown_node;
        return 0;
}

static int native_location(struct node_map *map, const struct node_def *def, uint32_t *indexp) {
        struct snapshot_location location = {.kind = LOCATION_NATIVE, .module = SNAPSHOT_NONE, .offset = def->value};
        const struct module_file *file = def->unit ? module_map_find(map->modules, def->unit) : NULL;
        if (file && snapshot_builder_module(map->builder, file->path, file->path_length, file->build_id,
                                            file->build_id_length, &location.module))
                return -ENOMEM;
        return snapshot_builder_location(map->builder, &location, indexp);
}

static int code_location(struct node_map *map, const struct node_def *def, uint32_t *indexp) {
        return code_map_location(&map->codes, map->builder, map->source, def->unit & ~NODE_UNIT_CODE, def->value,
                                 indexp);
}

static int frame_location(struct node_map *map, const struct node_def *def, uint32_t *indexp) {
        return def->unit & NODE_UNIT_CODE ? code_location(map, def, indexp) : native_location(map, def, indexp);
}

static uint32_t saturated(uint64_t total_nframe) {
        return total_nframe > NODE_MAP_FRAMES_MAX ? NODE_MAP_FRAMES_MAX : (uint32_t)total_nframe;
}

/* @nodep becomes its parent; 0 where it has none or is hostile. */
static int push_path(struct node_map *map, size_t n, uint32_t *nodep) {
        struct node_def def;
        if (n == map->path_capacity) {
                size_t capacity = n ? 2 * n : 128;
                uint32_t *path = realloc(map->path, capacity * sizeof *path);
                if (!path)
                        return -ENOMEM;
                map->path = path;
                map->path_capacity = capacity;
        }
        map->path[n] = *nodep;
        *nodep = map->source->node(map->source, *nodep, &def) == 0 ? def.parent : 0;
        return 0;
}

/* A frame of a cut traceback on top of *nodep. */
static int add_cut_frame(struct node_map *map, uint32_t node, uint32_t *nodep) {
        enum memo_kind kind = memo_kind(map, node);
        uint32_t location = memo_value(map, node);
        if (kind == MEMO_FRAME) {
                location = snapshot_builder_node_location(map->builder, location);
        } else if (kind != MEMO_LOCATION) {
                struct node_def def;
                if (map->source->node(map->source, node, &def) || def.unit == NODE_UNIT_DEPTH ||
                    def.unit == NODE_UNIT_CUT)
                        return 0; /* hostile; no frame */
                int r = frame_location(map, &def, &location);
                if (r)
                        return r;
                if (kind == MEMO_NONE)
                        set_memo(map, node, MEMO_LOCATION, location);
        }
        return snapshot_builder_node(map->builder, *nodep, location, nodep);
}

/* NODE_UNIT_CUT: its most recent frames make a traceback of their own, beginning at the root. */
static int resolve_cut(struct node_map *map, const struct node_def *cut, uint32_t *nodep) {
        uint64_t limit = cut->value >> 32;
        size_t n = 0;
        for (uint32_t up = cut->parent; up && n < limit && n < NODE_MAP_FRAMES_MAX && map->cut_frames_left > 0;
             map->cut_frames_left--) {
                int r = push_path(map, n++, &up);
                if (r)
                        return r;
        }
        *nodep = 0;
        while (n > 0) {
                int r = add_cut_frame(map, map->path[--n], nodep);
                if (r)
                        return r;
        }
        return 0;
}

/* One node whose parent is known already. Deeper than NODE_MAP_FRAMES_MAX no agent goes; a hostile one gets its frames
 * cut. */
static int resolve_one(struct node_map *map, uint32_t node, uint32_t *nodep) {
        struct node_def def;
        if (map->source->node(map->source, node, &def) || def.unit == NODE_UNIT_DEPTH ||
            snapshot_builder_depth(map->builder, *nodep) >= NODE_MAP_FRAMES_MAX) {
                set_memo(map, node, MEMO_NO_FRAME, *nodep);
                return 0;
        }
        if (def.unit == NODE_UNIT_CUT)
                return 0; /* no leaf: hostile; no frame. As a leaf it is another traceback, whichever comes first */
        uint32_t location = memo_value(map, node);
        int r = memo_kind(map, node) == MEMO_LOCATION ? 0 : frame_location(map, &def, &location);
        if (r == 0)
                r = snapshot_builder_node(map->builder, *nodep, location, nodep);
        if (r == 0)
                set_memo(map, node, MEMO_FRAME, *nodep);
        return r;
}

/* Up from the node to the first ancestor that is known, then down again. Each node is looked at once a snapshot. */
static int resolve(struct node_map *map, uint32_t node, uint32_t *nodep) {
        size_t n = 0;
        uint32_t up = node;
        while (up && !memo_has_node(map, up)) {
                int r = push_path(map, n++, &up);
                if (r)
                        return r;
        }
        *nodep = up ? memo_value(map, up) : 0;
        while (n > 0) {
                int r = resolve_one(map, map->path[--n], nodep);
                if (r)
                        return r;
        }
        return 0;
}

int node_map_traceback(struct node_map *map, uint32_t leaf, uint32_t *nodep, uint32_t *total_nframep) {
        struct node_def def;
        bool known = leaf < map->n_memos && map->source->node(map->source, leaf, &def) == 0;
        int r = 0;
        *nodep = *total_nframep = 0;
        if (known && def.unit == NODE_UNIT_CUT) {
                *total_nframep = saturated((uint32_t)def.value);
                r = resolve_cut(map, &def, nodep);
        } else if (known) {
                *total_nframep = def.unit == NODE_UNIT_DEPTH ? saturated(def.value) : 0;
                r = resolve(map, leaf, nodep);
        }
        if (r == 0 && *nodep == 0)
                r = unknown_node(map, nodep);
        if (r == 0 && *total_nframep == 0)
                *total_nframep = snapshot_builder_depth(map->builder, *nodep);
        return r;
}
