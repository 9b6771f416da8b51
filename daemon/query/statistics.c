/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Grouping works on traces, each of which stands for any number of blocks, and
 * in cumulative mode on nodes of the trie, each of which stands for any number
 * of traces; only the resulting rows are sorted. Runs in the thread of its query.
 */

#include "daemon/query/statistics.h"

#include "daemon/query/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TALLIES_MIN 64

struct amount {
        uint64_t size, count;
};

/* One group while it is summed up. */
struct tally {
        uint64_t key;
        struct traceback_frame frame;
        uint32_t node;
        struct amount amounts[MODEL_SIDES];
};

struct grouping {
        struct model *m;
        const struct statistics_options *options;
        struct tally *tallies;
        uint32_t n_tallies, size;
        struct intern index; /* by key */
};

static int64_t difference_saturated(uint64_t a, uint64_t b) {
        uint64_t absolute = a > b ? a - b : b - a;
        if (absolute > INT64_MAX)
                absolute = INT64_MAX;
        return a > b ? (int64_t)absolute : -(int64_t)absolute;
}

static void amount_add(struct amount *a, struct amount b) {
        a->size = number_add(a->size, b.size);
        a->count = number_add(a->count, b.count);
}

/* A trace of which nothing is alive (or, with allocated, nothing is known) is none. */
static struct amount trace_amount(const struct grouping *g, const struct model_trace *trace) {
        if (trace->side != MODEL_NEW && !g->options->diff)
                return (struct amount){0};
        if (g->options->allocated)
                return (struct amount){trace->allocated_size, trace->allocated_count};
        return (struct amount){trace->size, trace->count};
}

/* ---- groups ---- */

static bool tally_equal(const void *owner, uint32_t id, const void *key) {
        return ((const struct grouping *)owner)->tallies[id].key == *(const uint64_t *)key;
}

static int find_tally(struct grouping *g, uint64_t key, struct tally **tallyp, bool *newp) {
        uint32_t hash = intern_hash_words(&key, 1);
        uint32_t id = intern_find(&g->index, hash, tally_equal, g, &key);
        struct tally *tallies;
        int r;
        *newp = id == INTERN_NONE;
        if (*newp) {
                if (g->n_tallies == g->size) {
                        if (g->size > UINT32_MAX / 2)
                                return -EOVERFLOW;
                        g->size = g->size ? g->size * 2 : TALLIES_MIN;
                        tallies = reallocarray(g->tallies, g->size, sizeof *tallies);
                        if (!tallies)
                                return -ENOMEM;
                        g->tallies = tallies;
                }
                r = intern_reserve(&g->index, 1);
                if (r < 0)
                        return r;
                id = g->n_tallies++;
                g->tallies[id] = (struct tally){.key = key};
                intern_add(&g->index, hash, id);
        }
        *tallyp = &g->tallies[id];
        return 0;
}

static uint64_t frame_key(const struct grouping *g, uint32_t frame) {
        const struct traceback_table *t = &g->m->table;
        switch (g->options->group_by) {
        case GROUP_BY_FILENAME:
                return t->frames[frame].filename;
        case GROUP_BY_FUNCTION:
                return (uint64_t)t->frames[frame].filename << 32 | t->frames[frame].function;
        default:
                return t->frame_identities[frame];
        }
}

/* What a row shows of a frame, before others are merged into it. A file is not in a function. */
static struct traceback_frame shown_frame(const struct grouping *g, uint32_t frame) {
        struct traceback_frame shown = g->m->table.frames[frame];
        if (g->options->group_by == GROUP_BY_LINENO)
                return shown;
        shown.lineno = 0;
        shown.offset = 0;
        shown.native = false;
        if (g->options->group_by == GROUP_BY_FILENAME)
                shown.function = TEXT_NONE;
        return shown;
}

static int add_to_frame(struct grouping *g, uint32_t frame, enum model_side side, struct amount amount) {
        struct traceback_frame shown = shown_frame(g, frame);
        struct tally *tally;
        bool new;
        int r = find_tally(g, frame_key(g, frame), &tally, &new);
        if (r < 0)
                return r;
        if (new)
                tally->frame = shown;
        else
                traceback_frame_merge(&tally->frame, &shown);
        amount_add(&tally->amounts[side], amount);
        return 0;
}

static int add_to_traceback(struct grouping *g, uint32_t node, enum model_side side, struct amount amount) {
        struct traceback_table *t = &g->m->table;
        struct tally *tally;
        bool new;
        int r = find_tally(g, t->nodes[node].identity, &tally, &new);
        if (r < 0)
                return r;
        if (new)
                tally->node = node;
        else
                r = traceback_table_merge(t, tally->node, node, &tally->node);
        amount_add(&tally->amounts[side], amount);
        return r;
}

static int group_each(struct grouping *g) {
        const struct model *m = g->m;
        int r = 0;
        for (size_t i = 0; r == 0 && i < m->n_traces; i++) {
                const struct model_trace *trace = &m->traces[i];
                struct amount amount = trace_amount(g, trace);
                if (amount.count == 0)
                        continue;
                if (g->options->group_by == GROUP_BY_TRACEBACK)
                        r = add_to_traceback(g, trace->node, trace->side, amount);
                else
                        r = add_to_frame(g, m->table.nodes[trace->node].frame, trace->side, amount);
        }
        return r;
}

/* A frame of a node is passed by all traces below it, once for each time that it stands in a traceback:
 * so a node's frame gets what its whole subtree holds. */
static int group_cumulative(struct grouping *g, enum model_side side) {
        const struct model *m = g->m;
        struct amount *amounts = calloc(m->table.n_nodes, sizeof *amounts);
        int r = 0;
        if (!amounts)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_traces; i++)
                if (m->traces[i].side == side)
                        amount_add(&amounts[m->traces[i].node], trace_amount(g, &m->traces[i]));
        for (uint32_t i = m->table.n_nodes; r == 0 && i-- > 1;) {
                if (amounts[i].count == 0)
                        continue;
                amount_add(&amounts[m->table.nodes[i].parent], amounts[i]);
                r = add_to_frame(g, m->table.nodes[i].frame, side, amounts[i]);
        }
        free(amounts);
        return r;
}

/* ---- order ---- */

struct order {
        const struct traceback_table *table;
        const struct statistics_options *options;
};

static uint64_t absolute(int64_t x) {
        return x < 0 ? -(uint64_t)x : (uint64_t)x;
}

static int compare_tracebacks(const struct order *o, const struct statistic *a, const struct statistic *b) {
        int r;
        switch (o->options->group_by) {
        case GROUP_BY_TRACEBACK:
                return traceback_table_compare(o->table, a->node, b->node);
        case GROUP_BY_LINENO:
                return traceback_table_compare_frames(o->table, &a->frame, &b->frame);
        default:
                r = text_table_compare(&o->table->texts, a->frame.filename, b->frame.filename);
                return r != 0 ? r : text_table_compare(&o->table->texts, a->frame.function, b->frame.function);
        }
}

static int compare_amounts(int64_t a_diff, uint64_t a, int64_t b_diff, uint64_t b) {
        int r = number_compare(absolute(a_diff), absolute(b_diff));
        return r != 0 ? r : number_compare(a, b);
}

static int compare_sizes(const struct statistic *a, const struct statistic *b) {
        return compare_amounts(a->size_diff, a->size, b->size_diff, b->size);
}

static int compare_counts(const struct statistic *a, const struct statistic *b) {
        return compare_amounts(a->count_diff, a->count, b->count_diff, b->count);
}

/* Descending by tracemalloc's sort keys: (size, count, traceback), or those of StatisticDiff. Without MODEL_OLD the
 * differences are the amounts themselves. */
static int compare_rows(const void *x, const void *y, void *order) {
        const struct order *o = order;
        const struct statistic *a = x, *b = y;
        int r = o->options->by_count ? compare_counts(a, b) : 0;
        if (r == 0)
                r = compare_sizes(a, b);
        if (r == 0)
                r = compare_counts(a, b);
        if (r == 0)
                r = compare_tracebacks(o, a, b);
        return (r < 0) - (r > 0);
}

static void fill_row(struct statistic *row, const struct tally *tally) {
        const struct amount *new = &tally->amounts[MODEL_NEW], *old = &tally->amounts[MODEL_OLD];
        *row = (struct statistic){
                .frame = tally->frame,
                .node = tally->node,
                .size = new->size,
                .count = new->count,
                .size_diff = difference_saturated(new->size, old->size),
                .count_diff = difference_saturated(new->count, old->count),
        };
}

static void add_totals(const struct grouping *g, struct statistics *s) {
        struct amount totals[MODEL_SIDES] = {0};
        for (size_t i = 0; i < g->m->n_traces; i++)
                amount_add(&totals[g->m->traces[i].side], trace_amount(g, &g->m->traces[i]));
        s->total_size = totals[MODEL_NEW].size;
        s->total_count = totals[MODEL_NEW].count;
        s->total_size_diff = difference_saturated(totals[MODEL_NEW].size, totals[MODEL_OLD].size);
        s->total_count_diff = difference_saturated(totals[MODEL_NEW].count, totals[MODEL_OLD].count);
}

static int finish(const struct grouping *g, struct statistics **statisticsp) {
        struct order order = {&g->m->table, g->options};
        struct statistics *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->rows = calloc((size_t)g->n_tallies + 1, sizeof *s->rows);
        if (!s->rows) {
                free(s);
                return -ENOMEM;
        }
        s->group_by = g->options->group_by;
        s->n_rows = g->n_tallies;
        for (uint32_t i = 0; i < g->n_tallies; i++)
                fill_row(&s->rows[i], &g->tallies[i]);
        add_totals(g, s);
        qsort_r(s->rows, s->n_rows, sizeof *s->rows, compare_rows, &order);
        *statisticsp = s;
        return 0;
}

int statistics_compute(struct model *m, const struct statistics_options *options, struct statistics **statisticsp) {
        struct grouping g = {.m = m, .options = options};
        int r;
        if (options->cumulative && options->group_by == GROUP_BY_TRACEBACK)
                return STATISTICS_E_CUMULATIVE_TRACEBACK;
        intern_init(&g.index);
        if (options->cumulative) {
                r = group_cumulative(&g, MODEL_NEW);
                if (r == 0 && options->diff)
                        r = group_cumulative(&g, MODEL_OLD);
        } else {
                r = group_each(&g);
        }
        if (r == 0)
                r = finish(&g, statisticsp);
        intern_deinit(&g.index);
        free(g.tallies);
        return r;
}

struct statistics *statistics_free(struct statistics *s) {
        if (s)
                free(s->rows);
        free(s);
        return NULL;
}
