/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From snapshots and symbols to resolved traces. The strings of a snapshot, its
 * locations, nodes and groups are each walked once, in this order; nothing is
 * looked up twice. Runs in the thread of its query.
 */

#include "daemon/query/model.h"

#include "daemon/query/frame_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRACES_MIN 64
#define FRAMES_MIN 64

/* What a snapshot's own numbers are in the model, while it is added. */
struct mapping {
        const struct snapshot *snapshot;
        const struct symbol_set *symbols;
        uint32_t *texts;          /* [n_strings] */
        uint32_t *modules;        /* [n_modules] module of the table */
        uint32_t *symbol_modules; /* [n_modules] module of the symbols, or SYMBOL_SET_NONE */
        size_t *location_frames;  /* [n_locations + 1] first of each location in frames */
        uint32_t *frames;         /* oldest first */
        size_t n_frames, frames_size;
        uint32_t *nodes; /* [n_nodes] */
};

int model_init(struct model *m) {
        struct traceback_frame unknown = {.function = TEXT_NONE, .module = MODULE_NONE};
        static const char name[] = "<unknown>"; /* tracemalloc's */
        *m = (struct model){0};
        int r = traceback_table_init(&m->table);
        if (r == 0)
                r = text_table_intern(&m->table.texts, name, sizeof name - 1, &unknown.filename);
        if (r == 0)
                r = traceback_table_frame(&m->table, &unknown, &m->unknown_frame);
        return r;
}

void model_deinit(struct model *m) {
        traceback_table_deinit(&m->table);
        for (size_t i = 0; i < m->n_names; i++)
                free(m->names[i]);
        free(m->names);
        free(m->traces);
        free(m->module_lines);
        *m = (struct model){0};
}

static void mapping_deinit(struct mapping *map) {
        free(map->texts);
        free(map->modules);
        free(map->symbol_modules);
        free(map->location_frames);
        free(map->frames);
        free(map->nodes);
}

static int mapping_init(struct mapping *map, const struct model_source *source) {
        const struct snapshot *s = source->snapshot;
        *map = (struct mapping){.snapshot = s, .symbols = source->symbols};
        map->texts = calloc((size_t)s->n_strings + 1, sizeof *map->texts);
        map->modules = calloc((size_t)s->n_modules + 1, sizeof *map->modules);
        map->symbol_modules = calloc((size_t)s->n_modules + 1, sizeof *map->symbol_modules);
        map->location_frames = calloc((size_t)s->n_locations + 1, sizeof *map->location_frames);
        map->nodes = calloc((size_t)s->n_nodes + 1, sizeof *map->nodes);
        if (!map->texts || !map->modules || !map->symbol_modules || !map->location_frames || !map->nodes) {
                mapping_deinit(map);
                return -ENOMEM;
        }
        return 0;
}

static int map_texts(struct model *m, struct mapping *map) {
        const struct snapshot *s = map->snapshot;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->n_strings; i++)
                r = text_table_intern(&m->table.texts, s->strings[i].bytes, s->strings[i].length, &map->texts[i]);
        return r;
}

/* ---- modules ---- */

static int note_lines(struct model *m, uint32_t module, enum model_lines lines) {
        if (module >= m->module_lines_size) {
                uint32_t size = m->table.modules_size;
                uint8_t *grown = realloc(m->module_lines, size);
                if (!grown)
                        return -ENOMEM;
                memset(grown + m->module_lines_size, MODEL_LINES_UNKNOWN, size - m->module_lines_size);
                m->module_lines = grown;
                m->module_lines_size = size;
        }
        if (lines > m->module_lines[module])
                m->module_lines[module] = (uint8_t)lines;
        return 0;
}

static int map_module(struct model *m, struct mapping *map, uint32_t i) {
        const struct snapshot_module *module = &map->snapshot->modules[i];
        const struct snapshot_string *path = &map->snapshot->strings[module->path];
        enum model_lines lines = MODEL_LINES_UNKNOWN;
        uint32_t symbol_module = SYMBOL_SET_NONE;
        if (map->symbols)
                symbol_module = symbol_set_find_module(map->symbols, path->bytes, path->length, module->build_id,
                                                       module->build_id_length);
        map->symbol_modules[i] = symbol_module;
        if (symbol_module != SYMBOL_SET_NONE) {
                const struct symbol_module *known = symbol_set_module_at(map->symbols, symbol_module);
                if (known->examined)
                        lines = known->has_lines ? MODEL_LINES_PRESENT : MODEL_LINES_ABSENT;
        }
        int r = traceback_table_module(&m->table, map->texts[module->path], module->build_id, module->build_id_length,
                                       &map->modules[i]);
        return r < 0 ? r : note_lines(m, map->modules[i], lines);
}

static int map_modules(struct model *m, struct mapping *map) {
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < map->snapshot->n_modules; i++)
                r = map_module(m, map, i);
        return r;
}

/* ---- locations ---- */

static int add_frame_id(struct mapping *map, uint32_t frame) {
        if (map->n_frames == map->frames_size) {
                size_t size = map->frames_size ? map->frames_size * 2 : FRAMES_MIN;
                uint32_t *frames = reallocarray(map->frames, size, sizeof *frames);
                if (!frames)
                        return -ENOMEM;
                map->frames = frames;
                map->frames_size = size;
        }
        map->frames[map->n_frames++] = frame;
        return 0;
}

static int add_frame(struct model *m, struct mapping *map, const struct traceback_frame *frame) {
        uint32_t id;
        int r = traceback_table_frame(&m->table, frame, &id);
        return r < 0 ? r : add_frame_id(map, id);
}

static int add_source_frame(struct model *m, struct mapping *map, const struct snapshot_location *location) {
        struct traceback_frame frame = {.lineno = location->lineno, .function = TEXT_NONE, .module = MODULE_NONE};
        frame.filename = location->filename != SNAPSHOT_NONE ? map->texts[location->filename]
                                                             : m->table.frames[m->unknown_frame].filename;
        if (location->function != SNAPSHOT_NONE)
                frame.function = map->texts[location->function];
        return add_frame(m, map, &frame);
}

/* @bytes: taken. Texts borrow their bytes: of new ones, keep them as long as the model. Return: <0: -ENOMEM. */
static int intern_plain_name(struct model *m, char *bytes, size_t length, uint32_t *idp) {
        char **names = reallocarray(m->names, m->n_names + 1, sizeof(char *));
        if (!names) {
                free(bytes);
                return -ENOMEM;
        }
        m->names = names;
        int r = text_table_intern(&m->table.texts, bytes, length, idp);
        if (r == 0 && m->table.texts.texts[*idp].bytes == bytes)
                m->names[m->n_names++] = bytes;
        else
                free(bytes);
        return r;
}

/* As an export would have it, so that it is the same frame as in a file. */
static int name_plainly(struct model *m, struct traceback_frame *frame) {
        struct frame_name name;
        frame_name_init(&name, &m->table.texts, frame);
        size_t length = frame_name_length(&name);
        char *bytes = malloc(length + 1);
        if (!bytes)
                return -ENOMEM;
        frame_name_copy(&name, bytes);
        *frame = (struct traceback_frame){.function = TEXT_NONE, .module = frame->module};
        return intern_plain_name(m, bytes, length, &frame->filename);
}

/* @symbol: NULL where nothing is known. A line without a file is none; a file without a line is kept. */
static int add_native_frame(struct model *m, struct mapping *map, const struct snapshot_location *location,
                            const struct symbol_frame *symbol) {
        struct text_table *texts = &m->table.texts;
        struct traceback_frame frame = {.function = TEXT_NONE, .native = true};
        int r = 0;
        frame.module = map->modules[location->module];
        frame.filename = m->table.modules[frame.module].path;
        if (symbol && symbol->filename.length > 0) {
                r = text_table_intern(texts, symbol->filename.bytes, symbol->filename.length, &frame.filename);
                frame.lineno = symbol->lineno;
        }
        if (r == 0 && symbol && symbol->function.length > 0)
                r = text_table_intern(texts, symbol->function.bytes, symbol->function.length, &frame.function);
        if (r < 0)
                return r;
        if (frame.lineno == 0 && frame.function == TEXT_NONE)
                frame.offset = location->offset;
        if (m->plain_names && frame.lineno == 0)
                r = name_plainly(m, &frame);
        return r < 0 ? r : add_frame(m, map, &frame);
}

/* A pc in no module says nothing that would hold in another process: all of them are Python's unknown frame. */
static int add_native_frames(struct model *m, struct mapping *map, const struct snapshot_location *location) {
        const struct symbol_frame *symbols = NULL;
        uint32_t n = 0;
        int r = 0;
        if (location->module == SNAPSHOT_NONE)
                return add_frame_id(map, m->unknown_frame);
        if (map->symbol_modules[location->module] != SYMBOL_SET_NONE)
                symbols = symbol_set_find(map->symbols, map->symbol_modules[location->module], location->offset, &n);
        if (!symbols || n == 0)
                return add_native_frame(m, map, location, NULL);
        for (uint32_t i = n; r == 0 && i-- > 0;) /* innermost first there, oldest first here */
                r = add_native_frame(m, map, location, &symbols[i]);
        return r;
}

static int map_locations(struct model *m, struct mapping *map) {
        const struct snapshot *s = map->snapshot;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->n_locations; i++) {
                r = s->locations[i].kind == LOCATION_SOURCE ? add_source_frame(m, map, &s->locations[i])
                                                            : add_native_frames(m, map, &s->locations[i]);
                map->location_frames[i + 1] = map->n_frames;
        }
        return r;
}

/* ---- tracebacks and traces ---- */

static int map_nodes(struct model *m, struct mapping *map) {
        const struct snapshot *s = map->snapshot;
        map->nodes[0] = TRACEBACK_ROOT;
        for (uint32_t i = 1; i < s->n_nodes; i++) {
                uint32_t location = s->nodes[i].location, node = map->nodes[s->nodes[i].parent];
                int r = 0;
                for (size_t j = map->location_frames[location]; r == 0 && j < map->location_frames[location + 1]; j++)
                        r = traceback_table_node(&m->table, node, map->frames[j], &node);
                if (r < 0)
                        return r;
                map->nodes[i] = node;
        }
        return 0;
}

static int reserve_traces(struct model *m, size_t n) {
        struct model_trace *traces;
        size_t size = m->traces_size ? m->traces_size : TRACES_MIN;
        while (size < m->n_traces + n)
                size *= 2;
        traces = reallocarray(m->traces, size, sizeof *traces);
        if (!traces)
                return -ENOMEM;
        m->traces = traces;
        m->traces_size = size;
        return 0;
}

static int add_traces(struct model *m, enum model_side side, const struct mapping *map) {
        const struct snapshot *s = map->snapshot;
        uint32_t unknown;
        int r = traceback_table_node(&m->table, TRACEBACK_ROOT, m->unknown_frame, &unknown);
        if (r == 0)
                r = reserve_traces(m, s->n_groups);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *group = &s->groups[i];
                uint32_t node = map->nodes[group->node];
                m->traces[m->n_traces++] = (struct model_trace){
                        .domain = group->domain,
                        .node = node != TRACEBACK_ROOT ? node : unknown,
                        .total_nframe = group->total_nframe,
                        .side = side,
                        .size = group->size,
                        .count = group->count,
                        .allocated_size = group->allocated_size,
                        .allocated_count = group->allocated_count,
                        .sizes = group->n_sizes ? s->sizes + group->first_size : NULL,
                        .n_sizes = group->n_sizes,
                };
        }
        return 0;
}

int model_add(struct model *m, enum model_side side, const struct model_source *source) {
        struct mapping map;
        int r = mapping_init(&map, source);
        if (r < 0)
                return r;
        r = traceback_table_reserve(&m->table, source->snapshot->n_locations, source->snapshot->n_nodes);
        if (r == 0)
                r = map_texts(m, &map);
        if (r == 0)
                r = map_modules(m, &map);
        if (r == 0)
                r = map_locations(m, &map);
        if (r == 0)
                r = map_nodes(m, &map);
        if (r == 0)
                r = add_traces(m, side, &map);
        mapping_deinit(&map);
        return r;
}
