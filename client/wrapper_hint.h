/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/render.h"

/* Rows whose frame only allocates for others answer no question. Notices such rows, and says which option shows the
 * callers. */

struct wrapper_hint {
        unsigned n_rows;
        unsigned found; /* bits: index of what was recognised */
        char *example;  /* the first such function or file; heap */
};

/** wrapper_hint_add() - look at the next row; only the first ones count */
void wrapper_hint_add(struct wrapper_hint *hint, const Tracemallocd__Control__StatisticRow *row);

/** wrapper_hint_print() - a line, or nothing */
void wrapper_hint_print(const struct wrapper_hint *hint, const struct render *render);

void wrapper_hint_deinit(struct wrapper_hint *hint);
