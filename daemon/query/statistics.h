/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Snapshot.statistics() and Snapshot.compare_to() of tracemalloc, in content
 * and order, for its three keys and our own `function`.
 */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum group_by {
        GROUP_BY_LINENO,
        GROUP_BY_FILENAME,
        GROUP_BY_TRACEBACK,
        GROUP_BY_FUNCTION, /* (most recent filename, function); lineno 0 */
};

#define STATISTICS_E_CUMULATIVE_TRACEBACK 1

/* Python's words */
#define STATISTICS_CUMULATIVE_TRACEBACK "cumulative mode cannot by used with key type 'traceback'"

struct statistics_options {
        enum group_by group_by;
        bool cumulative;
        bool allocated; /* everything allocated since the start instead of what is alive */
        bool diff;      /* compare MODEL_NEW with MODEL_OLD */
        bool by_count;  /* order by count before size */
};

struct statistic {
        struct traceback_frame frame; /* the one frame, unless grouped by traceback */
        uint32_t node;                /* grouped by traceback: merged from all its blocks; else TRACEBACK_ROOT */
        uint64_t size, count;         /* of MODEL_NEW */
        int64_t size_diff, count_diff;
};

struct statistics {
        enum group_by group_by;
        struct statistic *rows; /* in Python's order, unless by count */
        size_t n_rows;
        uint64_t total_size, total_count; /* of all traces, each once, cumulative or not */
        int64_t total_size_diff, total_count_diff;
};

/** statistics_compute() - group the traces of a model
 * @m: not changed but for frames and tracebacks that merging adds
 * @statisticsp: set on 0, for statistics_free(); refers to @m's table
 * Sums are exact to 2^64 - 1 (differences to 2^63 - 1) and stay there.
 * O(traces + nodes + rows * log(rows)). Return: 0; STATISTICS_E_CUMULATIVE_TRACEBACK; -ENOMEM; -EOVERFLOW. */
int statistics_compute(struct model *m, const struct statistics_options *options, struct statistics **statisticsp);

/** statistics_free() - NULL is fine. Return: NULL. */
struct statistics *statistics_free(struct statistics *s);
