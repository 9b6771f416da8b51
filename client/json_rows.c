/* SPDX-License-Identifier: Apache-2.0 */

/* stats, compare and traces --json. There may be a million rows, with a hundred frames each: they are written member by
 * member, as json-c would write them, and not built as objects first, which took four times as long. */

#include "client/json_output.h"
#include "client/text.h"

#include <json-c/json.h>

#include <string.h>

static inline void put(struct text_buffer *out, const char *text) {
        text_buffer_text(out, text);
}

static void put_text(struct text_buffer *out, bool present, const ProtobufCBinaryData *bytes) {
        if (present)
                text_json_append(out, bytes->data, bytes->len);
        else
                put(out, "null");
}

static void put_frame(struct text_buffer *out, const Tracemallocd__Control__Frame *f) {
        put(out, "{\"filename\":");
        put_text(out, true, &f->filename);
        put(out, ",\"lineno\":");
        text_buffer_unsigned(out, f->lineno);
        put(out, ",\"function\":");
        put_text(out, f->has_function, &f->function);
        put(out, ",\"module\":");
        put_text(out, f->has_module, &f->module);
        put(out, "}");
}

static void put_traceback(struct text_buffer *out, Tracemallocd__Control__Frame *const *frames, size_t n) {
        put(out, "\"traceback\":[");
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        put(out, ",");
                put_frame(out, frames[i]);
        }
        put(out, "]");
}

void json_statistic(struct text_buffer *out, const Tracemallocd__Control__StatisticRow *row, bool diff) {
        put(out, "{");
        put_traceback(out, row->traceback, row->n_traceback);
        put(out, ",\"size\":");
        text_buffer_unsigned(out, row->size);
        if (diff) {
                put(out, ",\"size_diff\":");
                text_buffer_signed(out, row->size_diff);
        }
        put(out, ",\"count\":");
        text_buffer_unsigned(out, row->count);
        if (diff) {
                put(out, ",\"count_diff\":");
                text_buffer_signed(out, row->count_diff);
        }
        put(out, "}");
}

void json_trace_open(struct text_buffer *out, const Tracemallocd__Control__TraceRow *row) {
        put(out, "{\"domain\":");
        text_buffer_unsigned(out, row->domain);
        put(out, ",\"domain_name\":");
        put_text(out, row->domain_name.len > 0, &row->domain_name);
        put(out, ",\"size\":");
        if (row->has_size)
                text_buffer_unsigned(out, row->size);
        else
                put(out, "null");
        put(out, ",\"count\":");
        text_buffer_unsigned(out, row->count);
        put(out, ",\"total_size\":");
        text_buffer_unsigned(out, row->total_size);
        put(out, ",\"total_nframe\":");
        if (row->has_total_nframe)
                text_buffer_unsigned(out, row->total_nframe);
        else
                put(out, "null");
        put(out, ",");
        put_traceback(out, row->traceback, row->n_traceback);
}

void json_trace(struct text_buffer *out, const Tracemallocd__Control__TraceRow *row) {
        json_trace_open(out, row);
        put(out, "}\n");
}

static struct json_object *json_reference(const Tracemallocd__Control__SnapshotInfo *info, const char *reference) {
        if (info && info->id != 0)
                return json_object_new_int64(info->id);
        return text_json(reference, strlen(reference));
}

struct json_object *json_statistics_header(const Tracemallocd__Control__StatisticsHeader *h, const struct options *o,
                                           const char *old, const char *snapshot) {
        struct json_object *object = json_object_new_object();
        if (old)
                json_object_object_add(object, "old", json_reference(h->old, old));
        json_object_object_add(object, old ? "new" : "snapshot", json_reference(h->snapshot, snapshot));
        json_object_object_add(object, "group_by", json_object_new_string(group_by_name(o->group_by)));
        json_object_object_add(object, "cumulative", json_object_new_boolean(o->cumulative));
        if (old)
                json_object_object_add(object, "exact", json_object_new_boolean(h->exact));
        json_object_object_add(object, "total_size", json_object_new_uint64(h->total_size));
        if (old)
                json_object_object_add(object, "total_size_diff", json_object_new_int64(h->total_size_diff));
        json_object_object_add(object, "total_count", json_object_new_uint64(h->total_count));
        if (old)
                json_object_object_add(object, "total_count_diff", json_object_new_int64(h->total_count_diff));
        else
                json_object_object_add(object, "exact", json_object_new_boolean(h->exact));
        return object;
}
