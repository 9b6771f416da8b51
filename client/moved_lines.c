/* SPDX-License-Identifier: Apache-2.0 */

/* Files whose lines are at other numbers. Called by statistics_output.c. */

#include "client/moved_lines.h"

#include "client/memory.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static struct moved_file *file_of(struct moved_lines *m, const Tracemallocd__Control__Frame *frame) {
        AUTO_FREE char *name = text_display(frame->filename.data, frame->filename.len);
        for (unsigned i = 0; i < m->n_files; i++) {
                if (strcmp(m->files[i].name, name) == 0)
                        return &m->files[i];
        }
        struct moved_file *file = &m->files[m->n_files++];
        file->name = name;
        name = NULL;
        return file;
}

void moved_lines_add(struct moved_lines *m, const Tracemallocd__Control__StatisticRow *row) {
        if (m->n_rows++ >= MOVED_LINES_ROWS || row->n_traceback == 0)
                return;
        const Tracemallocd__Control__Frame *frame = row->traceback[row->n_traceback - 1];
        bool came = row->count > 0 && row->count_diff == (int64_t)row->count;
        bool went = row->count == 0 && row->count_diff < 0;
        if (frame->lineno == 0 || (!came && !went))
                return;
        struct moved_file *file = file_of(m, frame);
        if (came)
                file->came += row->size;
        else
                file->went -= (uint64_t)row->size_diff;
}

static bool is_process(const Tracemallocd__Control__SnapshotInfo *s) {
        return s && s->pid > 0;
}

static bool is_other(const Tracemallocd__Control__SnapshotInfo *a, const Tracemallocd__Control__SnapshotInfo *b) {
        return a->pid != b->pid || a->started_at_unix_ns != b->started_at_unix_ns || a->image != b->image;
}

void moved_lines_print(const struct moved_lines *m, const struct render *r,
                       const Tracemallocd__Control__StatisticsHeader *h) {
        if (!is_process(h->old) || !is_process(h->snapshot) || !is_other(h->old, h->snapshot))
                return;
        for (unsigned i = 0; i < m->n_files; i++) {
                const struct moved_file *file = &m->files[i];
                /* other work of the program comes and goes as well, but hardly as much */
                if (file->came / 2 > file->went || file->went / 2 > file->came)
                        continue;
                AUTO_FREE char *sentence = memory_format(
                        "If lines of %s moved between the two: --group-by function compares them.", file->name);
                render_sentence(r, STYLE_FAINT, sentence, 2);
                return;
        }
}

void moved_lines_deinit(struct moved_lines *m) {
        for (unsigned i = 0; i < m->n_files; i++)
                free(m->files[i].name);
        *m = (struct moved_lines){0};
}
