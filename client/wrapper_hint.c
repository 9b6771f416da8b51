/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation wrappers by name. Called by statistics_output.c. */

#include "client/wrapper_hint.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <fnmatch.h>
#include <string.h>

/* Of functions that the daemon does not know (daemon/query/wrapper.h): pool_alloc, Arena::allocate, strdup_or_die */
static const char *const functions[] = {"*alloc*", "*Alloc*", "*memalign*", "*str*dup*"};
#define N_FUNCTIONS (sizeof functions / sizeof functions[0])

/* @option, @example: taken */
static void note(struct wrapper_hint *h, char *option, char *example) {
        for (unsigned i = 0; i < h->n_options; i++) {
                if (strcmp(h->options[i], option) == 0) {
                        free(option);
                        free(example);
                        return;
                }
        }
        h->options[h->n_options++] = option;
        if (h->example)
                free(example);
        else
                h->example = example;
}

/* A C++ name has its arguments behind it, and these may well be called std::allocator: then one's own name is the
 * pattern. */
static void look_at_function(struct wrapper_hint *h, const Tracemallocd__Control__Frame *frame) {
        AUTO_FREE char *whole = text_display(frame->function.data, frame->function.len);
        AUTO_FREE char *name = memory_copy(whole, strcspn(whole, "(<"));
        bool cxx = strlen(name) < strlen(whole);
        for (size_t i = 0; i < N_FUNCTIONS; i++) {
                if (fnmatch(functions[i], name, 0) != 0)
                        continue;
                note(h, memory_format("--skip-function '%s%s'", cxx ? name : functions[i], cxx ? "*" : ""),
                     memory_copy(name, strlen(name)));
                return;
        }
}

/* What the rows are ordered by. */
static uint64_t weight(const Tracemallocd__Control__StatisticRow *row, const struct options *o, bool diff) {
        if (!diff)
                return o->by_count ? row->count : row->size;
        int64_t change = o->by_count ? row->count_diff : row->size_diff;
        return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

void wrapper_hint_add(struct wrapper_hint *h, const Tracemallocd__Control__StatisticRow *row, const struct options *o,
                      bool diff) {
        /* of somebody who skips already, only what comes first all the same is worth another word */
        bool asked = o->skip.n + o->skip_functions.n > 0;
        if (h->n_rows++ >= (asked ? 1 : WRAPPER_HINT_ROWS) || row->n_traceback == 0)
                return;
        if (h->n_rows == 1)
                h->heaviest = weight(row, o, diff);
        if (weight(row, o, diff) < h->heaviest / 10) /* nobody looks at that row */
                return;
        const Tracemallocd__Control__Frame *frame = row->traceback[row->n_traceback - 1];
        if (frame->has_function)
                look_at_function(h, frame);
}

/* @option: "--skip 'PATTERN'" */
static bool is_given(const struct text_list *patterns, const char *option) {
        const char *pattern = strchr(option, '\'') + 1;
        for (size_t i = 0; i < patterns->n; i++) {
                size_t length = strlen(patterns->items[i]);
                if (strncmp(pattern, patterns->items[i], length) == 0 && strcmp(pattern + length, "'") == 0)
                        return true;
        }
        return false;
}

/* " --skip '...' --skip-function '...'" of what the command does not have yet */
static char *new_options(const struct wrapper_hint *h, const struct options *o) {
        char *all = memory_copy("", 0);
        for (unsigned i = 0; i < h->n_options; i++) {
                if (is_given(&o->skip, h->options[i]) || is_given(&o->skip_functions, h->options[i]))
                        continue;
                AUTO_FREE char *before = all;
                all = memory_format("%s %s", before, h->options[i]);
        }
        return all;
}

void wrapper_hint_print(const struct wrapper_hint *h, const struct render *r) {
        const struct options *o = r->options;
        if (h->n_options == 0 || o->no_skip || o->cumulative || o->group_by == GROUP_BY_TRACEBACK)
                return;
        bool asked = o->skip.n + o->skip_functions.n > 0;
        AUTO_FREE char *options = new_options(h, o);
        AUTO_FREE char *sentence =
                memory_format("%s allocates for others. Its callers:%s", h->example, asked ? " also" : "");
        size_t width = r->terminal.width;
        bool broken = width > 0 && text_width(sentence) + text_width(options) > width;
        AUTO_FREE char *lines = paragraph_format(sentence, width, 2);
        if (options[0])
                fprintf(r->out, "%s%s%s%s%s\n", terminal_begin(&r->terminal, STYLE_FAINT), lines, broken ? "\n " : "",
                        options, terminal_end(&r->terminal, STYLE_FAINT));
}

void wrapper_hint_deinit(struct wrapper_hint *h) {
        for (unsigned i = 0; i < h->n_options; i++)
                free(h->options[i]);
        free(h->example);
        *h = (struct wrapper_hint){0};
}
