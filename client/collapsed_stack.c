/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl export --format collapsed. */

#include "client/collapsed_stack.h"

#include "client/function_name.h"
#include "client/memory.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <string.h>

/* The path with what is known of the place in it. */
static char *place_text(const Tracemallocd__Control__Frame *f) {
        AUTO_FREE char *path = text_display(f->filename.data, f->filename.len);
        if (f->lineno > 0)
                return memory_format("%s:%" PRIu64, path, f->lineno);
        if (!f->has_function && f->has_offset)
                return memory_format("%s+0x%" PRIx64, path, f->offset);
        return memory_copy(path, strlen(path));
}

static char *frame_text(const Tracemallocd__Control__Frame *f) {
        char *place = place_text(f);
        if (!f->has_function)
                return place;
        AUTO_FREE char *behind = place;
        AUTO_FREE char *whole = text_display(f->function.data, f->function.len);
        AUTO_FREE char *function = function_name_short(whole);
        return memory_format("%s (%s)", function, behind);
}

void collapsed_stack(struct text_buffer *out, const Tracemallocd__Control__StatisticRow *row) {
        for (size_t i = 0; i < row->n_traceback; i++) {
                AUTO_FREE char *text = frame_text(row->traceback[i]);
                for (char *c = text; (c = strchr(c, ';'));)
                        *c = ':';
                text_buffer_text(out, i > 0 ? ";" : "");
                text_buffer_text(out, text);
        }
        text_buffer_add(out, " ", 1);
        text_buffer_unsigned(out, row->size);
        text_buffer_add(out, "\n", 1);
}
