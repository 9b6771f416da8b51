/* SPDX-License-Identifier: Apache-2.0 */

/* From a peer's View to something that can be applied. Runs in the thread of its query. */

#include "daemon/query/view.h"

#include "daemon/query/domain.h"
#include "daemon/query/wrapper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int usage(char **messagep, const char *format, const char *argument) __attribute__((format(printf, 2, 0)));

static int usage(char **messagep, const char *format, const char *argument) {
        return asprintf(messagep, format, argument) < 0 ? -ENOMEM : QUERY_E_USAGE;
}

static int parse_group_by(Tracemallocd__Control__GroupBy message, enum group_by *group_byp, char **messagep) {
        switch (message) {
        case TRACEMALLOCD__CONTROL__GROUP_BY__LINENO:
                *group_byp = GROUP_BY_LINENO;
                return 0;
        case TRACEMALLOCD__CONTROL__GROUP_BY__FILENAME:
                *group_byp = GROUP_BY_FILENAME;
                return 0;
        case TRACEMALLOCD__CONTROL__GROUP_BY__TRACEBACK:
                *group_byp = GROUP_BY_TRACEBACK;
                return 0;
        case TRACEMALLOCD__CONTROL__GROUP_BY__FUNCTION:
                *group_byp = GROUP_BY_FUNCTION;
                return 0;
        default:
                return usage(messagep, "%s",
                             "unknown key type: this daemon groups by filename, lineno, traceback "
                             "and function");
        }
}

static int parse_filter(const Tracemallocd__Control__Filter *message, const struct model_source *sources,
                        size_t n_sources, struct filter *filter, char **messagep) {
        const char *domain = message->domain ? message->domain : "";
        *filter = (struct filter){
                .inclusive = message->inclusive,
                .all_frames = message->all_frames,
                .has_lineno = message->has_lineno,
                .has_domain = *domain || message->domain_only,
                .lineno = message->lineno,
        };
        if (filter->has_domain && !domain_parse(domain, sources, n_sources, &filter->domain))
                return usage(messagep,
                             "unknown domain '%.100s': expected python, malloc, mmap, a name that the program "
                             "gave, or a number below 2**32",
                             domain);
        if (message->domain_only)
                return 0;
        return pattern_new(PATTERN_FILENAME, (const char *)message->pattern.data, message->pattern.len,
                           &filter->pattern);
}

static int parse_filters(const Tracemallocd__Control__View *message, const struct model_source *sources,
                         size_t n_sources, struct view *v, char **messagep) {
        int r = 0;
        v->filters = calloc(message->n_filters + 1, sizeof *v->filters);
        if (!v->filters)
                return -ENOMEM;
        for (; r == 0 && v->n_filters < message->n_filters; v->n_filters++)
                r = parse_filter(message->filters[v->n_filters], sources, n_sources, &v->filters[v->n_filters],
                                 messagep);
        return r;
}

static int parse_patterns(enum pattern_kind kind, const ProtobufCBinaryData *messages, size_t n,
                          struct pattern ***patternsp, size_t *n_patternsp) {
        int r = 0;
        *patternsp = calloc(n + 1, sizeof **patternsp);
        if (!*patternsp)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < n; i++) {
                r = pattern_new(kind, (const char *)messages[i].data, messages[i].len, &(*patternsp)[i]);
                if (r == 0)
                        ++*n_patternsp;
        }
        return r;
}

static int parse(const Tracemallocd__Control__View *message, const struct model_source *sources, size_t n_sources,
                 struct view *v, char **messagep) {
        v->limit = message->limit;
        v->options.cumulative = message->cumulative;
        v->options.allocated = message->allocated;
        v->options.by_count = message->by_count;
        v->skip_wrappers = message->skip_wrappers;
        int r = parse_group_by(message->group_by, &v->options.group_by, messagep);
        if (r != 0)
                return r;
        if (v->options.cumulative && v->options.group_by == GROUP_BY_TRACEBACK)
                return usage(messagep, "%s", STATISTICS_CUMULATIVE_TRACEBACK);
        if (message->n_filters > VIEW_PATTERNS_MAX || message->n_skip > VIEW_PATTERNS_MAX ||
            message->n_skip_functions > VIEW_PATTERNS_MAX)
                return usage(messagep, "%s", "too many filters or skipped patterns: at most 1024 of each");
        r = parse_filters(message, sources, n_sources, v, messagep);
        if (r == 0)
                r = parse_patterns(PATTERN_FILENAME, message->skip, message->n_skip, &v->skip, &v->n_skip);
        if (r == 0)
                r = parse_patterns(PATTERN_TEXT, message->skip_functions, message->n_skip_functions, &v->skip_functions,
                                   &v->n_skip_functions);
        return r;
}

int view_new(const Tracemallocd__Control__View *message, const struct model_source *sources, size_t n_sources,
             struct view **viewp, char **messagep) {
        struct view *v = calloc(1, sizeof *v);
        if (!v)
                return -ENOMEM;
        v->options.group_by = GROUP_BY_LINENO;
        int r = message ? parse(message, sources, n_sources, v, messagep) : 0;
        if (r != 0) {
                view_free(v);
                return r;
        }
        *viewp = v;
        return 0;
}

static void free_patterns(struct pattern **patterns, size_t n) {
        for (size_t i = 0; i < n; i++)
                pattern_free(patterns[i]);
        free(patterns);
}

struct view *view_free(struct view *v) {
        if (!v)
                return NULL;
        for (size_t i = 0; i < v->n_filters; i++)
                pattern_free(v->filters[i].pattern);
        free(v->filters);
        free_patterns(v->skip, v->n_skip);
        free_patterns(v->skip_functions, v->n_skip_functions);
        free(v);
        return NULL;
}

/* What --skip names goes here, too: a wrapper of the user's may call one that everybody knows. */
static int skip_wrappers(const struct view *v, struct model *m, struct left_out *left_outp) {
        uint8_t *marks = calloc((size_t)m->table.n_frames + 1, sizeof *marks);
        int r = marks ? filter_mark(m, v->skip, v->n_skip, v->skip_functions, v->n_skip_functions, marks) : -ENOMEM;
        if (r == 0)
                r = wrapper_mark(m, marks);
        if (r == 0)
                r = left_out_compute(m, marks, &v->options, left_outp);
        free(marks);
        return r;
}

int view_apply(const struct view *v, struct model *m, struct left_out *left_outp) {
        int r = 0;
        *left_outp = (struct left_out){0};
        if (v->n_skip > 0 || v->n_skip_functions > 0)
                r = filter_skip(m, v->skip, v->n_skip, v->skip_functions, v->n_skip_functions);
        if (r == 0 && v->n_filters > 0)
                r = filter_traces(m, v->filters, v->n_filters);
        if (r == 0 && v->skip_wrappers)
                r = skip_wrappers(v, m, left_outp);
        return r;
}
