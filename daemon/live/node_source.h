/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a snapshot gets the nodes of the agent's trie from: daemon/ingest/definitions. */

#include <stddef.h>
#include <stdint.h>

struct node_def;

/* A Python code object. The pointers are borrowed until the next call. */
struct code_text {
        const char *filename, *function; /* function NULL: unknown */
        size_t filename_length, function_length;
        int32_t first_line;
        uint32_t table_format; /* enum line_table_format, or what nobody knows */
        const void *table;
        size_t table_length;
};

struct node_source {
        /* number of nodes that may exist: 1..NODE_CAPACITY_MAX */
        uint32_t (*n_nodes)(const struct node_source *source);
        /* a copy, with parent < node. Return: 0; above 0: there is no such node. */
        int (*node)(const struct node_source *source, uint32_t node, struct node_def *defp);
        /* a code object. Return: 0; above 0: unknown; -ENOMEM. */
        int (*code)(const struct node_source *source, uint32_t code, struct code_text *textp);
};
