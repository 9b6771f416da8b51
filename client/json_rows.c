/* SPDX-License-Identifier: Apache-2.0 */

/* stats, compare and traces --json. */

#include "client/json_output.h"

#include "client/text.h"

#include <json-c/json.h>
#include <string.h>

static struct json_object *json_frame(const Tracemallocd__Control__Frame *f) {
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "filename", text_json(f->filename.data, f->filename.len));
        json_object_object_add(object, "lineno", json_object_new_uint64(f->lineno));
        json_object_object_add(object, "function",
                               f->has_function ? text_json(f->function.data, f->function.len) : NULL);
        json_object_object_add(object, "module", f->has_module ? text_json(f->module.data, f->module.len) : NULL);
        return object;
}

struct json_object *json_traceback(Tracemallocd__Control__Frame *const *frames, size_t n) {
        struct json_object *array = json_object_new_array_ext((int)n);
        for (size_t i = 0; i < n; i++)
                json_object_array_add(array, json_frame(frames[i]));
        return array;
}

struct json_object *json_statistic(const Tracemallocd__Control__StatisticRow *row, bool diff) {
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "traceback", json_traceback(row->traceback, row->n_traceback));
        json_object_object_add(object, "size", json_object_new_uint64(row->size));
        if (diff)
                json_object_object_add(object, "size_diff", json_object_new_int64(row->size_diff));
        json_object_object_add(object, "count", json_object_new_uint64(row->count));
        if (diff)
                json_object_object_add(object, "count_diff", json_object_new_int64(row->count_diff));
        return object;
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

struct json_object *json_trace(const Tracemallocd__Control__TraceRow *row) {
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "domain", json_object_new_uint64(row->domain));
        json_object_object_add(object, "domain_name", json_text_or_null(&row->domain_name));
        json_object_object_add(object, "size", row->has_size ? json_object_new_uint64(row->size) : NULL);
        json_object_object_add(object, "count", json_object_new_uint64(row->count));
        json_object_object_add(object, "total_size", json_object_new_uint64(row->total_size));
        json_object_object_add(object, "total_nframe",
                               row->has_total_nframe ? json_object_new_uint64(row->total_nframe) : NULL);
        json_object_object_add(object, "traceback", json_traceback(row->traceback, row->n_traceback));
        return object;
}
