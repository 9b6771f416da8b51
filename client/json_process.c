/* SPDX-License-Identifier: Apache-2.0 */

/* ps --json. */

#include "client/json_output.h"
#include "client/text.h"
#include "client/time_format.h"

#include <json-c/json.h>

#include <string.h>

static struct json_object *json_domains(const Tracemallocd__Control__Process *p) {
        struct json_object *array = json_object_new_array_ext((int)p->n_domains);
        for (size_t i = 0; i < p->n_domains; i++) {
                const Tracemallocd__Control__Domain *d = p->domains[i];
                struct json_object *domain = json_object_new_object();
                char number[16];
                snprintf(number, sizeof number, "%u", d->number);
                json_object_object_add(domain, "name",
                                       d->name.len > 0 ? text_json(d->name.data, d->name.len)
                                                       : json_object_new_string(number));
                json_object_object_add(domain, "live_size", json_object_new_uint64(d->live_size));
                json_object_object_add(domain, "live_count", json_object_new_uint64(d->live_count));
                json_object_object_add(domain, "peak_size", json_object_new_uint64(d->peak_size));
                json_object_array_add(array, domain);
        }
        return array;
}

static struct json_object *json_layers(const Tracemallocd__Control__Process *p) {
        struct json_object *array = json_object_new_array_ext((int)p->n_layers);
        for (size_t i = 0; i < p->n_layers; i++)
                json_object_array_add(array, text_json(p->layers[i], strlen(p->layers[i])));
        return array;
}

struct json_object *json_process(const Tracemallocd__Control__Process *p) {
        struct json_object *object = json_object_new_object();
        char time[TIME_FORMAT_MAX];
        json_object_object_add(object, "pid", json_object_new_uint64(p->pid));
        json_object_object_add(object, "ns_pid", json_object_new_uint64(p->ns_pid));
        json_object_object_add(object, "ppid", json_object_new_uint64(p->ppid));
        json_object_object_add(object, "uid", json_object_new_uint64(p->uid));
        json_object_object_add(object, "name", text_json(p->name.data, p->name.len));
        json_object_object_add(object, "exe", text_json(p->exe.data, p->exe.len));
        json_object_object_add(object, "unit", json_text_or_null(&p->unit));
        json_object_object_add(object, "cgroup", json_text_or_null(&p->cgroup));
        json_object_object_add(object, "image", json_object_new_uint64(p->image));
        json_object_object_add(object, "started_at",
                               json_object_new_string(time_format_rfc3339(time, p->started_at_unix_ns)));
        json_object_object_add(object, "mode", text_json(p->mode, strlen(p->mode)));
        json_object_object_add(object, "state", text_json(p->state, strlen(p->state)));
        json_object_object_add(object, "layers", json_layers(p));
        json_object_object_add(object, "traceback_limit", json_object_new_uint64(p->traceback_limit));
        json_object_object_add(object, "domains", json_domains(p));
        json_object_object_add(object, "live_size", json_object_new_uint64(p->live_size));
        json_object_object_add(object, "live_count", json_object_new_uint64(p->live_count));
        json_object_object_add(object, "peak_size", json_object_new_uint64(p->peak_size));
        json_object_object_add(object, "resident_size",
                               p->resident_size > 0 ? json_object_new_uint64(p->resident_size) : NULL);
        json_object_object_add(object, "tracer_size", json_object_new_uint64(p->tracer_size));
        json_object_object_add(object, "events", json_object_new_uint64(p->events));
        json_object_object_add(object, "lost", json_object_new_uint64(p->lost));
        json_object_object_add(object, "exact", json_object_new_boolean(p->exact));
        if (p->phase.len > 0) /* only programs that say so have one */
                json_object_object_add(object, "phase", json_text_or_null(&p->phase));
        return object;
}
