/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each pattern is matched once with each file name or function; what follows
 * for tracebacks is carried down the trie, a parent's number being below its
 * children's. Runs in the thread of its query.
 */

#include "daemon/query/filter.h"

#include <errno.h>
#include <stdlib.h>

/* Texts that one of some patterns matches. Each text is looked at once, and only if some frame has it. */
struct matcher {
        const struct text_table *table;
        struct pattern *const *patterns;
        size_t n_patterns;
        uint8_t *memo; /* [n_texts] enum memo */
};

enum memo {
        MEMO_NONE = 0,
        MEMO_NO,
        MEMO_YES,
};

static int matcher_init(struct matcher *matcher, const struct model *m, struct pattern *const *patterns,
                        size_t n_patterns) {
        *matcher = (struct matcher){.table = &m->table.texts, .patterns = patterns, .n_patterns = n_patterns};
        matcher->memo = calloc((size_t)m->table.texts.n_texts + 1, sizeof *matcher->memo);
        return matcher->memo ? 0 : -ENOMEM;
}

static void matcher_deinit(struct matcher *matcher) {
        free(matcher->memo);
}

static bool matches(struct matcher *matcher, uint32_t text) {
        const struct text *t;
        if (text == TEXT_NONE)
                return false;
        if (matcher->memo[text] == MEMO_NONE) {
                t = &matcher->table->texts[text];
                matcher->memo[text] = MEMO_NO;
                for (size_t i = 0; i < matcher->n_patterns && matcher->memo[text] == MEMO_NO; i++)
                        if (pattern_match(matcher->patterns[i], t->bytes, t->length))
                                matcher->memo[text] = MEMO_YES;
        }
        return matcher->memo[text] == MEMO_YES;
}

/* nodes[]: do the filter's name and line match the most recent frame, or any with all_frames? */
static int match_nodes(const struct model *m, const struct filter *f, bool *nodes) {
        const struct traceback_table *t = &m->table;
        struct matcher files;
        int r = matcher_init(&files, m, &f->pattern, 1);
        if (r < 0)
                return r;
        nodes[TRACEBACK_ROOT] = false;
        for (uint32_t i = 1; i < t->n_nodes; i++) {
                const struct traceback_frame *frame = &t->frames[t->nodes[i].frame];
                nodes[i] = (f->all_frames && nodes[t->nodes[i].parent]) ||
                           ((!f->has_lineno || f->lineno == frame->lineno) && matches(&files, frame->filename));
        }
        matcher_deinit(&files);
        return 0;
}

/* Python's _match(): true is "keeps it" for both kinds of filter. */
static bool keeps(const struct filter *f, const struct model_trace *trace, const bool *nodes) {
        bool same_domain = f->domain == trace->domain;
        if (!f->pattern)
                return same_domain == f->inclusive;
        bool match = nodes[trace->node] == f->inclusive;
        if (!f->has_domain)
                return match;
        return f->inclusive ? match && same_domain : match || !same_domain;
}

struct verdict {
        bool included, excluded;
};

static int judge(const struct model *m, const struct filter *f, bool *nodes, struct verdict *verdicts) {
        int r = f->pattern ? match_nodes(m, f, nodes) : 0;
        for (size_t i = 0; r == 0 && i < m->n_traces; i++) {
                bool keep = keeps(f, &m->traces[i], nodes);
                if (f->inclusive)
                        verdicts[i].included |= keep;
                else
                        verdicts[i].excluded |= !keep;
        }
        return r;
}

static void keep_passed(struct model *m, bool any_inclusive, const struct verdict *verdicts) {
        size_t n = 0;
        for (size_t i = 0; i < m->n_traces; i++)
                if ((!any_inclusive || verdicts[i].included) && !verdicts[i].excluded)
                        m->traces[n++] = m->traces[i];
        m->n_traces = n;
}

int filter_traces(struct model *m, const struct filter *filters, size_t n_filters) {
        bool *nodes = calloc(m->table.n_nodes, sizeof *nodes);
        struct verdict *verdicts = calloc(m->n_traces + 1, sizeof *verdicts);
        bool any_inclusive = false;
        int r = nodes && verdicts ? 0 : -ENOMEM;
        for (size_t i = 0; r == 0 && i < n_filters; i++) {
                any_inclusive |= filters[i].inclusive;
                r = judge(m, &filters[i], nodes, verdicts);
        }
        if (r == 0)
                keep_passed(m, any_inclusive, verdicts);
        free(nodes);
        free(verdicts);
        return r;
}

/* @callers_target: what is left of the traceback up to node @i's parent. Return: what is left of the one up to @i. */
static uint32_t target_of(const struct traceback_table *t, const uint8_t *marks, uint32_t i, uint32_t callers_target) {
        uint32_t parent = t->nodes[i].parent, frame = t->nodes[i].frame, caller = t->nodes[parent].frame;
        bool goes = marks[frame] == FILTER_GOES || marks[frame] == FILTER_SUPPOSED;
        if (parent == TRACEBACK_ROOT)
                return i;
        bool same_module = t->frames[caller].module == t->frames[frame].module;
        if (marks[caller] == FILTER_NO_ANSWER && !same_module)
                return i;
        if (marks[frame] == FILTER_FOLLOWS)
                goes = callers_target != parent && same_module;
        return goes ? callers_target : i;
}

int filter_drop_recent(struct model *m, const uint8_t *marks, bool *anyp) {
        const struct traceback_table *t = &m->table;
        uint32_t *targets = calloc(t->n_nodes, sizeof *targets); /* what is left of each traceback */
        if (!targets)
                return -ENOMEM;
        for (uint32_t i = 1; i < t->n_nodes; i++)
                targets[i] = target_of(t, marks, i, targets[t->nodes[i].parent]);
        *anyp = false;
        for (size_t i = 0; i < m->n_traces; i++) {
                *anyp |= targets[m->traces[i].node] != m->traces[i].node;
                m->traces[i].node = targets[m->traces[i].node];
        }
        free(targets);
        return 0;
}

int filter_mark(const struct model *m, struct pattern *const *files, size_t n_files, struct pattern *const *functions,
                size_t n_functions, uint8_t *marks) {
        struct matcher file_matcher = {0}, function_matcher = {0};
        int r = matcher_init(&file_matcher, m, files, n_files);
        if (r == 0)
                r = matcher_init(&function_matcher, m, functions, n_functions);
        for (uint32_t i = 0; r == 0 && i < m->table.n_frames; i++)
                if (matches(&file_matcher, m->table.frames[i].filename) ||
                    matches(&function_matcher, m->table.frames[i].function))
                        marks[i] = FILTER_GOES;
        matcher_deinit(&file_matcher);
        matcher_deinit(&function_matcher);
        return r;
}

int filter_skip(struct model *m, struct pattern *const *files, size_t n_files, struct pattern *const *functions,
                size_t n_functions) {
        uint8_t *marks = calloc((size_t)m->table.n_frames + 1, sizeof *marks);
        int r = marks ? filter_mark(m, files, n_files, functions, n_functions, marks) : -ENOMEM;
        bool any;
        if (r == 0)
                r = filter_drop_recent(m, marks, &any);
        free(marks);
        return r;
}
