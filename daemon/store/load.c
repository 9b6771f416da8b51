/* SPDX-License-Identifier: Apache-2.0 */

/* Rows into a snapshot: each group's traceback is followed up to where it is known already, then built downwards.
 * Nothing read is trusted to be in range. Called on the thread of the reader. */

#include "daemon/store/id_list.h"
#include "daemon/store/id_map.h"
#include "daemon/store/row_cursor.h"
#include "daemon/store/sizes.h"
#include "daemon/store/store_reader_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct load {
        struct store_reader *reader;
        struct snapshot_builder *builder;
        enum reader_statement list_groups;
        uint32_t n_groups;
        struct snapshot_size *sizes; /* of one group */
        uint32_t sizes_room;
        struct row_cursor tracebacks, frames;
        struct id_map nodes, locations, modules, strings; /* rows to indexes */
        struct id_list path;                              /* tracebacks and frames on the way up, in turn */
};

/* Step a statement that finds one row by its key. Return: 0; STORE_E_CORRUPT where there is none. */
static int get_row(struct load *load, enum reader_statement which, int64_t id, const char *what) {
        sqlite3_stmt *statement = load->reader->statements[which];
        bool row;
        sqlite3_bind_int64(statement, 1, id);
        int r = statement_row(statement, &row, &load->reader->error);
        if (r == 0 && !row)
                r = reader_damaged(load->reader, what);
        return r;
}

/* The same for rows that are wanted in about the order in which they lie there. */
static int find_row(struct load *load, struct row_cursor *cursor, int64_t id, const char *what) {
        bool found;
        int r = row_cursor_find(cursor, id, &found, &load->reader->error);
        return r == 0 && !found ? reader_damaged(load->reader, what) : r;
}

/* @bytesp: valid until end_string() */
static int begin_string(struct load *load, int64_t id, const void **bytesp, size_t *lengthp) {
        int r = get_row(load, GET_STRING, id, "string");
        if (r)
                return r;
        sqlite3_stmt *statement = load->reader->statements[GET_STRING];
        if (statement_column_blob(statement, 0, bytesp, lengthp))
                return 0;
        sqlite3_reset(statement);
        return reader_damaged(load->reader, "string");
}

static void end_string(struct load *load) {
        sqlite3_reset(load->reader->statements[GET_STRING]);
}

static int load_string(struct load *load, int64_t id, uint32_t *indexp) {
        const void *bytes;
        size_t length;
        if (id_map_find(&load->strings, id, indexp))
                return 0;
        int r = begin_string(load, id, &bytes, &length);
        if (r)
                return r;
        r = snapshot_builder_string(load->builder, bytes, length, indexp);
        end_string(load);
        return r ? r : id_map_add(&load->strings, id, *indexp);
}

static int load_module(struct load *load, int64_t id, uint32_t *indexp) {
        if (id_map_find(&load->modules, id, indexp))
                return 0;
        int r = get_row(load, GET_MODULE, id, "module");
        if (r)
                return r;
        sqlite3_stmt *statement = load->reader->statements[GET_MODULE];
        const void *build_id, *path;
        size_t build_id_length, path_length;
        int64_t path_id = sqlite3_column_int64(statement, 0);
        if (!statement_column_blob(statement, 1, &build_id, &build_id_length) ||
            build_id_length > SYMBOL_SET_BUILD_ID_MAX)
                r = reader_damaged(load->reader, "build id");
        if (r == 0)
                r = begin_string(load, path_id, &path, &path_length);
        if (r == 0) {
                r = snapshot_builder_module(load->builder, path, path_length, build_id, build_id_length, indexp);
                end_string(load);
        }
        sqlite3_reset(statement);
        return r ? r : id_map_add(&load->modules, id, *indexp);
}

/* @row: module, filename and function as rows */
static int name_location(struct load *load, const int64_t *row, struct snapshot_location *location) {
        int r = 0;
        if (location->kind == LOCATION_NATIVE)
                return row[0] ? load_module(load, row[0], &location->module) : 0;
        r = load_string(load, row[1], &location->filename);
        if (r == 0 && row[2])
                r = load_string(load, row[2], &location->function);
        return r;
}

static int load_location(struct load *load, int64_t id, uint32_t *indexp) {
        if (id_map_find(&load->locations, id, indexp))
                return 0;
        int r = find_row(load, &load->frames, id, "frame");
        if (r)
                return r;
        sqlite3_stmt *statement = load->frames.statement;
        /* NULL reads as 0 */
        const int64_t row[] = {sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 3),
                               sqlite3_column_int64(statement, 4)};
        struct snapshot_location location = {.kind = row[1] ? LOCATION_SOURCE : LOCATION_NATIVE,
                                             .module = SNAPSHOT_NONE,
                                             .filename = SNAPSHOT_NONE,
                                             .function = SNAPSHOT_NONE};
        if (location.kind == LOCATION_NATIVE)
                location.offset = (uint64_t)sqlite3_column_int64(statement, 2);
        else if (!statement_column_u32(statement, 5, &location.lineno))
                r = reader_damaged(load->reader, "frame");
        if (r == 0)
                r = name_location(load, row, &location);
        if (r == 0)
                r = snapshot_builder_location(load->builder, &location, indexp);
        return r ? r : id_map_add(&load->locations, id, *indexp);
}

/* Note the tracebacks from @id upwards that are not built yet. @parentp: the node below which they belong */
static int climb(struct load *load, int64_t id, uint32_t *parentp) {
        sqlite3_stmt *statement = load->tracebacks.statement;
        load->path.n = 0;
        *parentp = 0;
        while (id != 0 && !id_map_find(&load->nodes, id, parentp)) {
                int r = find_row(load, &load->tracebacks, id, "traceback");
                if (r)
                        return r;
                int64_t parent = sqlite3_column_int64(statement, 1), frame = sqlite3_column_int64(statement, 2);
                /* ids that only go down cannot go round in a circle */
                if (parent < 0 || parent >= id || frame <= 0)
                        return reader_damaged(load->reader, "traceback");
                if (id_list_add(&load->path, id) || id_list_add(&load->path, frame))
                        return -ENOMEM;
                id = parent;
        }
        return 0;
}

static int load_node(struct load *load, int64_t id, uint32_t *indexp) {
        int r = climb(load, id, indexp);
        for (size_t i = load->path.n; r == 0 && i >= 2; i -= 2) {
                uint32_t location;
                r = load_location(load, load->path.ids[i - 1], &location);
                if (r == 0)
                        r = snapshot_builder_node(load->builder, *indexp, location, indexp);
                if (r == 0)
                        r = id_map_add(&load->nodes, load->path.ids[i - 2], *indexp);
        }
        return r;
}

static int reserve_size(struct load *load, uint32_t n) {
        if (n < load->sizes_room)
                return 0;
        uint32_t room = load->sizes_room ? load->sizes_room * 2 : 256;
        struct snapshot_size *sizes = reallocarray(load->sizes, room, sizeof *sizes);
        if (!sizes)
                return -ENOMEM;
        load->sizes = sizes;
        load->sizes_room = room;
        return 0;
}

/* @index: of the group, which is new */
static int add_sizes(struct load *load, uint32_t index, const struct snapshot_group *group, const void *bytes,
                     size_t length) {
        struct sizes_reader sizes = sizes_begin(bytes, length);
        struct snapshot_size entry;
        uint64_t size = 0, count = 0, product;
        uint32_t n = 0;
        int r;
        while ((r = sizes_next(&sizes, &entry)) > 0) {
                if (__builtin_mul_overflow(entry.size, entry.count, &product) ||
                    __builtin_add_overflow(size, product, &size) || __builtin_add_overflow(count, entry.count, &count))
                        return reader_damaged(load->reader, "sizes");
                r = reserve_size(load, n);
                if (r)
                        return r;
                load->sizes[n++] = entry;
        }
        if (r < 0 || size != group->size || count != group->count)
                return reader_damaged(load->reader, "sizes");
        return snapshot_builder_group_sizes(load->builder, index, load->sizes, n);
}

/* @sizes: NULL: only the sums are known */
static int add_group(struct load *load, const struct snapshot_group *group, const void *sizes, size_t length) {
        uint32_t index;
        int r = snapshot_builder_group(load->builder, group->domain, group->node, group->total_nframe, &index);
        if (r)
                return r;
        if (index != load->n_groups++)
                return reader_damaged(load->reader, "a traceback twice");
        if (sizes)
                r = add_sizes(load, index, group, sizes, length);
        else
                snapshot_builder_group_sum(load->builder, index, group->size, group->count);
        snapshot_builder_group_allocated(load->builder, index, group->allocated_size, group->allocated_count);
        return r;
}

/* The row that the list of groups stands on */
static int load_group(struct load *load) {
        sqlite3_stmt *statement = load->reader->statements[load->list_groups];
        struct snapshot_group group = {0};
        int64_t traceback = sqlite3_column_int64(statement, 0);
        bool unknown = sqlite3_column_int64(statement, 2) == -1;
        if (traceback < 0 || !statement_column_u32(statement, 1, &group.domain) ||
            (!unknown && !statement_column_u32(statement, 2, &group.total_nframe)))
                return reader_damaged(load->reader, "group");
        if (unknown)
                group.total_nframe = SNAPSHOT_TOTAL_NFRAME_UNKNOWN;
        group.size = (uint64_t)sqlite3_column_int64(statement, 3);
        group.count = (uint64_t)sqlite3_column_int64(statement, 4);
        group.allocated_size = (uint64_t)sqlite3_column_int64(statement, 5);
        group.allocated_count = (uint64_t)sqlite3_column_int64(statement, 6);
        const void *sizes = NULL;
        size_t length = 0;
        if (sqlite3_column_type(statement, 7) != SQLITE_NULL && !statement_column_blob(statement, 7, &sizes, &length))
                return reader_damaged(load->reader, "sizes");
        int r = load_node(load, traceback, &group.node);
        return r ? r : add_group(load, &group, sizes, length);
}

static int load_domain(struct load *load) {
        sqlite3_stmt *statement = load->reader->statements[LIST_DOMAINS];
        uint32_t number;
        const void *name;
        size_t length;
        if (!statement_column_u32(statement, 0, &number))
                return reader_damaged(load->reader, "domain");
        int r = begin_string(load, sqlite3_column_int64(statement, 1), &name, &length);
        if (r)
                return r;
        r = snapshot_builder_domain(load->builder, number, name, length);
        end_string(load);
        return r;
}

static int for_each_row(struct load *load, enum reader_statement which, int64_t id, int (*visit)(struct load *load)) {
        sqlite3_stmt *statement = load->reader->statements[which];
        sqlite3_bind_int64(statement, 1, id);
        for (;;) {
                bool row;
                int r = statement_row(statement, &row, &load->reader->error);
                if (r || !row)
                        return r;
                r = visit(load);
                if (r) {
                        sqlite3_reset(statement);
                        return r;
                }
        }
}

/* @data: struct snapshot_info, whose strings become its own. Each is set or NULL when this fails. */
static int copy_info(void *data, const struct snapshot_info *from) {
        struct snapshot_info *to = data;
        char *const strings[] = {from->name, from->exe, from->unit, from->cgroup, from->label, from->ended_by};
        *to = *from;
        char **const copies[] = {&to->name, &to->exe, &to->unit, &to->cgroup, &to->label, &to->ended_by};
        int r = 0;
        for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
                *copies[i] = strdup(strings[i]);
                if (!*copies[i])
                        r = -ENOMEM;
        }
        return r;
}

/* @snapshotp: set on 0 */
static int finish(struct load *load, const struct snapshot_info *stored, struct snapshot **snapshotp) {
        struct snapshot *snapshot;
        int r = snapshot_builder_finish(load->builder, &snapshot);
        if (r)
                return r;
        load->builder = NULL;
        if (snapshot->info.size != stored->size || snapshot->info.count != stored->count) {
                snapshot_unref(snapshot);
                return reader_damaged(load->reader, "totals");
        }
        snapshot->info.traces = stored->traces; /* as they were counted then */
        *snapshotp = snapshot;
        return 0;
}

static int load_all(struct load *load, int64_t id, struct snapshot **snapshotp) {
        int r = snapshot_builder_new(&load->builder);
        if (r)
                return r;
        struct snapshot_info *info = snapshot_builder_info(load->builder);
        r = store_reader_info(load->reader, id, copy_info, info);
        struct snapshot_info stored = *info;
        if (r == 0)
                r = for_each_row(load, load->list_groups, id, load_group);
        if (r == 0)
                r = for_each_row(load, LIST_DOMAINS, id, load_domain);
        return r ? r : finish(load, &stored, snapshotp);
}

static int load_fresh(struct store_reader *reader, int64_t id, enum store_load what, struct snapshot **snapshotp) {
        struct load load = {.reader = reader,
                            .list_groups = what == STORE_LOAD_SUMS ? LIST_GROUP_SUMS : LIST_GROUPS,
                            .tracebacks = {.statement = reader->statements[TRACEBACKS_DOWN], .down = true},
                            .frames = {.statement = reader->statements[FRAMES_UP]}};
        int r = load_all(&load, id, snapshotp);
        row_cursor_deinit(&load.tracebacks);
        row_cursor_deinit(&load.frames);
        snapshot_builder_free(load.builder);
        free(load.sizes);
        id_map_deinit(&load.nodes);
        id_map_deinit(&load.locations);
        id_map_deinit(&load.modules);
        id_map_deinit(&load.strings);
        id_list_deinit(&load.path);
        return r;
}

/* A number that changes when any other connection has committed. */
static int get_version(struct store_reader *reader, int64_t *versionp) {
        sqlite3_stmt *statement = reader->statements[GET_DATA_VERSION];
        bool row;
        int r = statement_row(statement, &row, &reader->error);
        if (r)
                return r;
        *versionp = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        return 0;
}

static int load_sums(struct store_reader *reader, int64_t id, struct snapshot **snapshotp) {
        int64_t version;
        int r = get_version(reader, &version);
        if (r)
                return r;
        *snapshotp = snapshot_cache_find(&reader->cache, version, id);
        if (*snapshotp)
                return 0;
        r = load_fresh(reader, id, STORE_LOAD_SUMS, snapshotp);
        if (r == 0)
                snapshot_cache_add(&reader->cache, *snapshotp);
        return r;
}

int store_reader_load(struct store_reader *reader, int64_t id, enum store_load what, struct snapshot **snapshotp) {
        int r = reader_begin(reader);
        if (r == 0)
                r = what == STORE_LOAD_SUMS ? load_sums(reader, id, snapshotp)
                                            : load_fresh(reader, id, what, snapshotp);
        reader_end(reader);
        if (r == -ENOMEM)
                store_error_set(&reader->error, r, "out of memory");
        return r;
}
