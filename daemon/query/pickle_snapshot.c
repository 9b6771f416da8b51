/* SPDX-License-Identifier: Apache-2.0 */

/* Checks what a pickle was, and makes the snapshot of it. The thread of the reader. */

#include "daemon/query/pickle_snapshot.h"

#include "daemon/base/python_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one more of each costs a snapshot while it is built (snapshot_builder.c): array and hash index, both grown by
 * doubling. */
#define STRING_BYTES   (2 * sizeof(struct snapshot_string) + 32)
#define LOCATION_BYTES (2 * sizeof(struct snapshot_location) + 32)
#define NODE_BYTES     (2 * sizeof(struct snapshot_node) + 32)
#define TRACE_BYTES    (2 * sizeof(struct snapshot_group) + 5 * sizeof(struct snapshot_size) + 64)

struct filling {
        struct pickle_tables *tables;
        struct snapshot_builder *builder;
        uint32_t last_node; /* the highest so far */
};

static int map_string(struct filling *f, uint32_t text_id, uint32_t *stringp) {
        struct pickle_text *text = &f->tables->texts[text_id];
        *stringp = text->string;
        if (text->string != SNAPSHOT_NONE)
                return 0;
        int r = pickle_memory_take(&f->tables->memory, STRING_BYTES + text->length);
        if (r != 0)
                return r;
        char *name = malloc((size_t)text->length + 1);
        if (!name)
                return -ENOMEM;
        r = snapshot_builder_string(f->builder, name, python_text_name(text->bytes, text->length, name), stringp);
        free(name);
        if (r == 0)
                text->string = *stringp;
        return r;
}

static int map_location(struct filling *f, uint32_t frame_id, uint32_t *locationp) {
        struct pickle_frame *frame = &f->tables->frames[frame_id];
        struct snapshot_location location = {
                .kind = LOCATION_SOURCE, .module = SNAPSHOT_NONE, .function = SNAPSHOT_NONE, .lineno = frame->lineno};
        *locationp = frame->location;
        if (frame->location != SNAPSHOT_NONE)
                return 0;
        int r = pickle_memory_take(&f->tables->memory, LOCATION_BYTES);
        if (r == 0)
                r = map_string(f, frame->text, &location.filename);
        if (r == 0)
                r = snapshot_builder_location(f->builder, &location, locationp);
        if (r == 0)
                frame->location = *locationp;
        return r;
}

static int map_node(struct filling *f, uint32_t traceback_id, uint32_t *nodep) {
        struct pickle_traceback *traceback = &f->tables->tracebacks[traceback_id];
        uint32_t node = 0, location;
        int r = 0;
        *nodep = traceback->node;
        if (traceback->node != SNAPSHOT_NONE)
                return 0;
        for (uint64_t i = traceback->n_frames; r == 0 && i-- > 0;) { /* most recent first there, oldest first here */
                r = map_location(f, f->tables->frame_ids[traceback->first_frame + i], &location);
                if (r == 0)
                        r = snapshot_builder_node(f->builder, node, location, &node);
                if (r == 0 && node > f->last_node) {
                        f->last_node = node;
                        r = pickle_memory_take(&f->tables->memory, NODE_BYTES);
                }
        }
        if (r == 0)
                *nodep = traceback->node = node;
        return r;
}

static int add_trace(struct filling *f, const struct pickle_trace *trace) {
        uint32_t node;
        int r = pickle_memory_take(&f->tables->memory, TRACE_BYTES);
        if (r == 0)
                r = map_node(f, trace->traceback, &node);
        if (r == 0)
                r = snapshot_builder_block(f->builder, trace->domain, node, trace->total_nframe, trace->size,
                                           trace->count);
        return r;
}

static int fill(struct pickle_tables *t, const struct pickle_list *list, struct snapshot_builder *builder) {
        struct filling f = {.tables = t, .builder = builder};
        int r = 0;
        for (uint32_t i = 0; i < list->n_traces; i++)
                t->traces[list->traces[i]].count++;
        for (uint32_t i = 0; r == 0 && i < t->n_traces; i++)
                if (t->traces[i].count > 0)
                        r = add_trace(&f, &t->traces[i]);
        return r;
}

/* ---- what it was ---- */

/* A number does not know its place. */
static uint64_t seen_at(const struct pickle_machine *m, const struct pickle_value *value) {
        return value->kind == PICKLE_KIND_NUMBER ? m->offset : value->number;
}

static int refuse_flaw(struct pickle_machine *m, const struct pickle_value *value) {
        static const char *const texts[] = {
                [PICKLE_FLAW_TYPE] = "a value of a type that traces do not have",
                [PICKLE_FLAW_TUPLE] = "a tuple that is no frame, traceback or trace",
                [PICKLE_FLAW_TRACE] = "no trace: one is a tuple of domain, size, frames and total_nframe",
                [PICKLE_FLAW_NEGATIVE] = "a number below 0",
                [PICKLE_FLAW_LONG] = "a number of more than 64 bits",
                [PICKLE_FLAW_DOMAIN] = "a domain above 4294967295",
                [PICKLE_FLAW_SIZE] = "a size above 9223372036854775807",
                [PICKLE_FLAW_LINENO] = "a line number above 4294967295",
                [PICKLE_FLAW_TOTAL_NFRAME] = "a total_nframe above 4294967294",
                [PICKLE_FLAW_NO_FRAMES] = "a traceback without frames",
        };

        return pickle_machine_refuse(m, value->number, "%s", texts[value->id]);
}

static int check_object(struct pickle_machine *m, const struct pickle_value *value, enum pickle_class class,
                        const struct pickle_dict **dictp) {
        const struct pickle_object *object = NULL;
        if (value->kind == PICKLE_KIND_OBJECT)
                object = &m->tables.objects[value->id];
        if (!object || object->class != class)
                return pickle_machine_refuse(m, seen_at(m, value),
                                             class == PICKLE_CLASS_SNAPSHOT
                                                     ? "no tracemalloc.Snapshot"
                                                     : "no tracemalloc._Traces, where a Snapshot has one");
        if (!object->built)
                return pickle_machine_refuse(m, value->number, "an object without attributes");
        *dictp = &m->tables.dicts[object->dict];
        return 0;
}

static int check_limit(struct pickle_machine *m, const struct pickle_value *limit) {
        if (limit->kind == PICKLE_KIND_NUMBER && limit->number <= UINT32_MAX)
                return 0;
        return pickle_machine_refuse(m, seen_at(m, limit), "a traceback_limit that is no number from 0 to 4294967295");
}

static int check_sizes(struct pickle_machine *m, const struct pickle_list *list) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < list->n_traces; i++) {
                sum += m->tables.traces[list->traces[i]].size; /* two of 63 bits fit 64 */
                if (sum > INT64_MAX)
                        return pickle_machine_refuse(m, m->offset,
                                                     "sizes that add up to more than 9223372036854775807");
        }
        return 0;
}

static int check_list(struct pickle_machine *m, const struct pickle_value *traces, const struct pickle_dict *dict,
                      const struct pickle_list **listp) {
        const struct pickle_value *list = &dict->values[PICKLE_KEY_LIST];
        if (!dict->has[PICKLE_KEY_LIST] || list->kind != PICKLE_KIND_LIST)
                return pickle_machine_refuse(m, traces->number, "a _Traces without a list of traces");
        *listp = &m->tables.lists[list->id];
        if ((*listp)->flawed)
                return refuse_flaw(m, &(*listp)->flaw);
        return check_sizes(m, *listp);
}

/* @dicts: [2], set to the attributes of the Snapshot and of its _Traces */
static int check(struct pickle_machine *m, const struct pickle_dict **dicts, const struct pickle_list **listp) {
        const struct pickle_value *snapshot = &m->stack.values[0], *traces;
        int r = check_object(m, snapshot, PICKLE_CLASS_SNAPSHOT, &dicts[0]);
        if (r != 0)
                return r;
        if (!dicts[0]->has[PICKLE_KEY_TRACES] || !dicts[0]->has[PICKLE_KEY_TRACEBACK_LIMIT])
                return pickle_machine_refuse(m, snapshot->number,
                                             "a Snapshot without traces or without traceback_limit");
        traces = &dicts[0]->values[PICKLE_KEY_TRACES];
        r = check_limit(m, &dicts[0]->values[PICKLE_KEY_TRACEBACK_LIMIT]);
        if (r == 0)
                r = check_object(m, traces, PICKLE_CLASS_TRACES, &dicts[1]);
        return r != 0 ? r : check_list(m, traces, dicts[1], listp);
}

static void append_text(char *text, const char *more) {
        size_t length = strlen(text);
        snprintf(text + length, PICKLE_MESSAGE_BYTES - length, "%s", more);
}

static void name_foreign(const struct pickle_machine *m, const struct pickle_dict *const *dicts, char *foreign) {
        uint32_t n_foreign = dicts[0]->n_foreign + dicts[1]->n_foreign, n_named = 0;
        char buffer[PICKLE_SHOWN_BYTES];
        *foreign = '\0';
        for (int i = 0; i < 2; i++)
                for (uint32_t j = 0; j < dicts[i]->n_foreign_names && n_named < PICKLE_FOREIGN_NAMES; j++) {
                        if (n_named++ > 0)
                                append_text(foreign, n_named == n_foreign ? " and " : ", ");
                        append_text(foreign, pickle_machine_shown(m, dicts[i]->foreign_names[j], buffer));
                }
        if (n_foreign > n_named) {
                snprintf(buffer, sizeof buffer, "%s%" PRIu32 " more", n_named ? " and " : "", n_foreign - n_named);
                append_text(foreign, buffer);
        }
}

int pickle_snapshot_make(struct pickle_machine *m, struct snapshot_builder *builder, char *foreign,
                         struct snapshot **snapshotp) {
        struct snapshot_info *info = snapshot_builder_info(builder);
        const struct pickle_dict *dicts[2];
        const struct pickle_list *list = NULL;
        int r = check(m, dicts, &list);
        if (r == 0)
                r = fill(&m->tables, list, builder);
        if (r != 0)
                return r;
        name_foreign(m, dicts, foreign);
        info->kind = SNAPSHOT_IMPORT;
        info->traceback_limit = (uint32_t)dicts[0]->values[PICKLE_KEY_TRACEBACK_LIMIT].number;
        info->exact = info->sizes_known = true;
        info->allocated_known = false;
        return snapshot_builder_finish(builder, snapshotp);
}
