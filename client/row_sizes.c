/* SPDX-License-Identifier: Apache-2.0 */

/* Sizes and counts of rows. Called by render_statistics.c. */

#include "client/row_sizes.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "client/size_format.h"

#include <inttypes.h>
#include <stdlib.h>

#define INDENT 2 /* of further lines */

static enum style diff_style(int64_t diff) {
        return diff > 0 ? STYLE_MORE : diff < 0 ? STYLE_LESS : STYLE_PLAIN;
}

void row_sizes_init(struct row_sizes *sizes, const struct terminal *t, uint64_t size, int64_t size_diff, uint64_t count,
                    int64_t count_diff, bool diff) {
        char text[SIZE_FORMAT_MAX], diff_text[SIZE_FORMAT_MAX];
        size_format(text, (double)size, false);
        sizes->n = 2;
        if (!diff) {
                sizes->fields[0] = memory_format("size=%s", text);
                sizes->fields[1] = memory_format("count=%" PRIu64, count);
                return;
        }
        enum style size_style = diff_style(size_diff), count_style = diff_style(count_diff);
        sizes->fields[0] = memory_format("size=%s (%s%s%s)", text, terminal_begin(t, size_style),
                                         size_format(diff_text, (double)size_diff, true), terminal_end(t, size_style));
        sizes->fields[1] = memory_format("count=%" PRIu64 " (%s%+" PRId64 "%s)", count, terminal_begin(t, count_style),
                                         count_diff, terminal_end(t, count_style));
}

void row_sizes_of(struct row_sizes *sizes, const struct terminal *t, const Tracemallocd__Control__StatisticRow *row,
                  bool diff) {
        row_sizes_init(sizes, t, row->size, row->size_diff, row->count, row->count_diff, diff);
        if (row->count == 0)
                return;
        char average[SIZE_FORMAT_MAX];
        size_format(average, (double)row->size / (double)row->count, false);
        sizes->fields[sizes->n++] = memory_format("average=%s", average);
}

void row_sizes_deinit(struct row_sizes *sizes) {
        for (size_t i = 0; i < sizes->n; i++)
                free(sizes->fields[i]);
}

char *row_sizes_text(const struct row_sizes *sizes, size_t width, size_t column) {
        return paragraph_fields(sizes->fields, sizes->n, width, column, INDENT);
}
