/* SPDX-License-Identifier: Apache-2.0 */

/* Traces spread out by block size, sorted, equal ones merged. Runs in the thread of its query. */

#include "daemon/query/trace_list.h"

#include "daemon/query/number.h"

#include <errno.h>
#include <stdlib.h>

static bool is_sum(const struct model_trace *trace, bool allocated) {
        return allocated || trace->n_sizes == 0;
}

static size_t count_rows(const struct model *m, bool allocated) {
        size_t n = 0;
        for (size_t i = 0; i < m->n_traces; i++)
                n += is_sum(&m->traces[i], allocated) ? 1 : m->traces[i].n_sizes;
        return n;
}

static void append_sum(struct trace_list *list, const struct model_trace *trace, bool allocated) {
        struct trace_row *row = &list->rows[list->n_rows];
        *row = (struct trace_row){.domain = trace->domain, .node = trace->node, .total_nframe = trace->total_nframe};
        row->count = allocated ? trace->allocated_count : trace->count;
        row->total_size = allocated ? trace->allocated_size : trace->size;
        if (row->count > 0)
                list->n_rows++;
}

static void append_sizes(struct trace_list *list, const struct model_trace *trace) {
        for (uint32_t i = 0; i < trace->n_sizes; i++) {
                struct trace_row row = {
                        .domain = trace->domain,
                        .node = trace->node,
                        .total_nframe = trace->total_nframe,
                        .has_size = true,
                        .size = trace->sizes[i].size,
                        .count = trace->sizes[i].count,
                };
                if (__builtin_mul_overflow(row.size, row.count, &row.total_size))
                        row.total_size = UINT64_MAX;
                list->rows[list->n_rows++] = row;
        }
}

/* All but the node itself: different nodes may be one traceback to Python. */
static int compare_rows(const void *x, const void *y, void *table) {
        const struct trace_row *a = x, *b = y;
        int r = number_compare(a->domain, b->domain);
        if (r == 0)
                r = traceback_table_compare(table, a->node, b->node);
        if (r == 0)
                r = number_compare(a->has_size, b->has_size);
        if (r == 0)
                r = number_compare(a->size, b->size);
        if (r == 0)
                r = number_compare(a->total_nframe, b->total_nframe);
        return r != 0 ? r : number_compare(a->node, b->node);
}

static bool mergeable(const struct trace_row *a, const struct trace_row *b) {
        return a->domain == b->domain && a->node == b->node && a->has_size == b->has_size && a->size == b->size &&
               a->total_nframe == b->total_nframe;
}

static void merge_equal(struct trace_list *list) {
        size_t n = 0;
        for (size_t i = 0; i < list->n_rows; i++) {
                struct trace_row *row = &list->rows[i], *last = n > 0 ? &list->rows[n - 1] : NULL;
                if (!last || !mergeable(last, row)) {
                        list->rows[n++] = *row;
                        continue;
                }
                last->count = number_add(last->count, row->count);
                last->total_size = number_add(last->total_size, row->total_size);
        }
        list->n_rows = n;
}

int trace_list_compute(const struct model *m, bool allocated, struct trace_list **listp) {
        struct trace_list *list = calloc(1, sizeof *list);
        if (!list)
                return -ENOMEM;
        list->rows = calloc(count_rows(m, allocated) + 1, sizeof *list->rows);
        if (!list->rows) {
                free(list);
                return -ENOMEM;
        }
        for (size_t i = 0; i < m->n_traces; i++) {
                if (m->traces[i].side != MODEL_NEW)
                        continue;
                if (is_sum(&m->traces[i], allocated))
                        append_sum(list, &m->traces[i], allocated);
                else
                        append_sizes(list, &m->traces[i]);
        }
        qsort_r(list->rows, list->n_rows, sizeof *list->rows, compare_rows, (void *)&m->table);
        merge_equal(list);
        *listp = list;
        return 0;
}

struct trace_list *trace_list_free(struct trace_list *list) {
        if (list)
                free(list->rows);
        free(list);
        return NULL;
}
