/* SPDX-License-Identifier: Apache-2.0 */

/* Tables of ps, list and run's children. */

#include "client/table.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <stdlib.h>

#define GAP               2
#define STRETCH_WIDTH_MIN 12 /* shortened to less, a name cannot be told from another */

struct table {
        const struct table_column *columns;
        size_t n_columns;
        char **cells; /* [n_cells] row by row */
        size_t n_cells;
        size_t *widths; /* [n_columns]; 0: column is empty */
};

struct table *table_new(const struct table_column *columns, size_t n) {
        struct table *t = memory_zalloc(sizeof *t);
        t->columns = columns;
        t->n_columns = n;
        t->widths = memory_zalloc(n * sizeof *t->widths);
        return t;
}

struct table *table_free(struct table *t) {
        if (t) {
                for (size_t i = 0; i < t->n_cells; i++)
                        free(t->cells[i]);
                free(t->cells);
                free(t->widths);
                free(t);
        }
        return NULL;
}

void table_cell(struct table *t, char *text) {
        size_t column = t->n_cells % t->n_columns;
        size_t width = text_width(text);
        t->cells = memory_grow(t->cells, t->n_cells + 1, sizeof *t->cells);
        t->cells[t->n_cells++] = text;
        if (width > t->widths[column])
                t->widths[column] = width;
}

/* Of headings too. */
static size_t natural_width(const struct table *t, size_t i) {
        size_t heading = text_width(t->columns[i].heading);
        return t->widths[i] == 0 ? 0 : t->widths[i] > heading ? t->widths[i] : heading;
}

/* @narrow: with everything shortened that may be. Columns of width 0 are not there. */
static size_t total_width(const struct table *t, const size_t *widths, bool narrow) {
        size_t total = 0;
        for (size_t i = 0; i < t->n_columns; i++) {
                bool cut = narrow && t->columns[i].stretches && widths[i] > STRETCH_WIDTH_MIN;
                total += widths[i] > 0 ? (cut ? STRETCH_WIDTH_MIN : widths[i]) + GAP : 0;
        }
        return total > 0 ? total - GAP : 0;
}

/* Return: whether there was a column that may go. */
static bool leave_out(const struct table *t, size_t *widths) {
        size_t which = t->n_columns;
        for (size_t i = 0; i < t->n_columns; i++) {
                if (widths[i] > 0 && t->columns[i].rank > 0 &&
                    (which == t->n_columns || t->columns[i].rank > t->columns[which].rank))
                        which = i;
        }
        if (which < t->n_columns)
                widths[which] = 0;
        return which < t->n_columns;
}

static int highest_rank(const struct table *t) {
        int highest = 0;
        for (size_t i = 0; i < t->n_columns; i++)
                highest = t->columns[i].rank > highest ? t->columns[i].rank : highest;
        return highest;
}

/* A note as long as a line shall not take a name's letters: what would go first is shortened first.
 * Return: the total width that is left. */
static size_t shorten_rank(const struct table *t, size_t *widths, int rank, size_t total, size_t room) {
        for (size_t i = 0; i < t->n_columns && total > room; i++) {
                if (t->columns[i].rank != rank || !t->columns[i].stretches || widths[i] <= STRETCH_WIDTH_MIN)
                        continue;
                size_t over = total - room;
                size_t give = widths[i] - STRETCH_WIDTH_MIN < over ? widths[i] - STRETCH_WIDTH_MIN : over;
                widths[i] -= give;
                total -= give;
        }
        return total;
}

/* Widths to print with: fewer columns and narrower ones where the terminal ends. */
static void fit(const struct table *t, const struct terminal *terminal, size_t *widths) {
        for (size_t i = 0; i < t->n_columns; i++)
                widths[i] = natural_width(t, i);
        while (terminal->width > 0 && total_width(t, widths, true) > terminal->width) {
                if (!leave_out(t, widths))
                        break;
        }
        size_t total = total_width(t, widths, false);
        for (int rank = highest_rank(t); rank >= 0 && terminal->width > 0; rank--)
                total = shorten_rank(t, widths, rank, total, terminal->width);
}

/* @gap: spaces still owed to the cells before, so that no line ends in spaces */
static void print_cell(const struct table_column *column, const char *text, size_t width, size_t *gapp, FILE *out) {
        AUTO_FREE char *fitting = text_shorten(text, text_width(text) > width ? width : text_width(text));
        size_t have = text_width(fitting);
        size_t pad = have < width ? width - have : 0;
        if (have > 0)
                fprintf(out, "%*s%s", (int)(*gapp + (column->right ? pad : 0)), "", fitting);
        *gapp = (have > 0 ? (column->right ? 0 : pad) : *gapp + pad) + GAP;
}

static void print_row(const struct table *t, const size_t *widths, char *const *cells, FILE *out) {
        size_t gap = 0;
        for (size_t i = 0; i < t->n_columns; i++) {
                if (widths[i] > 0)
                        print_cell(&t->columns[i], cells ? cells[i] : t->columns[i].heading, widths[i], &gap, out);
        }
        fputc('\n', out);
}

static void print_left_out(const struct table *t, const size_t *widths, FILE *out, const struct terminal *terminal) {
        AUTO_FREE char *list = NULL;
        for (size_t i = 0; i < t->n_columns; i++) {
                if (widths[i] > 0 || t->widths[i] == 0)
                        continue;
                AUTO_FREE char *shorter = list;
                list = shorter ? memory_format("%s, %s", shorter, t->columns[i].heading)
                               : memory_format("Left out for want of room: %s", t->columns[i].heading);
        }
        if (!list)
                return;
        AUTO_FREE char *lines = paragraph_format(list, terminal->width, 2);
        fprintf(out, "%s%s%s\n", terminal_begin(terminal, STYLE_FAINT), lines, terminal_end(terminal, STYLE_FAINT));
}

void table_print(const struct table *t, FILE *out, const struct terminal *terminal) {
        AUTO_FREE size_t *widths = memory_zalloc(t->n_columns * sizeof *widths);
        fit(t, terminal, widths);
        fputs(terminal_begin(terminal, STYLE_STRONG), out);
        print_row(t, widths, NULL, out);
        fputs(terminal_end(terminal, STYLE_STRONG), out);
        for (size_t row = 0; row + t->n_columns <= t->n_cells; row += t->n_columns)
                print_row(t, widths, t->cells + row, out);
        print_left_out(t, widths, out, terminal);
}
