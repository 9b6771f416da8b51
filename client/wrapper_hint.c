/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation wrappers by name. Called by statistics_output.c. */

#include "client/wrapper_hint.h"

#include "client/memory.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <fnmatch.h>
#include <string.h>

#define CXX_HEADERS "*/include/c++/*"

/* Of functions: zmalloc, g_malloc0, CRYPTO_zalloc, QArrayData::allocate; strdup and its like */
static const char *const functions[] = {"*alloc*", "*Alloc*", "*str*dup*"};
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

void wrapper_hint_add(struct wrapper_hint *h, const Tracemallocd__Control__StatisticRow *row) {
        if (h->n_rows++ >= WRAPPER_HINT_ROWS || row->n_traceback == 0)
                return;
        const Tracemallocd__Control__Frame *frame = row->traceback[row->n_traceback - 1];
        AUTO_FREE char *file = text_display(frame->filename.data, frame->filename.len);
        if (fnmatch(CXX_HEADERS, file, 0) == 0)
                note(h, memory_format("--skip '%s'", CXX_HEADERS), memory_format("A header of the C++ library"));
        else if (frame->has_function)
                look_at_function(h, frame);
}

void wrapper_hint_print(const struct wrapper_hint *h, const struct render *r) {
        const struct options *o = r->options;
        bool asked = o->skip.n + o->skip_functions.n > 0;
        if (h->n_options == 0 || asked || o->cumulative || o->group_by == GROUP_BY_TRACEBACK)
                return;
        fprintf(r->out, "%s%s allocates for others. Its callers:", terminal_begin(&r->terminal, STYLE_FAINT),
                h->example);
        for (unsigned i = 0; i < h->n_options; i++)
                fprintf(r->out, " %s", h->options[i]);
        fprintf(r->out, "%s\n", terminal_end(&r->terminal, STYLE_FAINT));
}

void wrapper_hint_deinit(struct wrapper_hint *h) {
        for (unsigned i = 0; i < h->n_options; i++)
                free(h->options[i]);
        free(h->example);
        *h = (struct wrapper_hint){0};
}
