/* SPDX-License-Identifier: Apache-2.0 */

/* stats and compare for people: Python's wording of rows, a heading above, totals and remarks below. */

#include "client/beside_malloc.h"
#include "client/function_name.h"
#include "client/memory.h"
#include "client/render.h"
#include "client/row_sizes.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define MODULES_NAMED_MAX 5 /* more would push the remedy out of sight */

static void heading_line(const struct render *r, const char *which, const char *what, const char *phrase) {
        AUTO_FREE char *line = memory_format("%s%s%s", which, what, phrase);
        render_sentence(r, STYLE_PLAIN, line, strlen(which) > 0 ? strlen(which) : 2);
}

/* Of a peak the moment is its process's end, of a file that of its import. */
static bool has_moment(const Tracemallocd__Control__SnapshotInfo *s) {
        return s && s->taken_at_unix_ns > 0 && strcmp(s->kind, "peak") != 0 && strcmp(s->kind, "import") != 0;
}

static bool is_live(const Tracemallocd__Control__SnapshotInfo *s) {
        return strcmp(s->kind, "live") == 0;
}

/* 'compare 2 1' is soon written. Of two runs either may be the one to compare with, and of two live tables, both of
 * now, either is cut first. */
static void render_turned_round(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h) {
        if (has_moment(h->old) && has_moment(h->snapshot) && h->old->pid == h->snapshot->pid &&
            h->old->taken_at_unix_ns > h->snapshot->taken_at_unix_ns && !(is_live(h->old) && is_live(h->snapshot)))
                render_sentence(r, STYLE_FAINT, "Old was taken after New: what grew in between is shown as less.", 2);
}

void render_statistics_heading(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h,
                               const char *old, const char *snapshot) {
        AUTO_FREE char *new_phrase = render_snapshot_phrase(h->snapshot, snapshot);
        const char *what = r->options->allocated ? "Everything allocated until " : "";
        if (old) {
                AUTO_FREE char *old_phrase = render_snapshot_phrase(h->old, old);
                heading_line(r, "Old: ", what, old_phrase);
                heading_line(r, "New: ", what, new_phrase);
                render_turned_round(r, h);
        } else {
                /* the name of a set or list is written as the user wrote it */
                if (!what[0] && strncmp(new_phrase, snapshot, strlen(snapshot)) != 0)
                        new_phrase[0] = (char)toupper((unsigned char)new_phrase[0]);
                heading_line(r, "", what, new_phrase);
        }
        fputc('\n', r->out);
}

#define PLACE_WIDTH_MIN 32 /* shortened to less, a place is a riddle: then the sizes go on a line of their own */

/* Columns that the place of a row may take. 0: no limit. *brokenp: the sizes do not fit behind it. */
static size_t place_width(const struct render *r, const Tracemallocd__Control__StatisticRow *row, const char *sizes,
                          bool *brokenp) {
        *brokenp = false;
        if (r->terminal.width == 0)
                return 0;
        AUTO_FREE char *place = render_place(row->traceback[row->n_traceback - 1], 0);
        size_t taken = strlen(": ") + text_width(sizes), width = r->terminal.width;
        if (text_width(place) + taken <= width)
                return width - taken;
        size_t least = render_place_least(row->traceback[row->n_traceback - 1]);
        *brokenp = width < taken + (least > PLACE_WIDTH_MIN ? least : PLACE_WIDTH_MIN);
        return *brokenp ? width - strlen(":") : width - taken;
}

static void render_row(const struct render *r, const Tracemallocd__Control__Frame *frame,
                       const Tracemallocd__Control__StatisticRow *row, const struct row_sizes *sizes) {
        bool broken;
        AUTO_FREE char *whole = row_sizes_text(sizes, 0, 0);
        AUTO_FREE char *place = render_place(frame, place_width(r, row, whole, &broken));
        AUTO_FREE char *below = row_sizes_text(sizes, r->terminal.width, 2);
        fprintf(r->out, "%s%s%s:%s%s\n", terminal_begin(&r->terminal, STYLE_STRONG), place,
                terminal_end(&r->terminal, STYLE_STRONG), broken ? "\n  " : " ", broken ? below : whole);
        render_source(r, frame, 4);
}

static void render_row_with_traceback(const struct render *r, const Tracemallocd__Control__StatisticRow *row,
                                      const struct row_sizes *sizes) {
        AUTO_FREE char *text = row_sizes_text(sizes, r->terminal.width, 0);
        fprintf(r->out, "%s%s%s\n", terminal_begin(&r->terminal, STYLE_STRONG), text,
                terminal_end(&r->terminal, STYLE_STRONG));
        render_traceback(r, row->traceback, row->n_traceback, 0);
        fputc('\n', r->out);
}

void render_statistic(const struct render *r, const Tracemallocd__Control__StatisticRow *row, bool diff) {
        struct row_sizes sizes;
        row_sizes_of(&sizes, &r->terminal, row, diff);
        if (r->options->group_by == GROUP_BY_TRACEBACK || row->n_traceback == 0)
                render_row_with_traceback(r, row, &sizes);
        else
                render_row(r, row->traceback[row->n_traceback - 1], row, &sizes);
        row_sizes_deinit(&sizes);
}

static uint64_t lost_events(const Tracemallocd__Control__StatisticsHeader *h) {
        return (h->snapshot ? h->snapshot->lost : 0) + (h->old ? h->old->lost : 0);
}

static void render_inexact(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h) {
        uint64_t lost = lost_events(h);
        AUTO_FREE char *what = lost > 0 ? memory_format("%" PRIu64 " events were lost", lost)
                                        : memory_format("tracing did not see every event");
        AUTO_FREE char *sentence = memory_format("Inexact: %s, so sizes and counts may be off.", what);
        render_sentence(r, STYLE_WARNING, sentence, 2);
}

static bool is_below(const ProtobufCBinaryData *path, const char *folder) {
        size_t length = strlen(folder);
        return path->len > length && memcmp(path->data, folder, length) == 0;
}

static bool is_packaged(const ProtobufCBinaryData *path) {
        return is_below(path, "/lib") || (is_below(path, "/usr/") && !is_below(path, "/usr/local/"));
}

/* A package has its line information in another; what somebody has built needs a compiler's option. */
static const char *lines_remedy(const Tracemallocd__Control__StatisticsHeader *h) {
        size_t n_packaged = 0;
        if (h->symbols_failed)
                return "The daemon could not look for it; its log says why.";
        for (size_t i = 0; i < h->n_without_lines; i++)
                n_packaged += is_packaged(&h->without_lines[i]);
        if (n_packaged == 0)
                return "Built with -g, and not stripped, programs have it.";
        if (n_packaged < h->n_without_lines)
                return "Install -dbgsym packages or set debuginfod_urls in tracemallocd.conf(5); "
                       "your own modules need -g.";
        return n_packaged == 1 ? "Install its -dbgsym package or set debuginfod_urls in tracemallocd.conf(5)."
                               : "Install their -dbgsym packages or set debuginfod_urls in tracemallocd.conf(5).";
}

static void render_without_lines(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h) {
        size_t n = h->n_without_lines < MODULES_NAMED_MAX ? h->n_without_lines : MODULES_NAMED_MAX;
        char *line = memory_copy("No line information:", strlen("No line information:"));
        for (size_t i = 0; i < n; i++) {
                AUTO_FREE char *name = text_display(h->without_lines[i].data, h->without_lines[i].len);
                AUTO_FREE char *shorter = line;
                line = memory_format("%s%s %s", shorter, i ? "," : "", name);
        }
        AUTO_FREE char *list = line;
        AUTO_FREE char *more =
                h->n_without_lines > n ? memory_format(" and %zu more", h->n_without_lines - n) : memory_copy("", 0);
        AUTO_FREE char *sentence = memory_format("%s%s.", list, more);
        render_sentence(r, STYLE_PLAIN, sentence, 2);
        render_sentence(r, STYLE_PLAIN, lines_remedy(h), 2);
}

/* "shop::pool_strdup(std::string const&)" to "shop::pool_strdup": a sentence needs no arguments. */
static char *bare_function(const ProtobufCBinaryData *function) {
        AUTO_FREE char *whole = text_display(function->data, function->len);
        char *name = function_name_brief(whole);
        char *arguments = strstr(name, "::") ? strstr(name, "(...)") : strchr(name, '(');
        if (arguments && arguments > name)
                *arguments = '\0';
        return name;
}

/* What the daemon takes for a wrapper because of its name's end may be the function that somebody looks for. */
static void render_left_out(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h) {
        size_t n = h->n_supposed_wrappers;
        char *names = memory_copy("", 0);
        for (size_t i = 0; i < n; i++) {
                AUTO_FREE char *name = bare_function(&h->supposed_wrappers[i]);
                AUTO_FREE char *before = names;
                bool last = i > 0 && i + 1 == n && h->n_more_wrappers == 0;
                names = memory_format("%s%s%s", before, i == 0 ? ", among them " : last ? " and " : ", ", name);
        }
        AUTO_FREE char *list = names;
        AUTO_FREE char *more = h->n_more_wrappers > 0 ? memory_format(" and %" PRIu64 " more", h->n_more_wrappers)
                                                      : memory_copy("", 0);
        AUTO_FREE char *sentence =
                memory_format("Allocation wrappers and containers are left out%s%s; --no-skip shows them.", list, more);
        render_sentence(r, STYLE_FAINT, sentence, 2);
}

static void render_beside_malloc(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h) {
        struct beside_malloc beside = {0};
        for (size_t i = 0; i < h->n_beside_malloc; i++)
                beside_malloc_add(&beside, h->beside_malloc[i]);
        AUTO_FREE char *clause = beside_malloc_clause(&beside);
        clause[0] = (char)toupper((unsigned char)clause[0]);
        AUTO_FREE char *sentence =
                memory_format("%s; --exclude-domain%s%s leaves %s out.", clause, beside.n == 1 ? " " : "",
                              beside.n == 1 ? beside.names[0] : "", beside.n == 1 ? "it" : "one");
        render_sentence(r, STYLE_PLAIN, sentence, 2);
        beside_malloc_deinit(&beside);
}

static void render_rows_left(const struct render *r, uint64_t n_shown, uint64_t n) {
        AUTO_FREE char *sentence =
                memory_format("%" PRIu64 " of %" PRIu64 " rows shown; --limit 0 shows all.", n_shown, n);
        render_sentence(r, STYLE_PLAIN, sentence, 2);
}

static void render_total(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h, bool diff) {
        struct row_sizes sizes;
        row_sizes_init(&sizes, &r->terminal, h->total_size, h->total_size_diff, h->total_count, h->total_count_diff,
                       diff);
        AUTO_FREE char *text = row_sizes_text(&sizes, r->terminal.width, strlen("Total: "));
        fprintf(r->out, "Total: %s\n", text);
        row_sizes_deinit(&sizes);
}

void render_statistics_end(const struct render *r, const Tracemallocd__Control__StatisticsHeader *h, bool diff,
                           uint64_t n_shown) {
        if (n_shown > 0 && r->options->group_by != GROUP_BY_TRACEBACK)
                fputc('\n', r->out);
        render_total(r, h, diff);
        if (n_shown == 0)
                render_nothing(r);
        else if (n_shown < h->n_rows)
                render_rows_left(r, n_shown, h->n_rows);
        if (h->n_beside_malloc > 0)
                render_beside_malloc(r, h);
        if (h->wrappers_skipped)
                render_left_out(r, h);
        if (!h->exact)
                render_inexact(r, h);
        if (h->n_without_lines > 0)
                render_without_lines(r, h);
}
