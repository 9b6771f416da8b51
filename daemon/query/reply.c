/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows become messages chunk by chunk: a chunk of rows is built, sent and freed
 * before the next, so a long answer costs no more memory than a chunk. Strings
 * are not copied. Runs in the thread of the query.
 */

#include "daemon/query/reply.h"

#include "daemon/base/frame.h"
#include "daemon/query/domain.h"
#include "daemon/query/number.h"
#include "daemon/query/without_lines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef Tracemallocd__Control__Frame frame_message;

#define ROW_BYTES_MAX (FRAME_MAX_CONTROL - 64) /* what wraps a single row in a Reply is less than that */
#define ROW_WRAP      6                        /* its tag and length in the message of rows, at most */
#define NUMBER_MAX    11                       /* a tag and a varint */
#define LENGTH_MAX    6                        /* a tag and the length of what follows */
#define FRAME_FIELDS  (LENGTH_MAX + 6)         /* of the frame itself, and three flags */
#define ROW_FIELDS    (8 * NUMBER_MAX)         /* of a StatisticRow or TraceRow, all but frames and text */
#define ROWS_MIN      64

/* Rows of one message, all StatisticRow or all TraceRow. */
struct chunk {
        const struct reply_sink *sink;
        int (*send_rows)(const struct chunk *c); /* as a Reply of their kind */
        void **rows;                             /* row_new() */
        size_t n_rows, size;
        size_t bytes;             /* packed */
        int64_t sources_until_ns; /* traces */
        bool inexact;             /* traces: of the whole snapshot */
};

static ProtobufCBinaryData binary(const char *bytes, size_t length) {
        return (ProtobufCBinaryData){.len = length, .data = (uint8_t *)bytes};
}

static ProtobufCBinaryData text_binary(const struct model *m, uint32_t text) {
        return binary(m->table.texts.texts[text].bytes, m->table.texts.texts[text].length);
}

/* ---- snapshots ---- */

static ProtobufCBinaryData string_binary(const char *string) {
        return binary(string ? string : "", string ? strlen(string) : 0);
}

static void clear_unless_equal(ProtobufCBinaryData *text, const char *other) {
        ProtobufCBinaryData same = string_binary(other);
        if (text->len != same.len || (same.len > 0 && memcmp(text->data, same.data, same.len) != 0))
                text->len = 0;
}

/* In a sum, what the members do not share is unknown. */
static void add_info(const struct snapshot_info *info, Tracemallocd__Control__SnapshotInfo *message) {
        message->id = 0;
        message->set = message->set == info->set ? message->set : 0;
        message->pid = message->pid == info->pid ? message->pid : 0;
        message->uid = message->uid == info->uid ? message->uid : 0;
        message->image = message->image == info->image ? message->image : 0;
        if (strcmp(message->kind, snapshot_kind_name(info->kind)) != 0)
                message->kind = (char *)"";
        if (message->taken_at_unix_ns < info->taken_at_ns)
                message->taken_at_unix_ns = info->taken_at_ns;
        if (message->traceback_limit < info->traceback_limit)
                message->traceback_limit = info->traceback_limit;
        clear_unless_equal(&message->name, info->name);
        clear_unless_equal(&message->unit, info->unit);
        clear_unless_equal(&message->label, info->label);
        clear_unless_equal(&message->ended_by, info->ended_by);
        clear_unless_equal(&message->exe, info->exe);
        clear_unless_equal(&message->cgroup, info->cgroup);
        message->ppid = message->ppid == info->ppid ? message->ppid : 0;
        if (message->started_at_unix_ns != info->started_at_ns)
                message->started_at_unix_ns = 0;
        message->size = number_add(message->size, info->size);
        message->count = number_add(message->count, info->count);
        message->traces = number_add(message->traces, info->traces);
        message->lost = number_add(message->lost, info->lost);
        message->exact = message->exact && info->exact;
}

void reply_snapshot_info(const struct snapshot_info *const *infos, size_t n,
                         Tracemallocd__Control__SnapshotInfo *message) {
        const struct snapshot_info *first = infos[0];
        tracemallocd__control__snapshot_info__init(message);
        message->id = first->id;
        message->set = first->set;
        message->pid = first->pid;
        message->uid = first->uid;
        message->name = string_binary(first->name);
        message->unit = string_binary(first->unit);
        message->label = string_binary(first->label);
        message->kind = (char *)snapshot_kind_name(first->kind);
        message->taken_at_unix_ns = first->taken_at_ns;
        message->ended_by = string_binary(first->ended_by);
        message->image = first->image;
        message->traceback_limit = first->traceback_limit;
        message->size = first->size;
        message->count = first->count;
        message->traces = first->traces;
        message->exact = first->exact;
        message->lost = first->lost;
        message->exe = string_binary(first->exe);
        message->ppid = first->ppid;
        message->cgroup = string_binary(first->cgroup);
        message->started_at_unix_ns = first->started_at_ns;
        message->members = n > 1 ? (uint32_t)n : 0;
        for (size_t i = 1; i < n; i++)
                add_info(infos[i], message);
}

int64_t reply_sources_until_ns(const struct model_source *sources, size_t n_sources) {
        int64_t until = 0;
        for (size_t i = 0; i < n_sources; i++) {
                const struct snapshot_info *info = &sources[i].snapshot->info;
                int64_t ns = info->started_at_ns ? info->started_at_ns : info->taken_at_ns;
                if (ns != 0 && (until == 0 || ns < until))
                        until = ns;
        }
        return until;
}

/* ---- frames ---- */

static void fill_frame(const struct model *m, const struct traceback_frame *frame, frame_message *message) {
        tracemallocd__control__frame__init(message);
        message->filename = text_binary(m, frame->filename);
        message->lineno = frame->lineno;
        message->has_function = frame->function != TEXT_NONE;
        if (message->has_function)
                message->function = text_binary(m, frame->function);
        message->has_module = frame->module != MODULE_NONE;
        if (message->has_module)
                message->module = text_binary(m, m->table.modules[frame->module].path);
        message->has_offset = frame->native && frame->lineno == 0 && !message->has_function && message->has_module;
        if (message->has_offset)
                message->offset = frame->offset;
}

/* Room for a row with its frames behind it, so that one free() is for all. Return: NULL without memory. */
static void *row_new(size_t row_bytes, size_t n_frames, frame_message ***framesp) {
        char *row = malloc(row_bytes + n_frames * (sizeof **framesp + sizeof ***framesp));
        if (!row)
                return NULL;
        *framesp = (frame_message **)(void *)(row + row_bytes);
        frame_message *messages = (frame_message *)(*framesp + n_frames);
        for (size_t i = 0; i < n_frames; i++)
                (*framesp)[i] = &messages[i];
        return row;
}

/* @frames: [depth of the node] */
static void fill_traceback(const struct model *m, uint32_t node, frame_message *const *frames) {
        for (size_t n = m->table.nodes[node].depth; n > 0; node = m->table.nodes[node].parent)
                fill_frame(m, &m->table.frames[m->table.nodes[node].frame], frames[--n]);
}

static size_t number_bytes(uint64_t number) {
        return number ? 1 + (size_t)(70 - __builtin_clzll(number)) / 7 : 0; /* 7 bits a byte, rounded up */
}

static size_t text_bytes_max(size_t length) {
        return length ? LENGTH_MAX + length : 0;
}

/* Packed size at most. To ask protobuf-c costs nearly as much as packing, and it asks itself again when it packs. */
static size_t frames_bytes_max(frame_message *const *frames, size_t n) {
        size_t bytes = n * FRAME_FIELDS;
        for (size_t i = 0; i < n; i++)
                bytes += text_bytes_max(frames[i]->filename.len) + text_bytes_max(frames[i]->function.len) +
                         text_bytes_max(frames[i]->module.len) + number_bytes(frames[i]->lineno) +
                         number_bytes(frames[i]->offset);
        return bytes;
}

/* ---- chunks ---- */

static int chunk_reserve(struct chunk *c) {
        size_t size = c->size ? c->size * 2 : ROWS_MIN;
        void **rows;
        if (c->n_rows < c->size)
                return 0;
        rows = reallocarray(c->rows, size, sizeof *rows);
        if (!rows)
                return -ENOMEM;
        c->rows = rows;
        c->size = size;
        return 0;
}

static void chunk_clear(struct chunk *c) {
        for (size_t i = 0; i < c->n_rows; i++)
                free(c->rows[i]);
        c->n_rows = 0;
        c->bytes = 0;
}

static void chunk_deinit(struct chunk *c) {
        chunk_clear(c);
        free(c->rows);
}

static int chunk_send(struct chunk *c) {
        int r = c->n_rows > 0 ? c->send_rows(c) : 0;
        chunk_clear(c);
        return r;
}

/* @row: taken, also on failure; @bytes: packed it has at most so many */
static int chunk_add(struct chunk *c, void *row, size_t bytes) {
        int r = 0;
        bytes += ROW_WRAP;
        if (bytes > ROW_BYTES_MAX)
                bytes = protobuf_c_message_get_packed_size(row) + ROW_WRAP;
        if (c->bytes + bytes > REPLY_CHUNK_BYTES)
                r = chunk_send(c);
        if (r == 0 && bytes > ROW_BYTES_MAX)
                r = -EMSGSIZE;
        if (r == 0)
                r = chunk_reserve(c);
        if (r != 0) {
                free(row);
                return r;
        }
        c->rows[c->n_rows++] = row;
        c->bytes += bytes;
        return 0;
}

static uint64_t rows_to_send(size_t n_rows, uint64_t limit) {
        return limit != 0 && limit < n_rows ? limit : n_rows;
}

/* ---- statistics ---- */

static int send_statistic_rows(const struct chunk *c) {
        Tracemallocd__Control__StatisticRows rows = TRACEMALLOCD__CONTROL__STATISTIC_ROWS__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        rows.rows = (Tracemallocd__Control__StatisticRow **)c->rows;
        rows.n_rows = c->n_rows;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS;
        reply.rows = &rows;
        return c->sink->send(c->sink->userdata, &reply);
}

static int add_statistic(struct chunk *c, const struct model *m, const struct statistic *s) {
        size_t n_frames = s->node != TRACEBACK_ROOT ? m->table.nodes[s->node].depth : 1;
        Tracemallocd__Control__StatisticRow *row;
        frame_message **frames;
        row = row_new(sizeof *row, n_frames, &frames);
        if (!row)
                return -ENOMEM;
        if (s->node != TRACEBACK_ROOT)
                fill_traceback(m, s->node, frames);
        else
                fill_frame(m, &s->frame, frames[0]);
        tracemallocd__control__statistic_row__init(row);
        row->size = s->size;
        row->count = s->count;
        row->size_diff = s->size_diff;
        row->count_diff = s->count_diff;
        row->traceback = frames;
        row->n_traceback = n_frames;
        return chunk_add(c, row, frames_bytes_max(frames, n_frames) + ROW_FIELDS);
}

static int send_header(const struct model *m, const struct statistics *s, const struct left_out *left_out,
                       const Tracemallocd__Control__StatisticsHeader *given, const struct reply_sink *sink) {
        Tracemallocd__Control__StatisticsHeader header = *given;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        ProtobufCBinaryData *paths, supposed[LEFT_OUT_NAMED_MAX];
        uint32_t *texts;
        int r = without_lines_compute(m, &texts, &header.n_without_lines);
        if (r < 0)
                return r;
        paths = calloc(header.n_without_lines + 1, sizeof *paths);
        for (size_t i = 0; paths && i < header.n_without_lines; i++)
                paths[i] = text_binary(m, texts[i]);
        free(texts);
        if (!paths)
                return -ENOMEM;
        header.without_lines = paths;
        header.wrappers_skipped = left_out->any;
        for (size_t i = 0; i < left_out->n_supposed; i++)
                supposed[i] = text_binary(m, left_out->supposed[i]);
        header.n_supposed_wrappers = left_out->n_supposed;
        header.supposed_wrappers = supposed;
        header.n_more_wrappers = left_out->n_more;
        header.total_size = s->total_size;
        header.total_count = s->total_count;
        header.total_size_diff = s->total_size_diff;
        header.total_count_diff = s->total_count_diff;
        header.n_rows = s->n_rows;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS;
        reply.statistics = &header;
        r = sink->send(sink->userdata, &reply);
        free(paths);
        return r;
}

int reply_statistics(const struct model *m, const struct statistics *s, const struct left_out *left_out, uint64_t limit,
                     const Tracemallocd__Control__StatisticsHeader *header, const struct reply_sink *sink) {
        uint64_t n_rows = rows_to_send(s->n_rows, limit);
        struct chunk chunk = {.sink = sink, .send_rows = send_statistic_rows};
        int r = send_header(m, s, left_out, header, sink);
        for (uint64_t i = 0; r == 0 && i < n_rows; i++)
                r = add_statistic(&chunk, m, &s->rows[i]);
        if (r == 0)
                r = chunk_send(&chunk);
        chunk_deinit(&chunk);
        return r;
}

/* ---- traces ---- */

static int send_trace_rows(const struct chunk *c) {
        Tracemallocd__Control__TraceRows rows = TRACEMALLOCD__CONTROL__TRACE_ROWS__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        rows.rows = (Tracemallocd__Control__TraceRow **)c->rows;
        rows.n_rows = c->n_rows;
        rows.sources_until_unix_ns = c->sources_until_ns;
        rows.inexact = c->inexact;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES;
        reply.traces = &rows;
        return c->sink->send(c->sink->userdata, &reply);
}

static int add_trace(struct chunk *c, const struct model *m, const struct trace_row *trace,
                     struct snapshot_string domain) {
        size_t n_frames = m->table.nodes[trace->node].depth;
        Tracemallocd__Control__TraceRow *row;
        frame_message **frames;
        row = row_new(sizeof *row, n_frames, &frames);
        if (!row)
                return -ENOMEM;
        fill_traceback(m, trace->node, frames);
        tracemallocd__control__trace_row__init(row);
        row->domain = trace->domain;
        row->domain_name = binary(domain.bytes, domain.length);
        row->has_size = trace->has_size;
        row->size = trace->has_size ? trace->size : 0;
        row->count = trace->count;
        row->total_size = trace->total_size;
        row->has_total_nframe = trace->total_nframe != SNAPSHOT_TOTAL_NFRAME_UNKNOWN;
        row->total_nframe = row->has_total_nframe ? trace->total_nframe : 0;
        row->traceback = frames;
        row->n_traceback = n_frames;
        return chunk_add(c, row, frames_bytes_max(frames, n_frames) + domain.length + ROW_FIELDS);
}

static bool is_inexact(const struct model_source *sources, size_t n_sources) {
        for (size_t i = 0; i < n_sources; i++) {
                if (!sources[i].snapshot->info.exact)
                        return true;
        }
        return false;
}

int reply_traces(const struct model *m, const struct trace_list *list, uint64_t limit,
                 const struct model_source *sources, size_t n_sources, const struct reply_sink *sink) {
        uint64_t n_rows = rows_to_send(list->n_rows, limit);
        struct chunk chunk = {.sink = sink,
                              .send_rows = send_trace_rows,
                              .sources_until_ns = reply_sources_until_ns(sources, n_sources),
                              .inexact = is_inexact(sources, n_sources)};
        struct snapshot_string domain = {"", 0};
        int r = 0;
        for (uint64_t i = 0; r == 0 && i < n_rows; i++) {
                if (i == 0 || list->rows[i].domain != list->rows[i - 1].domain)
                        domain = domain_name(list->rows[i].domain, sources, n_sources);
                r = add_trace(&chunk, m, &list->rows[i], domain);
        }
        if (r == 0)
                r = chunk_send(&chunk);
        chunk_deinit(&chunk);
        return r;
}
