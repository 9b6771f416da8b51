/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The wrappers that stats and compare do not show, and the names of those that may have been meant to be shown. */

#include "daemon/query/model.h"
#include "daemon/query/statistics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEFT_OUT_NAMED_MAX 3 /* a line for people; those that weigh less hide no row that anybody reads */

struct left_out {
        bool any;                              /* a trace lost a frame */
        uint32_t supposed[LEFT_OUT_NAMED_MAX]; /* [n_supposed] texts: functions of FILTER_SUPPOSED */
        size_t n_supposed, n_more;
};

/** left_out_compute() - filter_drop_recent(), and what went
 * @options: what rows are sorted by is what a function weighs: the sizes or counts that it was dropped from, of both
 * sides the difference. The heaviest are named; those that weigh nothing hide nothing.
 * O(nodes + traces + texts). Return: 0; -ENOMEM (@m may have lost the frames). */
int left_out_compute(struct model *m, const uint8_t *marks, const struct statistics_options *options,
                     struct left_out *left_outp);
