/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A View of control.proto, checked and compiled. */

#include "daemon/query/filter.h"
#include "daemon/query/left_out.h"
#include "daemon/query/statistics.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_PATTERNS_MAX 1024 /* filters, skips and skipped functions, each; more is no command line */

struct view {
        struct filter *filters;
        struct pattern **skip, **skip_functions;
        size_t n_filters, n_skip, n_skip_functions;
        bool skip_wrappers;
        struct statistics_options options; /* diff is false */
        uint64_t limit;                    /* 0: all */
};

/* Above 0 from view, query and reference: *messagep is one line for people, for free(). */
enum query_outcome {
        QUERY_E_USAGE = 1,  /* Error.USAGE */
        QUERY_E_FAILED = 2, /* Error.FAILED */
};

/** view_new() - check and compile
 * @message: from a peer, anything goes; NULL is the default View
 * @sources: [n_sources] the snapshots to be looked at; they may name domains
 * @viewp: set on 0, for view_free(); holds nothing of the arguments
 * Return: 0; QUERY_E_USAGE (cumulative with traceback, unknown domain, unknown group_by, too many
 * patterns), @messagep set; -ENOMEM. */
int view_new(const Tracemallocd__Control__View *message, const struct model_source *sources, size_t n_sources,
             struct view **viewp, char **messagep);

/** view_free() - NULL is fine. Return: NULL. */
struct view *view_free(struct view *v);

/** view_apply() - skip, then filter (so a filter on the most recent frame sees what skipping left), then skip
 * wrappers (which nobody asked for by name: filters find them)
 * @left_outp: set on 0: what wrappers there were
 * Return: 0; -ENOMEM (only model_deinit() is allowed then). */
int view_apply(const struct view *v, struct model *m, struct left_out *left_outp);
