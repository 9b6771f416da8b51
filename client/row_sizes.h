/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/terminal.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How much a row or a total holds, in the words of Python's Statistic.__str__ and StatisticDiff.__str__. */

struct row_sizes {
        char *fields[3]; /* "size=10.0 KiB (+512 B)", "count=2 (+1)", "average=5120 B" */
        size_t n;
};

/** row_sizes_init() - without the average, as of a total
 * @diff: with what changed */
void row_sizes_init(struct row_sizes *sizes, const struct terminal *terminal, uint64_t size, int64_t size_diff,
                    uint64_t count, int64_t count_diff, bool diff);

/** row_sizes_of() - of a row, with the average */
void row_sizes_of(struct row_sizes *sizes, const struct terminal *terminal,
                  const Tracemallocd__Control__StatisticRow *row, bool diff);

/** row_sizes_deinit() - free the fields */
void row_sizes_deinit(struct row_sizes *sizes);

/** row_sizes_text() - the fields with ", " between, on further lines where @width columns (0: any) do not hold them
 * @column: where on its line it begins
 * Return: the caller frees. */
char *row_sizes_text(const struct row_sizes *sizes, size_t width, size_t column);
