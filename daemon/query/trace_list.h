/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Snapshot.traces: one row for each distinct (domain, size, traceback, total_nframe). Tracebacks that
 * differ only in functions or modules are distinct here. */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_row {
        uint32_t domain;
        uint32_t node;
        uint32_t total_nframe; /* SNAPSHOT_TOTAL_NFRAME_UNKNOWN: not known */
        bool has_size;
        uint64_t size;  /* of each block */
        uint64_t count; /* such blocks */
        uint64_t total_size;
};

struct trace_list {
        struct trace_row *rows;
        size_t n_rows;
};

/** trace_list_compute() - the rows of MODEL_NEW
 * @allocated: everything allocated since the start, which is known as sums only
 * Ordered by domain, traceback (as in statistics), size (unknown first), total_nframe.
 * Return: 0; -ENOMEM. */
int trace_list_compute(const struct model *m, bool allocated, struct trace_list **listp);

/** trace_list_free() - NULL is fine. Return: NULL. */
struct trace_list *trace_list_free(struct trace_list *list);
