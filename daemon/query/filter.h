/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Python's Filter and DomainFilter, and what drops wrappers from the recent end of tracebacks. */

#include "daemon/query/model.h"
#include "daemon/query/pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter {
        bool inclusive;
        bool all_frames; /* any frame may match, not only the most recent */
        bool has_lineno;
        bool has_domain;
        uint64_t lineno;
        uint32_t domain;
        struct pattern *pattern; /* NULL: a DomainFilter; owned */
};

/** filter_traces() - keep the traces that pass: any of the inclusive filters, if there are any, and
 * every exclusive one; order is kept. O(n_filters * (nodes + traces) + filenames * pattern).
 * Return: 0; -ENOMEM (model unchanged). */
int filter_traces(struct model *m, const struct filter *filters, size_t n_filters);

/** filter_skip() - drop most recent frames from every traceback, as long as they match
 * @files: [n_files] patterns of file names; @functions: [n_functions] of functions
 * A frame matches if one of either does. Where all frames match the oldest is kept.
 * Return: 0; -ENOMEM (model unchanged). */
int filter_skip(struct model *m, struct pattern *const *files, size_t n_files, struct pattern *const *functions,
                size_t n_functions);

/** enum filter_mark - of a frame, for filter_drop_recent() */
enum filter_mark {
        FILTER_STAYS = 0,
        FILTER_GOES,
        FILTER_SUPPOSED,  /* goes too; that it is of those that are to go is an assumption */
        FILTER_FOLLOWS,   /* goes where its caller goes and is of the same module: a part of it without a name */
        FILTER_NO_ANSWER, /* stays; but another module that it called says more: the oldest frame of that stays too */
};

/** filter_mark() - mark what filter_skip() drops FILTER_GOES
 * @marks: [n_frames of the model's table]. Return: 0; -ENOMEM. */
int filter_mark(const struct model *m, struct pattern *const *files, size_t n_files, struct pattern *const *functions,
                size_t n_functions, uint8_t *marks);

/** filter_drop_recent() - drop most recent frames from every traceback, as long as they are marked so
 * @marks: [n_frames of the model's table] enum filter_mark. Where all frames are to go the oldest is kept.
 * @anyp: set on 0: whether a trace lost any
 * O(nodes + traces). Return: 0; -ENOMEM (model unchanged). */
int filter_drop_recent(struct model *m, const uint8_t *marks, bool *anyp);
