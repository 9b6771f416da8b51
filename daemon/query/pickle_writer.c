/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writes traces as Python's pickle would have them loaded: names, frames and
 * tracebacks once, by way of the memo, and of equal blocks that follow each
 * other all but the first as "the same again". Python then shares their tuple,
 * which its own snapshots do not; nobody can tell but by identity. Runs in the
 * thread of its query.
 */

#include "daemon/query/pickle_writer.h"

#include "daemon/query/pickle_opcode.h"
#include "daemon/query/python_traces.h"
#include "daemon/query/trace_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 1000 /* as Python's pickler: so many values lie on the stack of the reader */

struct pickle_writer {
        const struct model *model;
        enum pickle_shape shape;
        const struct pickle_sink *sink;
        uint8_t *bytes; /* [PICKLE_CHUNK_BYTES] */
        size_t n_bytes;
        int error; /* of the sink: nothing is written after it */
        /* memo number + 1 of what is there already; 0: not yet */
        uint32_t *texts, *frames, *nodes;
        uint32_t n_memo, n_batch;
        struct pickle_summary summary;
};

static void flush(struct pickle_writer *w) {
        if (!w->error && w->n_bytes > 0)
                w->error = w->sink->write(w->sink->userdata, w->bytes, w->n_bytes);
        w->n_bytes = 0;
}

static void put(struct pickle_writer *w, const void *bytes, size_t n) {
        const uint8_t *from = bytes;
        while (n > 0) {
                size_t room = PICKLE_CHUNK_BYTES - w->n_bytes, taken = n < room ? n : room;
                memcpy(w->bytes + w->n_bytes, from, taken);
                w->n_bytes += taken;
                from += taken;
                n -= taken;
                if (w->n_bytes == PICKLE_CHUNK_BYTES)
                        flush(w);
        }
}

static void put_opcode(struct pickle_writer *w, uint8_t opcode) {
        put(w, &opcode, 1);
}

/* @n: bytes of @number, little-endian */
static void put_operand(struct pickle_writer *w, uint8_t opcode, uint64_t number, unsigned n) {
        uint8_t bytes[1 + sizeof number] = {opcode};
        for (unsigned i = 0; i < n; i++)
                bytes[1 + i] = (uint8_t)(number >> 8 * i);
        put(w, bytes, 1 + n);
}

static void put_number(struct pickle_writer *w, uint64_t number) {
        uint8_t n = 0;
        if (number <= UINT8_MAX) {
                put_operand(w, PICKLE_BININT1, number, 1);
        } else if (number <= UINT16_MAX) {
                put_operand(w, PICKLE_BININT2, number, 2);
        } else if (number <= INT32_MAX) {
                put_operand(w, PICKLE_BININT, number, 4);
        } else {
                while (n < sizeof number && number >> 8 * n)
                        n++;
                n += number >> (8 * n - 1) & 1; /* the top bit is the sign */
                put_operand(w, PICKLE_LONG1, n, 1);
                for (unsigned i = 0; i < n; i++)
                        put_opcode(w, i < sizeof number ? (uint8_t)(number >> 8 * i) : 0);
        }
}

static void put_text_head(struct pickle_writer *w, size_t length) {
        if (length <= UINT8_MAX)
                put_operand(w, PICKLE_SHORT_BINUNICODE, length, 1);
        else if (length <= UINT32_MAX)
                put_operand(w, PICKLE_BINUNICODE, length, 4);
        else
                put_operand(w, PICKLE_BINUNICODE8, length, 8);
}

static void put_word(struct pickle_writer *w, const char *word) {
        put_text_head(w, strlen(word));
        put(w, word, strlen(word));
}

static void memoize(struct pickle_writer *w, uint32_t *memop) {
        put_opcode(w, PICKLE_MEMOIZE);
        *memop = ++w->n_memo;
}

static bool recall(struct pickle_writer *w, uint32_t memo) {
        if (memo == 0)
                return false;
        if (memo - 1 <= UINT8_MAX)
                put_operand(w, PICKLE_BINGET, memo - 1, 1);
        else
                put_operand(w, PICKLE_LONG_BINGET, memo - 1, 4);
        return true;
}

/* ---- frames ---- */

static void put_filename(struct pickle_writer *w, uint32_t text_id) {
        const struct text *text = &w->model->table.texts.texts[text_id];
        if (recall(w, w->texts[text_id]))
                return;
        put_text_head(w, text->key_length);
        put(w, text->key, text->key_length);
        memoize(w, &w->texts[text_id]);
}

static void put_frame(struct pickle_writer *w, uint32_t frame_id) {
        const struct traceback_frame *frame = &w->model->table.frames[frame_id];
        if (recall(w, w->frames[frame_id]))
                return;
        put_filename(w, frame->filename);
        put_number(w, frame->lineno);
        put_opcode(w, PICKLE_TUPLE2);
        memoize(w, &w->frames[frame_id]);
}

/* Frames lie most recent first there: from the node to the root. */
static void put_traceback(struct pickle_writer *w, uint32_t node) {
        const struct traceback_node *nodes = w->model->table.nodes;
        uint32_t depth = nodes[node].depth;
        if (recall(w, w->nodes[node]))
                return;
        if (depth > 3)
                put_opcode(w, PICKLE_MARK);
        for (uint32_t i = node; i != TRACEBACK_ROOT; i = nodes[i].parent)
                put_frame(w, nodes[i].frame);
        put_opcode(w, (uint8_t)(depth > 3 ? PICKLE_TUPLE : PICKLE_TUPLE1 + depth - 1));
        memoize(w, &w->nodes[node]);
}

/* ---- blocks ---- */

static void put_trace(struct pickle_writer *w, const struct trace_row *row) {
        if (w->shape == PICKLE_SHAPE_3_9)
                put_opcode(w, PICKLE_MARK);
        put_number(w, row->domain);
        put_number(w, row->size);
        put_traceback(w, row->node);
        if (w->shape == PICKLE_SHAPE_3_8) {
                put_opcode(w, PICKLE_TUPLE3);
                return;
        }
        if (row->total_nframe == SNAPSHOT_TOTAL_NFRAME_UNKNOWN)
                put_opcode(w, PICKLE_NONE);
        else
                put_number(w, row->total_nframe);
        put_opcode(w, PICKLE_TUPLE);
}

static void end_batch(struct pickle_writer *w) {
        if (w->n_batch > 0)
                put_opcode(w, PICKLE_APPENDS);
        w->n_batch = 0;
}

static void put_row(struct pickle_writer *w, const struct trace_row *row) {
        bool again = false;
        for (uint64_t i = 0; i < row->count && !w->error; i++) {
                if (w->n_batch == 0) {
                        put_opcode(w, PICKLE_MARK);
                        again = false;
                }
                if (again)
                        put_opcode(w, PICKLE_DUP);
                else
                        put_trace(w, row);
                again = true;
                if (++w->n_batch == BATCH_MAX)
                        end_batch(w);
        }
        w->summary.blocks += row->count;
}

static void put_snapshot(struct pickle_writer *w, const struct trace_list *list, uint32_t traceback_limit) {
        static const uint8_t new_object[] = {PICKLE_STACK_GLOBAL, PICKLE_EMPTY_TUPLE, PICKLE_NEWOBJ, PICKLE_EMPTY_DICT};
        put_operand(w, PICKLE_PROTO, 4, 1);
        put_word(w, "tracemalloc");
        put_word(w, "Snapshot");
        put(w, new_object, sizeof new_object);
        put_opcode(w, PICKLE_MARK);
        put_word(w, "traces");
        put_word(w, "tracemalloc");
        put_word(w, "_Traces");
        put(w, new_object, sizeof new_object);
        put_word(w, "_traces");
        put_opcode(w, PICKLE_EMPTY_LIST);
        for (size_t i = 0; i < list->n_rows && !w->error; i++)
                put_row(w, &list->rows[i]);
        end_batch(w);
        put_opcode(w, PICKLE_SETITEM);
        put_opcode(w, PICKLE_BUILD);
        put_word(w, "traceback_limit");
        put_number(w, traceback_limit);
        put_opcode(w, PICKLE_SETITEMS);
        put_opcode(w, PICKLE_BUILD);
        put_opcode(w, PICKLE_STOP);
        flush(w);
}

static int writer_init(struct pickle_writer *w, const struct model *m) {
        const struct traceback_table *t = &m->table;
        if ((uint64_t)t->texts.n_texts + t->n_frames + t->n_nodes >= UINT32_MAX)
                return -EOVERFLOW;
        w->model = m;
        w->bytes = malloc(PICKLE_CHUNK_BYTES);
        w->texts = calloc((size_t)t->texts.n_texts + 1, sizeof *w->texts);
        w->frames = calloc((size_t)t->n_frames + 1, sizeof *w->frames);
        w->nodes = calloc((size_t)t->n_nodes + 1, sizeof *w->nodes);
        return w->bytes && w->texts && w->frames && w->nodes ? 0 : -ENOMEM;
}

static void writer_deinit(struct pickle_writer *w) {
        free(w->bytes);
        free(w->texts);
        free(w->frames);
        free(w->nodes);
}

static bool has_all_sizes(const struct trace_list *list) {
        for (size_t i = 0; i < list->n_rows; i++)
                if (!list->rows[i].has_size)
                        return false;
        return true;
}

/* @m: reduced to what Python has */
static int write_traces(struct pickle_writer *w, const struct model *m, uint32_t traceback_limit) {
        struct trace_list *list;
        int r = trace_list_compute(m, false, &list);
        if (r != 0)
                return r;
        r = has_all_sizes(list) ? writer_init(w, m) : PICKLE_E_NO_SIZES;
        if (r == 0) {
                put_snapshot(w, list, traceback_limit);
                r = w->error;
        }
        writer_deinit(w);
        trace_list_free(list);
        return r;
}

int pickle_write(struct model *m, enum pickle_shape shape, uint32_t traceback_limit, const struct pickle_sink *sink,
                 struct pickle_summary *summaryp) {
        struct pickle_writer w = {.shape = shape, .sink = sink};
        struct python_traces traces;
        int r = python_traces_reduce(m, shape != PICKLE_SHAPE_3_8, &traces);
        if (r == 0)
                r = write_traces(&w, m, traceback_limit);
        if (r == 0) {
                w.summary.functions_left_out = traces.functions_left_out;
                w.summary.modules_left_out = traces.modules_left_out;
                w.summary.total_nframe_left_out = traces.total_nframe_left_out;
                *summaryp = w.summary;
        }
        python_traces_deinit(&traces);
        return r;
}
