/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Nodes of an agent's trie to nodes of a snapshot in the making: each is looked at once, four bytes for each that the
 * trie has. Belongs to one image_snapshot; one thread.
 */

#include "daemon/live/code_map.h"
#include "daemon/live/module_map.h"
#include "daemon/live/node_source.h"
#include "daemon/live/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/* The largest traceback limit. total_nframe saturates here, as tracemalloc's does. */
#define NODE_MAP_FRAMES_MAX 65535

struct node_map {
        struct snapshot_builder *builder; /* borrowed, as source */
        const struct node_source *source;
        struct module_map *modules;
        struct code_map codes;
        uint32_t *memos; /* [n_memos] what a node became: its kind above, a node or location of the builder below */
        uint32_t n_memos;
        uint32_t *path; /* scratch */
        size_t path_capacity;
        uint32_t cut_frames_left;
        uint32_t unknown_node; /* the one frame of a traceback without frames; 0: not made yet */
};

/** node_map_init() - nothing is looked at yet
 * @builder, @source: borrowed until deinit; @modules: referenced. Return: 0; -ENOMEM. */
int node_map_init(struct node_map *map, struct snapshot_builder *builder, const struct node_source *source,
                  struct module_map *modules);

/** node_map_deinit() - zero memory is fine, and is left */
void node_map_deinit(struct node_map *map);

/** node_map_traceback() - a traceback, which has one frame at least: where it has none, <unknown>
 * @leaf: any number, in the trie or not
 * @nodep: in the builder; @total_nframep: at most NODE_MAP_FRAMES_MAX
 * O(1) for each node on the path that was not looked at before, and for each frame of a cut traceback.
 * Return: 0; -ENOMEM. */
int node_map_traceback(struct node_map *map, uint32_t leaf, uint32_t *nodep, uint32_t *total_nframep);
