/* SPDX-License-Identifier: Apache-2.0 */

/* Options to protocol messages. Called by the commands. */

#include "client/request.h"

#include "client/memory.h"

#include <stdlib.h>
#include <string.h>

void request_init(Tracemallocd__Control__Request *request) {
        tracemallocd__control__request__init(request);
}

ProtobufCBinaryData request_bytes(const char *text) {
        return (ProtobufCBinaryData){.len = text ? strlen(text) : 0, .data = (uint8_t *)text};
}

static ProtobufCBinaryData *bytes_array(const struct text_list *list) {
        ProtobufCBinaryData *array = memory_zalloc(list->n * sizeof *array);
        for (size_t i = 0; i < list->n; i++)
                array[i] = request_bytes(list->items[i]);
        return array;
}

void request_selector_init(Tracemallocd__Control__ProcessSelector *selector, const struct options *o) {
        tracemallocd__control__process_selector__init(selector);
        selector->n_pids = o->n_pids;
        selector->pids = o->pids;
        selector->n_names = o->names.n;
        selector->names = bytes_array(&o->names);
        selector->n_units = o->units.n;
        selector->units = bytes_array(&o->units);
}

void request_selector_deinit(Tracemallocd__Control__ProcessSelector *selector) {
        free(selector->names);
        free(selector->units);
}

static Tracemallocd__Control__Filter *filter_message(const struct filter *filter) {
        Tracemallocd__Control__Filter *message = memory_zalloc(sizeof *message);
        tracemallocd__control__filter__init(message);
        message->inclusive = filter->inclusive;
        message->pattern = request_bytes(filter->pattern);
        message->has_lineno = filter->has_lineno;
        message->lineno = filter->lineno;
        message->all_frames = filter->all_frames;
        if (filter->domain)
                message->domain = filter->domain;
        message->domain_only = filter->domain_only;
        return message;
}

static Tracemallocd__Control__GroupBy group_by_message(enum group_by group_by) {
        switch (group_by) {
        case GROUP_BY_FILENAME:
                return TRACEMALLOCD__CONTROL__GROUP_BY__FILENAME;
        case GROUP_BY_TRACEBACK:
                return TRACEMALLOCD__CONTROL__GROUP_BY__TRACEBACK;
        case GROUP_BY_FUNCTION:
                return TRACEMALLOCD__CONTROL__GROUP_BY__FUNCTION;
        case GROUP_BY_LINENO:
                break;
        }
        return TRACEMALLOCD__CONTROL__GROUP_BY__LINENO;
}

void request_view_init(Tracemallocd__Control__View *view, const struct options *o) {
        tracemallocd__control__view__init(view);
        view->n_filters = o->n_filters;
        view->filters = memory_zalloc(o->n_filters * sizeof *view->filters);
        for (size_t i = 0; i < o->n_filters; i++)
                view->filters[i] = filter_message(&o->filters[i]);
        view->group_by = group_by_message(o->group_by);
        view->cumulative = o->cumulative;
        view->limit = o->limit;
        view->allocated = o->allocated;
        view->by_count = o->by_count;
        view->n_skip = o->skip.n;
        view->skip = bytes_array(&o->skip);
        view->n_skip_functions = o->skip_functions.n;
        view->skip_functions = bytes_array(&o->skip_functions);
}

void request_view_rows(Tracemallocd__Control__View *view, const struct options *o) {
        view->skip_wrappers = !o->json && !o->no_skip && !o->cumulative && o->group_by != GROUP_BY_TRACEBACK;
}

void request_view_deinit(Tracemallocd__Control__View *view) {
        for (size_t i = 0; i < view->n_filters; i++)
                free(view->filters[i]);
        free(view->filters);
        free(view->skip);
        free(view->skip_functions);
}
