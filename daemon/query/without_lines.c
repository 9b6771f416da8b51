/* SPDX-License-Identifier: Apache-2.0 */

/* See without_lines.h. Runs in the thread of its query. */

#include "daemon/query/without_lines.h"

#include "daemon/query/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool *modules_with_lines(const struct model *m) {
        bool *with = calloc((size_t)m->table.n_modules + 1, sizeof *with);
        if (!with)
                return NULL;
        for (uint32_t i = 0; i < m->table.n_modules; i++)
                with[i] = m->module_lines[i] == MODEL_LINES_PRESENT;
        for (uint32_t i = 0; i < m->table.n_frames; i++)
                if (m->table.frames[i].native && m->table.frames[i].lineno && m->table.frames[i].module != MODULE_NONE)
                        with[m->table.frames[i].module] = true;
        return with;
}

struct held {
        uint32_t text;
        uint64_t size;
};

/* By path, because two builds of one module are one line for people. */
static struct held *sum_by_path(const struct model *m, const bool *with_lines) {
        struct held *held = calloc((size_t)m->table.texts.n_texts + 1, sizeof *held);
        if (!held)
                return NULL;
        for (uint32_t i = 0; i < m->table.texts.n_texts; i++)
                held[i].text = i;
        for (size_t i = 0; i < m->n_traces; i++) {
                const struct model_trace *trace = &m->traces[i];
                const struct traceback_frame *frame = &m->table.frames[m->table.nodes[trace->node].frame];
                struct held *path;
                if (!frame->native || frame->lineno || frame->module == MODULE_NONE || with_lines[frame->module])
                        continue;
                path = &held[m->table.modules[frame->module].path];
                path->size = number_add(path->size, trace->size);
        }
        return held;
}

static int compare_held(const void *x, const void *y, void *texts) {
        const struct held *a = x, *b = y;
        if (a->size != b->size)
                return a->size > b->size ? -1 : 1;
        return text_table_compare(texts, a->text, b->text);
}

int without_lines_compute(const struct model *m, uint32_t **textsp, size_t *np) {
        bool *with_lines = modules_with_lines(m);
        struct held *held = with_lines ? sum_by_path(m, with_lines) : NULL;
        uint32_t *texts = NULL;
        size_t n = 0;
        free(with_lines);
        if (!held)
                return -ENOMEM;
        for (uint32_t i = 0; i < m->table.texts.n_texts; i++)
                if (held[i].size > 0)
                        held[n++] = held[i];
        qsort_r(held, n, sizeof *held, compare_held, (void *)&m->table.texts);
        texts = calloc(n + 1, sizeof *texts);
        if (texts) {
                for (size_t i = 0; i < n; i++)
                        texts[i] = held[i].text;
                *textsp = texts;
                *np = n;
        }
        free(held);
        return texts ? 0 : -ENOMEM;
}
