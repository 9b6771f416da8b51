/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/render.h"

/* Two versions of a program have their lines at other numbers, so compare by line shows each as gone and as new.
 * Notices files in which much went and as much came, and says what compares them. */

#define MOVED_LINES_ROWS 20 /* only the first ones count */

struct moved_lines {
        unsigned n_rows, n_files;
        struct moved_file {
                char *name; /* heap */
                uint64_t came, went;
        } files[MOVED_LINES_ROWS]; /* [n_files] in the order of their first rows */
};

/** moved_lines_add() - look at the next row of a comparison by line */
void moved_lines_add(struct moved_lines *moved, const Tracemallocd__Control__StatisticRow *row);

/** moved_lines_print() - a line, or nothing; of one process nothing, whose lines stay where they are
 * @header: of the comparison */
void moved_lines_print(const struct moved_lines *moved, const struct render *render,
                       const Tracemallocd__Control__StatisticsHeader *header);

/** moved_lines_deinit() - free what it noted */
void moved_lines_deinit(struct moved_lines *moved);
