/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a snapshot gets the nodes of the agent's trie from: daemon/ingest/definitions. */

#include <stddef.h>
#include <stdint.h>

struct node_def;

struct code_text {
        const char *filename, *function; /* borrowed until the next call; function NULL: unknown */
        size_t filename_length, function_length;
        uint32_t lineno; /* 0: unknown */
};

struct node_source {
        /* number of nodes that may exist: 1..NODE_CAPACITY_MAX */
        uint32_t (*n_nodes)(const struct node_source *source);
        /* a copy, with parent < node. Return: 0; above 0: there is no such node. */
        int (*node)(const struct node_source *source, uint32_t node, struct node_def *defp);
        /* a Python frame. Return: 0; above 0: unknown. */
        int (*code)(const struct node_source *source, uint32_t code, uint64_t instruction, struct code_text *textp);
};
