/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Snapshots as Python sees them: traces of (domain, size, traceback), native
 * locations resolved to source frames. A sum of snapshots is the concatenation
 * of their traces. One model holds one side, or both sides of a comparison, so
 * that equal frames have equal numbers on both. One query, one thread.
 *
 * A trace here stands for all blocks of one (domain, traceback, total_nframe)
 * of one snapshot; nothing below works block by block.
 */

#include "daemon/live/snapshot.h"
#include "daemon/query/traceback_table.h"
#include "daemon/symbol/symbol_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum model_side {
        MODEL_NEW = 0, /* the only side, but for compare */
        MODEL_OLD = 1,
        MODEL_SIDES = 2,
};

/* What a model is made of. Borrowed until the model is gone. */
struct model_source {
        const struct snapshot *snapshot;
        const struct symbol_set *symbols; /* NULL: nothing is known of native locations */
        bool symbols_failed;              /* more might be known, had the daemon been able to look */
};

struct model_trace {
        uint32_t domain;
        uint32_t node; /* never TRACEBACK_ROOT */
        uint32_t total_nframe;
        uint32_t side;
        uint64_t size, count;
        uint64_t allocated_size, allocated_count;
        const struct snapshot_size *sizes; /* [n_sizes] borrowed from the snapshot */
        uint32_t n_sizes;                  /* 0: only the sum is known */
};

/* Per module of the table, what is known of its lines. */
enum model_lines {
        MODEL_LINES_UNKNOWN = 0, /* nobody has looked at the file */
        MODEL_LINES_ABSENT,
        MODEL_LINES_PRESENT,
};

struct model {
        struct traceback_table table;
        struct model_trace *traces;
        size_t n_traces, traces_size;
        uint8_t *module_lines; /* [table.n_modules] enum model_lines */
        uint32_t module_lines_size;
        uint32_t unknown_frame; /* ("<unknown>", 0) */
        bool plain_names;       /* native frames without a line are named as in a file; set before model_add() */
        char **names;           /* [n_names] of these */
        size_t n_names;
};

/** model_init() - without traces. Return: 0; -ENOMEM (only model_deinit() is allowed then). */
int model_init(struct model *m);

/** model_deinit() - free it; zero memory is fine */
void model_deinit(struct model *m);

/** model_add() - add the traces of a snapshot to a side
 * @source: what it points to is borrowed until model_deinit()
 * O(nodes + groups). Return: 0; -ENOMEM; -EOVERFLOW (only model_deinit() is allowed then). */
int model_add(struct model *m, enum model_side side, const struct model_source *source);
