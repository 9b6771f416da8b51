/* SPDX-License-Identifier: Apache-2.0 */

/* Allocation wrappers by name. Called by statistics_output.c. */

#include "client/wrapper_hint.h"

#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <fnmatch.h>
#include <string.h>

#define ROWS_LOOKED_AT 3

/* zmalloc, g_malloc0, CRYPTO_zalloc, QArrayData::allocate; strdup and its like; libstdc++'s containers */
static const struct {
        const char *option, *pattern;
        bool of_file;
} wrappers[] = {
        {"--skip", "*/include/c++/*", true},
        {"--skip-function", "*alloc*", false},
        {"--skip-function", "*str*dup*", false},
};
#define N_WRAPPERS (sizeof wrappers / sizeof wrappers[0])

static bool matches(size_t i, const Tracemallocd__Control__Frame *frame, char **whatp) {
        const ProtobufCBinaryData *bytes = wrappers[i].of_file ? &frame->filename : &frame->function;
        if (!wrappers[i].of_file && !frame->has_function)
                return false;
        AUTO_FREE char *text = text_display(bytes->data, bytes->len);
        if (fnmatch(wrappers[i].pattern, text, 0) != 0)
                return false;
        /* a header's path is long, and what it is everybody knows */
        *whatp = wrappers[i].of_file ? strdup("a header of the C++ library") : text;
        if (!wrappers[i].of_file)
                text = NULL;
        return true;
}

void wrapper_hint_add(struct wrapper_hint *h, const Tracemallocd__Control__StatisticRow *row) {
        if (h->n_rows++ >= ROWS_LOOKED_AT || row->n_traceback == 0)
                return;
        const Tracemallocd__Control__Frame *frame = row->traceback[row->n_traceback - 1];
        for (size_t i = 0; i < N_WRAPPERS; i++) {
                char *what;
                if (!matches(i, frame, &what))
                        continue;
                h->found |= 1u << i;
                if (h->example)
                        free(what);
                else
                        h->example = what;
                return; /* one reason is enough for a row */
        }
}

void wrapper_hint_print(const struct wrapper_hint *h, const struct render *r) {
        const struct options *o = r->options;
        bool asked = o->skip.n + o->skip_functions.n > 0;
        if (!h->found || !h->example || asked || o->cumulative || o->group_by == GROUP_BY_TRACEBACK)
                return;
        fprintf(r->out, "%s%s allocates for others. To see its callers:", terminal_begin(&r->terminal, STYLE_FAINT),
                h->example);
        for (size_t i = 0; i < N_WRAPPERS; i++) {
                if (h->found & 1u << i)
                        fprintf(r->out, " %s '%s'", wrappers[i].option, wrappers[i].pattern);
        }
        fprintf(r->out, "%s\n", terminal_end(&r->terminal, STYLE_FAINT));
}

void wrapper_hint_deinit(struct wrapper_hint *h) {
        free(h->example);
        *h = (struct wrapper_hint){0};
}
