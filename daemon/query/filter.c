/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each pattern is matched once with each file name or function; what follows
 * for tracebacks is carried down the trie, a parent's number being below its
 * children's. Runs in the thread of its query.
 */

#include "daemon/query/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Add to texts[]: does the pattern match? */
static void match_texts(const struct model *m, const struct pattern *p, bool *texts) {
        const struct text_table *table = &m->table.texts;

        for (uint32_t i = 0; i < table->n_texts; i++)
                texts[i] = texts[i] || pattern_match(p, table->texts[i].bytes, table->texts[i].length);
}

/* nodes[]: does the filter's name and line match the most recent frame, or any with all_frames? */
static void match_nodes(const struct model *m, const struct filter *f, const bool *texts, bool *nodes) {
        const struct traceback_table *t = &m->table;

        nodes[TRACEBACK_ROOT] = false;
        for (uint32_t i = 1; i < t->n_nodes; i++) {
                const struct traceback_frame *frame = &t->frames[t->nodes[i].frame];

                nodes[i] = (texts[frame->filename] && (!f->has_lineno || f->lineno == frame->lineno)) ||
                           (f->all_frames && nodes[t->nodes[i].parent]);
        }
}

/* Python's _match(): true is "keeps it" for both kinds of filter. */
static bool keeps(const struct filter *f, const struct model_trace *trace, const bool *nodes) {
        bool same_domain = f->domain == trace->domain, match;

        if (!f->pattern)
                return same_domain == f->inclusive;
        match = nodes[trace->node] == f->inclusive;
        if (!f->has_domain)
                return match;
        return f->inclusive ? match && same_domain : match || !same_domain;
}

struct verdict {
        bool included, excluded;
};

static void judge(const struct model *m, const struct filter *f, bool *texts, bool *nodes, struct verdict *verdicts) {
        if (f->pattern) {
                memset(texts, false, m->table.texts.n_texts);
                match_texts(m, f->pattern, texts);
                match_nodes(m, f, texts, nodes);
        }
        for (size_t i = 0; i < m->n_traces; i++) {
                bool keep = keeps(f, &m->traces[i], nodes);

                if (f->inclusive)
                        verdicts[i].included |= keep;
                else
                        verdicts[i].excluded |= !keep;
        }
}

int filter_traces(struct model *m, const struct filter *filters, size_t n_filters) {
        bool *texts = calloc((size_t)m->table.texts.n_texts + 1, sizeof(*texts));
        bool *nodes = calloc((size_t)m->table.n_nodes + 1, sizeof(*nodes));
        struct verdict *verdicts = calloc(m->n_traces + 1, sizeof(*verdicts));
        bool any_inclusive = false;
        size_t n = 0;

        if (!texts || !nodes || !verdicts) {
                free(texts);
                free(nodes);
                free(verdicts);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_filters; i++) {
                any_inclusive |= filters[i].inclusive;
                judge(m, &filters[i], texts, nodes, verdicts);
        }
        for (size_t i = 0; i < m->n_traces; i++)
                if ((!any_inclusive || verdicts[i].included) && !verdicts[i].excluded)
                        m->traces[n++] = m->traces[i];
        m->n_traces = n;
        free(texts);
        free(nodes);
        free(verdicts);
        return 0;
}

int filter_skip(struct model *m, struct pattern *const *files, size_t n_files, struct pattern *const *functions,
                size_t n_functions) {
        const struct traceback_table *t = &m->table;
        bool *file_texts = calloc((size_t)t->texts.n_texts + 1, sizeof(*file_texts));
        bool *function_texts = calloc((size_t)t->texts.n_texts + 1, sizeof(*function_texts));
        uint32_t *targets = calloc((size_t)t->n_nodes + 1, sizeof(*targets)); /* what is left of each traceback */

        if (!file_texts || !function_texts || !targets) {
                free(file_texts);
                free(function_texts);
                free(targets);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_files; i++)
                match_texts(m, files[i], file_texts);
        for (size_t i = 0; i < n_functions; i++)
                match_texts(m, functions[i], function_texts);
        for (uint32_t i = 1; i < t->n_nodes; i++) {
                const struct traceback_frame *frame = &t->frames[t->nodes[i].frame];
                uint32_t parent = t->nodes[i].parent;
                bool match = file_texts[frame->filename] ||
                             (frame->function != TEXT_NONE && function_texts[frame->function]);

                targets[i] = match && parent != TRACEBACK_ROOT ? targets[parent] : i;
        }
        for (size_t i = 0; i < m->n_traces; i++)
                m->traces[i].node = targets[m->traces[i].node];
        free(file_texts);
        free(function_texts);
        free(targets);
        return 0;
}
