/* SPDX-License-Identifier: Apache-2.0 */

/* Makes of frames what Python has of them; see python_traces.h. Runs in the thread of its query, for an export. */

#include "daemon/query/python_traces.h"

#include "daemon/query/frame_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNMAPPED UINT32_MAX /* no table has so many frames */

/* While a model is reduced: what each of its frames and nodes becomes. */
struct reduction {
        struct model *m;
        struct python_traces *p;
        uint32_t n_frames, n_nodes; /* before */
        uint32_t *frames;           /* [n_frames] by identity, UNMAPPED: not yet */
        uint32_t *nodes;            /* [n_nodes] */
        bool *seen;                 /* [n_nodes] was looked at for what is left out */
};

static int name_native(struct reduction *r, uint32_t frame, uint32_t *framep) {
        struct traceback_table *t = &r->m->table;
        struct traceback_frame named = {.function = TEXT_NONE, .module = MODULE_NONE};
        struct frame_name name;
        frame_name_init(&name, &t->texts, &t->frames[frame]);
        size_t length = frame_name_length(&name);
        char *bytes = malloc(length + 1);
        if (!bytes)
                return -ENOMEM;
        frame_name_copy(&name, bytes);
        r->p->names[r->p->n_names++] = bytes;
        int result = text_table_intern(&t->texts, bytes, length, &named.filename);
        return result < 0 ? result : traceback_table_frame(t, &named, framep);
}

static int map_frame(struct reduction *r, uint32_t frame, uint32_t *framep) {
        struct traceback_table *t = &r->m->table;
        uint32_t identity = t->frame_identities[frame];
        int result = 0;
        if (r->frames[identity] == UNMAPPED) {
                if (t->frames[identity].native) /* an identity of which that matters: one without a line */
                        result = name_native(r, identity, &r->frames[identity]);
                else
                        r->frames[identity] = identity;
        }
        *framep = r->frames[identity];
        return result;
}

/* Parents come before their children. */
static int map_nodes(struct reduction *r) {
        struct traceback_table *t = &r->m->table;
        int result = 0;
        r->nodes[TRACEBACK_ROOT] = TRACEBACK_ROOT;
        for (uint32_t i = 1; result == 0 && i < r->n_nodes; i++) {
                uint32_t parent = r->nodes[t->nodes[i].parent], frame;
                result = map_frame(r, t->nodes[i].frame, &frame);
                if (result == 0)
                        result = traceback_table_node(t, parent, frame, &r->nodes[i]);
        }
        return result;
}

static void note_left_out(struct reduction *r, const struct model_trace *trace) {
        const struct traceback_table *t = &r->m->table;
        for (uint32_t node = trace->node; node != TRACEBACK_ROOT && !r->seen[node]; node = t->nodes[node].parent) {
                uint32_t frame = t->nodes[node].frame;
                r->seen[node] = true;
                if (t->frames[frame].function != t->frames[t->frame_identities[frame]].function)
                        r->p->functions_left_out = true;
                if (t->frames[frame].module != MODULE_NONE && t->frames[frame].lineno != 0)
                        r->p->modules_left_out = true;
        }
}

static void reduce_trace(struct reduction *r, struct model_trace *trace, bool total_nframe) {
        if (trace->count > 0)
                note_left_out(r, trace);
        trace->node = r->nodes[trace->node];
        if (total_nframe)
                return;
        if (trace->count > 0 && trace->total_nframe != SNAPSHOT_TOTAL_NFRAME_UNKNOWN &&
            trace->total_nframe > r->m->table.nodes[trace->node].depth)
                r->p->total_nframe_left_out = true;
        trace->total_nframe = SNAPSHOT_TOTAL_NFRAME_UNKNOWN;
}

static int reduction_init(struct reduction *r) {
        r->n_frames = r->m->table.n_frames;
        r->n_nodes = r->m->table.n_nodes;
        r->frames = calloc((size_t)r->n_frames + 1, sizeof *r->frames);
        r->nodes = calloc((size_t)r->n_nodes + 1, sizeof *r->nodes);
        r->seen = calloc((size_t)r->n_nodes + 1, sizeof *r->seen);
        r->p->names = calloc((size_t)r->n_frames + 1, sizeof *r->p->names);
        if (!r->frames || !r->nodes || !r->seen || !r->p->names)
                return -ENOMEM;
        memset(r->frames, 0xff, r->n_frames * sizeof *r->frames); /* UNMAPPED */
        return 0;
}

int python_traces_reduce(struct model *m, bool total_nframe, struct python_traces *p) {
        struct reduction r = {.m = m, .p = p};
        *p = (struct python_traces){0};
        int result = reduction_init(&r);
        if (result == 0)
                result = map_nodes(&r);
        for (size_t i = 0; result == 0 && i < m->n_traces; i++)
                reduce_trace(&r, &m->traces[i], total_nframe);
        free(r.frames);
        free(r.nodes);
        free(r.seen);
        return result;
}

void python_traces_deinit(struct python_traces *p) {
        for (size_t i = 0; i < p->n_names; i++)
                free(p->names[i]);
        free(p->names);
        *p = (struct python_traces){0};
}
