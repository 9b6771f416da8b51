/* SPDX-License-Identifier: Apache-2.0 */

/* list --json and show --json. */

#include "client/json_output.h"
#include "client/text.h"
#include "client/time_format.h"

#include <json-c/json.h>

#include <string.h>

/* 0 is none in the protocol */
static struct json_object *json_id(int64_t id) {
        return id != 0 ? json_object_new_int64(id) : NULL;
}

struct json_object *json_snapshot(const Tracemallocd__Control__SnapshotInfo *s) {
        struct json_object *object = json_object_new_object();
        char time[TIME_FORMAT_MAX];
        json_object_object_add(object, "id", json_id(s->id));
        json_object_object_add(object, "set", json_id(s->set));
        json_object_object_add(object, "pid", json_object_new_uint64(s->pid));
        json_object_object_add(object, "uid", json_object_new_uint64(s->uid));
        json_object_object_add(object, "name", text_json(s->name.data, s->name.len));
        json_object_object_add(object, "unit", json_text_or_null(&s->unit));
        json_object_object_add(object, "label", json_text_or_null(&s->label));
        json_object_object_add(object, "kind", text_json(s->kind, strlen(s->kind)));
        json_object_object_add(object, "taken_at",
                               json_object_new_string(time_format_rfc3339(time, s->taken_at_unix_ns)));
        json_object_object_add(object, "ended_by", json_text_or_null(&s->ended_by));
        json_object_object_add(object, "image", json_object_new_uint64(s->image));
        json_object_object_add(object, "traceback_limit", json_object_new_uint64(s->traceback_limit));
        json_object_object_add(object, "size", json_object_new_uint64(s->size));
        json_object_object_add(object, "count", json_object_new_uint64(s->count));
        json_object_object_add(object, "traces", json_object_new_uint64(s->traces));
        json_object_object_add(object, "exact", json_object_new_boolean(s->exact));
        return object;
}
