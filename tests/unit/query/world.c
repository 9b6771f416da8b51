/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/query/world.h"

#include "daemon/query/pattern.h"
#include "daemon/query/query.h"
#include "tests/unit/query/snapshot_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX     4096
#define SNAPSHOTS_MAX 16
#define FILTERS_MAX   16

struct world {
        struct snapshot *snapshots[SNAPSHOTS_MAX];
        size_t n_snapshots;
        struct symbol_set *symbols;
        Tracemallocd__Control__View view;
        Tracemallocd__Control__Filter filters[FILTERS_MAX];
        Tracemallocd__Control__Filter *filter_pointers[FILTERS_MAX];
        ProtobufCBinaryData skip[FILTERS_MAX], skip_functions[FILTERS_MAX];
        bool comparing;
        FILE *out;
};

static void clear_view(struct world *w) {
        for (size_t i = 0; i < w->view.n_filters; i++) {
                free(w->filters[i].domain);
                free(w->filters[i].pattern.data);
        }
        for (size_t i = 0; i < w->view.n_skip; i++)
                free(w->skip[i].data);
        for (size_t i = 0; i < w->view.n_skip_functions; i++)
                free(w->skip_functions[i].data);
        tracemallocd__control__view__init(&w->view);
        w->view.filters = w->filter_pointers;
        w->view.skip = w->skip;
        w->view.skip_functions = w->skip_functions;
}

static void clear(struct world *w) {
        clear_view(w);
        for (size_t i = 0; i < w->n_snapshots; i++)
                snapshot_text_free(w->snapshots[i]);
        w->n_snapshots = 0;
        w->symbols = symbol_set_free(w->symbols);
}

static void renew(struct world *w) {
        clear(w);
        int r = symbol_set_new(&w->symbols);
        assert(r == 0);
}

struct world *world_new(void) {
        struct world *w = calloc(1, sizeof *w);
        assert(w);
        renew(w);
        return w;
}

void world_free(struct world *w) {
        clear(w);
        free(w);
}

/* ---- answers ---- */

static void print_bytes(FILE *out, const uint8_t *bytes, size_t length) {
        for (size_t i = 0; i < length; i++)
                if (bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != ',' && bytes[i] != '%')
                        putc(bytes[i], out);
                else
                        fprintf(out, "%%%02X", bytes[i]);
}

static void print_optional(FILE *out, bool known, ProtobufCBinaryData text) {
        if (known)
                print_bytes(out, text.data, text.len);
        else
                putc('-', out);
}

static void print_frames(FILE *out, Tracemallocd__Control__Frame *const *frames, size_t n) {
        for (size_t i = 0; i < n; i++) {
                putc(' ', out);
                print_bytes(out, frames[i]->filename.data, frames[i]->filename.len);
                fprintf(out, ",%" PRIu64 ",", frames[i]->lineno);
                print_optional(out, frames[i]->has_function, frames[i]->function);
                putc(',', out);
                print_optional(out, frames[i]->has_module, frames[i]->module);
                if (frames[i]->has_offset)
                        fprintf(out, ",+%#" PRIx64, frames[i]->offset);
        }
        putc('\n', out);
}

static void print_header(const struct world *w, const Tracemallocd__Control__StatisticsHeader *h) {
        assert(h->snapshot && !h->old == !w->comparing);
        fprintf(w->out, "header %" PRIu64 " %" PRIu64 " %" PRIu64 " %s", h->total_size, h->total_count, h->n_rows,
                h->exact ? "exact" : "inexact");
        if (w->comparing)
                fprintf(w->out, " %+" PRId64 " %+" PRId64, h->total_size_diff, h->total_count_diff);
        putc('\n', w->out);
        if (h->wrappers_skipped)
                fputs("wrappers-skipped\n", w->out);
        for (size_t i = 0; i < h->n_supposed_wrappers; i++) {
                fputs("supposed ", w->out);
                print_bytes(w->out, h->supposed_wrappers[i].data, h->supposed_wrappers[i].len);
                putc('\n', w->out);
        }
        if (h->n_more_wrappers > 0)
                fprintf(w->out, "more %" PRIu64 "\n", h->n_more_wrappers);
        for (size_t i = 0; i < h->n_beside_malloc; i++) {
                fprintf(w->out, "beside-malloc %" PRIu32 " ", h->beside_malloc[i]->number);
                print_bytes(w->out, h->beside_malloc[i]->name.data, h->beside_malloc[i]->name.len);
                putc('\n', w->out);
        }
        for (size_t i = 0; i < h->n_without_lines; i++) {
                fputs("without-lines ", w->out);
                print_bytes(w->out, h->without_lines[i].data, h->without_lines[i].len);
                putc('\n', w->out);
        }
}

static void print_statistics(const struct world *w, const Tracemallocd__Control__StatisticRows *rows) {
        for (size_t i = 0; i < rows->n_rows; i++) {
                const Tracemallocd__Control__StatisticRow *row = rows->rows[i];
                if (w->comparing)
                        fprintf(w->out, "row %" PRIu64 " %+" PRId64 " %" PRIu64 " %+" PRId64, row->size, row->size_diff,
                                row->count, row->count_diff);
                else
                        fprintf(w->out, "row %" PRIu64 " %" PRIu64, row->size, row->count);
                print_frames(w->out, row->traceback, row->n_traceback);
        }
}

static void print_number(FILE *out, bool known, uint64_t number) {
        if (known)
                fprintf(out, " %" PRIu64, number);
        else
                fputs(" -", out);
}

static void print_traces(const struct world *w, const Tracemallocd__Control__TraceRows *rows) {
        for (size_t i = 0; i < rows->n_rows; i++) {
                const Tracemallocd__Control__TraceRow *row = rows->rows[i];
                fprintf(w->out, "trace %" PRIu32 " ", row->domain);
                print_optional(w->out, row->domain_name.len > 0, row->domain_name);
                print_number(w->out, row->has_total_nframe, row->total_nframe);
                print_number(w->out, row->has_size, row->size);
                fprintf(w->out, " %" PRIu64 " %" PRIu64, row->count, row->total_size);
                print_frames(w->out, row->traceback, row->n_traceback);
        }
}

/* Through bytes, as on the way to a client. */
static int print_reply(void *userdata, const Tracemallocd__Control__Reply *message) {
        const struct world *w = userdata;
        size_t length = tracemallocd__control__reply__get_packed_size(message);
        uint8_t *packed = malloc(length);
        assert(packed);
        tracemallocd__control__reply__pack(message, packed);
        Tracemallocd__Control__Reply *reply = tracemallocd__control__reply__unpack(NULL, length, packed);
        assert(reply);
        if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS)
                print_header(w, reply->statistics);
        else if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS)
                print_statistics(w, reply->rows);
        else
                print_traces(w, reply->traces);
        tracemallocd__control__reply__free_unpacked(reply, NULL);
        free(packed);
        return 0;
}

/* ---- lines ---- */

static uint64_t number(const char *word) {
        char *end;
        uint64_t n = strtoull(word, &end, 0);
        assert(*word && !*end);
        return n;
}

static ProtobufCBinaryData pattern_copy(char *word) {
        ProtobufCBinaryData pattern = {.len = snapshot_text_unescape(word)};
        pattern.data = malloc(pattern.len + 1);
        assert(pattern.data);
        memcpy(pattern.data, word, pattern.len + 1);
        return pattern;
}

static Tracemallocd__Control__Filter *add_filter(struct world *w, const char *mode, const char *domain) {
        Tracemallocd__Control__Filter *filter = &w->filters[w->view.n_filters];
        assert(w->view.n_filters < FILTERS_MAX);
        w->filter_pointers[w->view.n_filters++] = filter;
        tracemallocd__control__filter__init(filter);
        filter->inclusive = strcmp(mode, "include") == 0;
        filter->domain = strdup(strcmp(domain, "-") == 0 ? "" : domain);
        return filter;
}

static bool view_line(struct world *w, char **words, size_t n) {
        static const char *const groups[] = {"lineno", "filename", "traceback", "function"};
        Tracemallocd__Control__Filter *filter;
        if (strcmp(words[0], "view") == 0 && n == 5) {
                clear_view(w);
                w->view.group_by = (Tracemallocd__Control__GroupBy)99;
                for (int i = 0; i < 4; i++)
                        if (strcmp(words[1], groups[i]) == 0)
                                w->view.group_by = (Tracemallocd__Control__GroupBy)i;
                w->view.cumulative = (protobuf_c_boolean)number(words[2]);
                w->view.limit = number(words[3]);
                w->view.allocated = (protobuf_c_boolean)number(words[4]);
        } else if (strcmp(words[0], "filter") == 0 && n == 6) {
                filter = add_filter(w, words[1], words[4]);
                filter->has_lineno = strcmp(words[2], "-") != 0;
                filter->lineno = filter->has_lineno ? number(words[2]) : 0;
                filter->all_frames = strcmp(words[3], "all") == 0;
                filter->pattern = pattern_copy(words[5]);
        } else if (strcmp(words[0], "domain-filter") == 0 && n == 3) {
                filter = add_filter(w, words[1], words[2]);
                filter->domain_only = true;
        } else if (strcmp(words[0], "skip") == 0 && n == 2 && w->view.n_skip < FILTERS_MAX) {
                w->skip[w->view.n_skip++] = pattern_copy(words[1]);
        } else if (strcmp(words[0], "skip-function") == 0 && n == 2 && w->view.n_skip_functions < FILTERS_MAX) {
                w->skip_functions[w->view.n_skip_functions++] = pattern_copy(words[1]);
        } else if (strcmp(words[0], "skip-wrappers") == 0 && n == 1) {
                w->view.skip_wrappers = true;
        } else if (strcmp(words[0], "by-count") == 0 && n == 1) {
                w->view.by_count = true;
        } else {
                return false;
        }
        return true;
}

static bool snapshot_line(struct world *w, char **words, size_t n) {
        struct snapshot *s = w->n_snapshots ? w->snapshots[w->n_snapshots - 1] : NULL;
        void (*add)(struct snapshot *, uint32_t, uint32_t, uint64_t, uint64_t, char **, size_t) = NULL;
        uint32_t total_nframe;

        if (strcmp(words[0], "snapshot") == 0 && n == 2 && w->n_snapshots < SNAPSHOTS_MAX) {
                w->snapshots[w->n_snapshots++] = snapshot_text_new((int64_t)number(words[1]));
                return true;
        }
        if (strcmp(words[0], "trace") == 0)
                add = snapshot_text_blocks;
        else if (strcmp(words[0], "sum") == 0)
                add = snapshot_text_sum;
        else if (strcmp(words[0], "allocated") == 0)
                add = snapshot_text_allocated;
        if (add && s && n >= 5) {
                total_nframe = strcmp(words[2], "-") == 0 ? SNAPSHOT_TOTAL_NFRAME_UNKNOWN : (uint32_t)number(words[2]);
                add(s, (uint32_t)number(words[1]), total_nframe, number(words[3]), number(words[4]), words + 5, n - 5);
        } else if (strcmp(words[0], "import") == 0 && s) {
                s->info.kind = SNAPSHOT_IMPORT;
        } else if (strcmp(words[0], "inexact") == 0 && s) {
                s->info.exact = false;
        } else if (strcmp(words[0], "domain") == 0 && s && n == 3) {
                snapshot_text_domain(s, (uint32_t)number(words[1]), words[2]);
        } else {
                return false;
        }
        return true;
}

static bool symbol_line(struct world *w, char **words, size_t n) {
        uint32_t module;
        int r;
        if (strcmp(words[0], "symbol") == 0 && n >= 3) {
                snapshot_text_symbol(w->symbols, words[1], number(words[2]), words + 3, n - 3);
                return true;
        }
        if (strcmp(words[0], "lines") == 0 && n == 3) {
                r = symbol_set_module(w->symbols, words[1], snapshot_text_unescape(words[1]), NULL, 0, &module);
                if (r == 0)
                        r = symbol_set_examined(w->symbols, module, strcmp(words[2], "yes") == 0, NULL, 0);
                assert(r == 0);
                return true;
        }
        return false;
}

static struct model_source source(const struct world *w, const char *word) {
        for (size_t i = 0; i < w->n_snapshots; i++)
                if (w->snapshots[i]->info.id == (int64_t)number(word))
                        return (struct model_source){w->snapshots[i], w->symbols};
        abort();
}

static bool query_line(struct world *w, char **words, size_t n) {
        struct reply_sink sink = {print_reply, w};
        struct model_source sources[SNAPSHOTS_MAX];
        char *message = NULL;
        int r;
        if (n < 2 || n > SNAPSHOTS_MAX)
                return false;
        for (size_t i = 1; i < n; i++)
                if (strcmp(words[0], "stats") == 0 || strcmp(words[0], "compare") == 0 ||
                    strcmp(words[0], "traces") == 0)
                        sources[i - 1] = source(w, words[i]);
        w->comparing = strcmp(words[0], "compare") == 0;
        if (w->comparing && n == 3)
                r = query_compare(&sources[0], 1, &sources[1], 1, &w->view, &sink, &message);
        else if (strcmp(words[0], "stats") == 0)
                r = query_stats(sources, n - 1, &w->view, &sink, &message);
        else if (strcmp(words[0], "traces") == 0)
                r = query_traces(sources, n - 1, &w->view, &sink, &message);
        else
                return false;
        if (r != 0)
                fprintf(w->out, "error %d %s\n", r, message ? message : "");
        free(message);
        return true;
}

static bool match_line(struct world *w, char **words, size_t n) {
        struct pattern *pattern;
        if (strcmp(words[0], "match") != 0 || n != 3)
                return false;
        int r = pattern_new(PATTERN_TEXT, words[1], snapshot_text_unescape(words[1]), &pattern);
        assert(r == 0);
        fprintf(w->out, "match %s\n",
                pattern_match(pattern, words[2], snapshot_text_unescape(words[2])) ? "yes" : "no");
        pattern_free(pattern);
        return true;
}

void world_line(struct world *w, char *line, FILE *out) {
        static char *words[WORDS_MAX];
        size_t n = 0;
        if (!*line || *line == '#')
                return;
        for (char *next = line; next && n < WORDS_MAX;)
                words[n++] = strsep(&next, " ");
        w->out = out;
        if (strcmp(words[0], "case") == 0) {
                renew(w);
        } else if (query_line(w, words, n) || match_line(w, words, n)) {
                fputs("end\n", out);
        } else if (!snapshot_line(w, words, n) && !symbol_line(w, words, n) && !view_line(w, words, n)) {
                fprintf(stderr, "bad line: %s\n", words[0]);
                abort();
        }
}

char *world_ask(const char *text) {
        struct world *w = world_new();
        char *lines = strdup(text), *answer = NULL;
        size_t length;
        FILE *out = open_memstream(&answer, &length);
        assert(lines && out);
        for (char *next = lines; next;) {
                char *line = strsep(&next, "\n");
                world_line(w, line, out);
        }
        fclose(out);
        free(lines);
        world_free(w);
        return answer;
}
