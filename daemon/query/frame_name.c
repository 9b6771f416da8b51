/* SPDX-License-Identifier: Apache-2.0 */

/* Names in pieces, compared without being put together. Used by the model, in the thread of its query. */

#include "daemon/query/frame_name.h"

#include "daemon/query/traceback_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add(struct frame_name *name, const char *bytes, size_t length) {
        name->pieces[name->n_pieces].bytes = bytes;
        name->pieces[name->n_pieces++].length = length;
}

static void add_text(struct frame_name *name, const struct text *text) {
        add(name, text->key, text->key_length);
}

void frame_name_init(struct frame_name *name, const struct text_table *texts, const struct traceback_frame *frame) {
        int n;
        name->n_pieces = 0;
        add_text(name, &texts->texts[frame->filename]);
        if (!frame->native || frame->lineno != 0)
                return;
        if (frame->function == TEXT_NONE) {
                n = snprintf(name->offset, sizeof name->offset, "+%#" PRIx64, frame->offset);
                add(name, name->offset, (size_t)n);
                return;
        }
        add(name, " (", 2);
        add_text(name, &texts->texts[frame->function]);
        add(name, ")", 1);
}

size_t frame_name_length(const struct frame_name *name) {
        size_t length = 0;
        for (size_t i = 0; i < name->n_pieces; i++)
                length += name->pieces[i].length;
        return length;
}

void frame_name_copy(const struct frame_name *name, char *bytes) {
        for (size_t i = 0; i < name->n_pieces; i++)
                bytes = mempcpy(bytes, name->pieces[i].bytes, name->pieces[i].length);
}

/* What is left of a name: @at in piece @piece. */
struct rest {
        const struct frame_name *name;
        size_t piece, at;
};

static bool at_end(struct rest *r) {
        while (r->piece < r->name->n_pieces && r->at == r->name->pieces[r->piece].length) {
                r->piece++;
                r->at = 0;
        }
        return r->piece == r->name->n_pieces;
}

int frame_name_compare(const struct frame_name *a, const struct frame_name *b) {
        struct rest x = {.name = a}, y = {.name = b};
        bool x_ends = at_end(&x), y_ends = at_end(&y);
        while (!x_ends && !y_ends) {
                size_t x_left = a->pieces[x.piece].length - x.at, y_left = b->pieces[y.piece].length - y.at;
                size_t n = x_left < y_left ? x_left : y_left;
                int r = memcmp(a->pieces[x.piece].bytes + x.at, b->pieces[y.piece].bytes + y.at, n);
                if (r != 0)
                        return r;
                x.at += n;
                y.at += n;
                x_ends = at_end(&x);
                y_ends = at_end(&y);
        }
        return y_ends - x_ends;
}
