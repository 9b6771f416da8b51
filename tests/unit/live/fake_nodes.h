/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A node_source of an array. */

#include "daemon/live/node_source.h"
#include "proto/ring.h"

struct fake_nodes {
        struct node_source source; /* first */
        const struct node_def *defs;
        uint32_t n;
};

static inline uint32_t fake_n_nodes(const struct node_source *source) {
        return ((const struct fake_nodes *)source)->n;
}

static inline int fake_node(const struct node_source *source, uint32_t node, struct node_def *defp) {
        const struct fake_nodes *fake = (const struct fake_nodes *)source;
        if (node == 0 || node >= fake->n || fake->defs[node].parent >= node)
                return 1;
        *defp = fake->defs[node];
        return 0;
}

/* Line 100 for the first 10 bytes of instructions, line 103 for the next 4. */
static inline int fake_code(const struct node_source *source, uint32_t code, struct code_text *textp) {
        if (code != 7)
                return 1;
        *textp = (struct code_text){.filename = "a.py",
                                    .filename_length = 4,
                                    .function = "f",
                                    .function_length = 1,
                                    .first_line = 99,
                                    .table_format = 310,
                                    .table = "\x0a\x01\x04\x03",
                                    .table_length = 4};
        return 0;
}

static inline struct fake_nodes fake_nodes(const struct node_def *defs, uint32_t n) {
        return (struct fake_nodes){
                .source = {.n_nodes = fake_n_nodes, .node = fake_node, .code = fake_code}, .defs = defs, .n = n};
}
