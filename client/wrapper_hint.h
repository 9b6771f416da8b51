/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/render.h"

/* Rows whose frame only allocates for others answer no question. Notices such rows, and says which options show the
 * callers. */

#define WRAPPER_HINT_ROWS 3 /* only the first ones count */

struct wrapper_hint {
        unsigned n_rows, n_options;
        uint64_t heaviest;                /* the first row's size or count, or the absolute of its difference */
        char *options[WRAPPER_HINT_ROWS]; /* [n_options] "--skip-function '*alloc*'"; heap */
        char *example;                    /* the first such function; heap */
};

/** wrapper_hint_add() - look at the next row. @diff: of compare */
void wrapper_hint_add(struct wrapper_hint *hint, const Tracemallocd__Control__StatisticRow *row,
                      const struct options *options, bool diff);

/** wrapper_hint_print() - a line, or nothing */
void wrapper_hint_print(const struct wrapper_hint *hint, const struct render *render);

/** wrapper_hint_deinit() - free what it noted */
void wrapper_hint_deinit(struct wrapper_hint *hint);
