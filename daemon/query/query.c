/* SPDX-License-Identifier: Apache-2.0 */

/* The questions, each from its snapshots to its replies. Any thread of the pool; see query.h. */

#include "daemon/query/query.h"

#include "daemon/query/domain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything that one question needs; sources are those of the new side, then those of the old one. */
struct query {
        struct model_source *sources;
        size_t n_new, n_old;
        struct view *view;
        struct model model;
        struct left_out left_out;
};

static void query_deinit(struct query *q) {
        view_free(q->view);
        model_deinit(&q->model);
        free(q->sources);
}

/* What has no id, and does not know, is a file. */
static int allocated_unknown(const struct snapshot_info *info, char **messagep) {
        char snapshot[32] = "the file";
        if (info->id != 0)
                snprintf(snapshot, sizeof snapshot, "snapshot %" PRId64, info->id);
        return asprintf(messagep,
                        "%s does not know what was allocated since the start: only live tables, requested and exit "
                        "snapshots do",
                        snapshot) < 0
                       ? -ENOMEM
                       : QUERY_E_FAILED;
}

static int check_allocated(const struct query *q, char **messagep) {
        if (!q->view->options.allocated)
                return 0;
        for (size_t i = 0; i < q->n_new + q->n_old; i++)
                if (!q->sources[i].snapshot->info.allocated_known)
                        return allocated_unknown(&q->sources[i].snapshot->info, messagep);
        return 0;
}

/* Their frames have no functions, so wrappers among them stay, and are called "PATH (function)" where they have no
 * line. Left out of what they are compared with, or called otherwise there, every block behind one would seem gone in
 * one place and new in another. */
static bool has_file(const struct query *q) {
        for (size_t i = 0; i < q->n_new + q->n_old; i++)
                if (q->sources[i].snapshot->info.kind == SNAPSHOT_IMPORT)
                        return true;
        return false;
}

static int query_init(struct query *q, const struct model_source *news, size_t n_new, const struct model_source *olds,
                      size_t n_old, const Tracemallocd__Control__View *view, char **messagep) {
        *q = (struct query){.n_new = n_new, .n_old = n_old};
        q->sources = calloc(n_new + n_old, sizeof *q->sources);
        if (!q->sources)
                return -ENOMEM;
        for (size_t i = 0; i < n_new + n_old; i++)
                q->sources[i] = i < n_new ? news[i] : olds[i - n_new];
        int r = view_new(view, q->sources, n_new + n_old, &q->view, messagep);
        if (r == 0 && has_file(q))
                q->view->skip_wrappers = false;
        if (r == 0)
                r = check_allocated(q, messagep);
        if (r == 0)
                r = model_init(&q->model);
        q->model.plain_names = has_file(q);
        for (size_t i = 0; r == 0 && i < n_new + n_old; i++)
                r = model_add(&q->model, i < n_new ? MODEL_NEW : MODEL_OLD, &q->sources[i]);
        if (r == 0)
                r = view_apply(q->view, &q->model, &q->left_out);
        if (r != 0)
                query_deinit(q);
        return r;
}

static int describe(const struct model_source *sources, size_t n, Tracemallocd__Control__SnapshotInfo *message) {
        const struct snapshot_info **infos = calloc(n, sizeof *infos);
        if (!infos)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                infos[i] = &sources[i].snapshot->info;
        reply_snapshot_info(infos, n, message);
        free(infos);
        return 0;
}

struct beside_malloc {
        Tracemallocd__Control__Domain domains[DOMAIN_BESIDE_MALLOC_MAX], *pointers[DOMAIN_BESIDE_MALLOC_MAX];
        size_t n;
};

static void name_beside_malloc(const struct query *q, struct beside_malloc *beside) {
        uint32_t numbers[DOMAIN_BESIDE_MALLOC_MAX];
        beside->n = domain_beside_malloc(&q->model, numbers);
        for (size_t i = 0; i < beside->n; i++) {
                struct snapshot_string name = domain_name(numbers[i], q->sources, q->n_new + q->n_old);
                tracemallocd__control__domain__init(&beside->domains[i]);
                beside->domains[i].number = numbers[i];
                beside->domains[i].name = (ProtobufCBinaryData){name.length, (uint8_t *)(uintptr_t)name.bytes};
                beside->pointers[i] = &beside->domains[i];
        }
}

static int answer_statistics(struct query *q, const struct reply_sink *sink) {
        Tracemallocd__Control__StatisticsHeader header = TRACEMALLOCD__CONTROL__STATISTICS_HEADER__INIT;
        Tracemallocd__Control__SnapshotInfo new, old;
        struct statistics_options options = q->view->options;
        struct statistics *statistics;
        struct beside_malloc beside;
        int r = describe(q->sources, q->n_new, &new);
        if (r == 0 && q->n_old > 0)
                r = describe(q->sources + q->n_new, q->n_old, &old);
        if (r < 0)
                return r;
        options.diff = q->n_old > 0;
        header.snapshot = &new;
        header.old = options.diff ? &old : NULL;
        header.sources_until_unix_ns = reply_sources_until_ns(q->sources, q->n_new + q->n_old);
        header.exact = new.exact && (!options.diff || old.exact);
        for (size_t i = 0; i < q->n_new + q->n_old; i++)
                header.symbols_failed |= q->sources[i].symbols_failed;
        name_beside_malloc(q, &beside);
        header.beside_malloc = beside.pointers;
        header.n_beside_malloc = beside.n;
        r = statistics_compute(&q->model, &options, &statistics);
        if (r != 0)
                return r;
        r = reply_statistics(&q->model, statistics, &q->left_out, q->view->limit, &header, sink);
        statistics_free(statistics);
        return r;
}

int query_compare(const struct model_source *olds, size_t n_olds, const struct model_source *sources, size_t n_sources,
                  const Tracemallocd__Control__View *view, const struct reply_sink *sink, char **messagep) {
        struct query q;
        int r = query_init(&q, sources, n_sources, olds, n_olds, view, messagep);
        if (r != 0)
                return r;
        r = answer_statistics(&q, sink);
        query_deinit(&q);
        return r;
}

int query_stats(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                const struct reply_sink *sink, char **messagep) {
        return query_compare(NULL, 0, sources, n_sources, view, sink, messagep);
}

int query_traces(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                 const struct reply_sink *sink, char **messagep) {
        struct trace_list *list;
        struct query q;
        int r = query_init(&q, sources, n_sources, NULL, 0, view, messagep);
        if (r != 0)
                return r;
        r = trace_list_compute(&q.model, q.view->options.allocated, &list);
        if (r == 0) {
                r = reply_traces(&q.model, list, q.view->limit, q.sources, q.n_new, sink);
                trace_list_free(list);
        }
        query_deinit(&q);
        return r;
}

static int answer_message(int outcome, const char *text, char **messagep) {
        *messagep = strdup(text);
        return *messagep ? outcome : -ENOMEM;
}

static uint32_t largest_traceback_limit(const struct query *q) {
        uint32_t limit = 0;
        for (size_t i = 0; i < q->n_new; i++)
                if (q->sources[i].snapshot->info.traceback_limit > limit)
                        limit = q->sources[i].snapshot->info.traceback_limit;
        return limit;
}

static int compare_numbers(const void *a, const void *b) {
        uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
        return left < right ? -1 : left > right;
}

/* Of all sources, which may be a thousand; sorted. */
static int named_domains(const struct query *q, uint32_t **numbersp, size_t *np) {
        size_t n = 0;
        for (size_t k = 0; k < q->n_new; k++)
                n += q->sources[k].snapshot->n_domains;
        uint32_t *numbers = malloc((n + 1) * sizeof *numbers);
        if (!numbers)
                return -ENOMEM;
        n = 0;
        for (size_t k = 0; k < q->n_new; k++) {
                const struct snapshot *s = q->sources[k].snapshot;
                for (uint32_t d = 0; d < s->n_domains; d++)
                        numbers[n++] = s->domains[d].number;
        }
        qsort(numbers, n, sizeof *numbers, compare_numbers);
        *numbersp = numbers;
        *np = n;
        return 0;
}

/* Among the traces that passed the filters. */
static int has_named_domain(const struct query *q, bool *hasp) {
        uint32_t *numbers;
        size_t n;
        int r = named_domains(q, &numbers, &n);
        if (r)
                return r;
        *hasp = false;
        for (size_t i = 0; i < q->model.n_traces && !*hasp; i++)
                *hasp = bsearch(&q->model.traces[i].domain, numbers, n, sizeof *numbers, compare_numbers) != NULL;
        free(numbers);
        return 0;
}

int query_export(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                 enum pickle_shape shape, const struct pickle_sink *sink, struct pickle_summary *summaryp,
                 char **messagep) {
        struct query q;
        if (view && view->allocated)
                return answer_message(
                        QUERY_E_USAGE,
                        "a tracemalloc file holds the size of each block, and only sums are known of what "
                        "was allocated since the start; leave --allocated out, or use --format json",
                        messagep);
        int r = query_init(&q, sources, n_sources, NULL, 0, view, messagep);
        if (r != 0)
                return r;
        r = pickle_write(&q.model, shape, largest_traceback_limit(&q), sink, summaryp);
        if (r == 0)
                r = has_named_domain(&q, &summaryp->domain_names_left_out);
        if (r == PICKLE_E_NO_SIZES)
                r = answer_message(QUERY_E_FAILED,
                                   "a tracemalloc file holds the size of each block, and a peak snapshot knows only "
                                   "their sums; use --format json or collapsed",
                                   messagep);
        query_deinit(&q);
        return r;
}
