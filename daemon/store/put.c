/* SPDX-License-Identifier: Apache-2.0 */

/* One snapshot into rows: what its groups reach, from strings up to tracebacks, each found or added, then the groups in
 * the order of their key. Called by store_writer.c on the writer thread, within a transaction. */

#include "daemon/store/row_ids.h"
#include "daemon/store/sizes.h"
#include "daemon/store/store_writer_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROW_NONE    (-1)             /* no row looked for yet; 0 is the root's */
#define NODE_WANTED (ROW_ID_MAX + 1) /* the same, and a group needs it */

struct put {
        struct store_writer *writer;
        const struct snapshot *snapshot;
        int64_t id; /* of the snapshot's row */
        /* rows by index into the snapshot's arrays */
        int64_t *strings, *modules, *locations;
        struct row_ids nodes;
        /* first row that this put has added, or 0. No row can refer to one added by it, so looking for that is in vain:
         * ids ascend. */
        int64_t first_new_frame, first_new_traceback;
        uint32_t *order; /* groups by key */
        bool unresolved; /* a native location has no symbols yet */
        uint8_t *bytes;  /* for sizes */
        size_t bytes_room;
};

static int invalid(struct put *put, const char *what) {
        return store_error_set(put->writer->error, STORE_E_INVALID,
                               "the snapshot contradicts itself (%s): please report it", what);
}

static int put_string(struct put *put, uint32_t string, int64_t *idp) {
        *idp = 0;
        if (string == SNAPSHOT_NONE)
                return 0;
        if (string >= put->snapshot->n_strings)
                return invalid(put, "string");
        if (put->strings[string] == ROW_NONE) {
                const struct snapshot_string *s = &put->snapshot->strings[string];
                int r = writer_string(put->writer, s->bytes, s->length, &put->strings[string]);
                if (r)
                        return r;
        }
        *idp = put->strings[string];
        return 0;
}

static void bind_module(sqlite3_stmt *statement, int64_t path, const struct snapshot_module *module, uint32_t owner) {
        sqlite3_bind_int64(statement, 1, path);
        statement_bind_blob(statement, 2, module->build_id, module->build_id_length);
        sqlite3_bind_int64(statement, 3, owner);
}

static int put_module(struct put *put, uint32_t index, int64_t *idp) {
        *idp = 0;
        if (index == SNAPSHOT_NONE)
                return 0;
        if (index >= put->snapshot->n_modules)
                return invalid(put, "module");
        if (put->modules[index] == ROW_NONE) {
                const struct snapshot_module *module = &put->snapshot->modules[index];
                struct store_writer *writer = put->writer;
                int64_t path, found = 0;
                int r = put_string(put, module->path, &path);
                if (r == 0 && (path == 0 || module->build_id_length > sizeof module->build_id))
                        r = invalid(put, "module");
                if (r)
                        return r;
                bind_module(writer->statements[FIND_MODULE], path, module, put->snapshot->info.uid);
                r = writer_find(writer, FIND_MODULE, &found);
                if (r == 0 && found == 0) {
                        bind_module(writer->statements[ADD_MODULE], path, module, put->snapshot->info.uid);
                        r = writer_add(writer, ADD_MODULE, &found);
                }
                if (r)
                        return r;
                put->modules[index] = found;
        }
        *idp = put->modules[index];
        return 0;
}

/* A frame as its row has it: rows, not indexes. */
struct frame_row {
        uint32_t owner;
        bool native;
        int64_t module, offset;
        int64_t filename, function, lineno;
};

static int find_frame(struct put *put, const struct frame_row *frame, int64_t *idp) {
        struct store_writer *writer = put->writer;
        if (frame->module) {
                bool resolved;
                int r = writer_find_native(writer, frame->owner, frame->module, (uint64_t)frame->offset, idp,
                                           &resolved);
                put->unresolved = put->unresolved || !resolved;
                return r;
        }
        enum writer_statement which = frame->native ? FIND_FRAME_NOWHERE : FIND_FRAME_SOURCE;
        sqlite3_stmt *statement = writer->statements[which];
        int parameter = 1;
        if (frame->native) {
                sqlite3_bind_int64(statement, parameter++, frame->offset);
        } else {
                sqlite3_bind_int64(statement, parameter++, frame->filename);
                sqlite3_bind_int64(statement, parameter++, frame->lineno);
                sqlite3_bind_int64(statement, parameter++, frame->function);
        }
        sqlite3_bind_int64(statement, parameter, frame->owner);
        return writer_find(writer, which, idp);
}

static int add_frame(struct store_writer *writer, const struct frame_row *frame, int64_t *idp) {
        sqlite3_stmt *statement = writer->statements[ADD_FRAME];
        sqlite3_bind_int64(statement, 1, frame->owner);
        if (frame->native) {
                statement_bind_id(statement, 2, frame->module);
                sqlite3_bind_int64(statement, 3, frame->offset);
        } else {
                sqlite3_bind_int64(statement, 4, frame->filename);
                statement_bind_id(statement, 5, frame->function);
                sqlite3_bind_int64(statement, 6, frame->lineno);
        }
        return writer_add(writer, ADD_FRAME, idp);
}

static int describe_frame(struct put *put, const struct snapshot_location *location, struct frame_row *frame) {
        *frame = (struct frame_row){.owner = put->snapshot->info.uid, .native = location->kind == LOCATION_NATIVE};
        if (frame->native) {
                frame->offset = (int64_t)location->offset;
                return put_module(put, location->module, &frame->module);
        }
        frame->lineno = location->lineno;
        int r = put_string(put, location->filename, &frame->filename);
        if (r == 0)
                r = put_string(put, location->function, &frame->function);
        return r == 0 && frame->filename == 0 ? invalid(put, "location") : r;
}

static void note_new(int64_t *firstp, int64_t id) {
        if (*firstp == 0)
                *firstp = id;
}

static bool is_new(int64_t first, int64_t id) {
        return first > 0 && id >= first;
}

static int put_location(struct put *put, uint32_t index) {
        if (index >= put->snapshot->n_locations)
                return invalid(put, "location");
        if (put->locations[index] != ROW_NONE)
                return 0;
        struct frame_row frame;
        int64_t id;
        int r = describe_frame(put, &put->snapshot->locations[index], &frame);
        if (r == 0)
                r = find_frame(put, &frame, &id);
        if (r == 0 && id == 0) {
                r = add_frame(put->writer, &frame, &id);
                note_new(&put->first_new_frame, id);
        }
        if (r == 0)
                put->locations[index] = id;
        return r;
}

static int put_node(struct put *put, uint32_t index) {
        const struct snapshot_node *node = &put->snapshot->nodes[index];
        int r = put_location(put, node->location);
        if (r)
                return r;
        struct store_writer *writer = put->writer;
        int64_t parent = row_ids_get(&put->nodes, node->parent), frame = put->locations[node->location], id = 0;
        if (!is_new(put->first_new_traceback, parent) && !is_new(put->first_new_frame, frame)) {
                sqlite3_bind_int64(writer->statements[FIND_TRACEBACK], 1, parent);
                sqlite3_bind_int64(writer->statements[FIND_TRACEBACK], 2, frame);
                r = writer_find(writer, FIND_TRACEBACK, &id);
        }
        if (r == 0 && id == 0) {
                sqlite3_bind_int64(writer->statements[ADD_TRACEBACK], 1, parent);
                sqlite3_bind_int64(writer->statements[ADD_TRACEBACK], 2, frame);
                r = writer_add(writer, ADD_TRACEBACK, &id);
                note_new(&put->first_new_traceback, id);
        }
        if (r == 0 && id > ROW_ID_MAX)
                r = store_error_set(writer->error, STORE_E_FULL, "the database has no numbers left for tracebacks");
        if (r == 0)
                row_ids_set(&put->nodes, index, id);
        return r;
}

/* Only what a group needs is stored; a parent comes before its children. */
static int put_nodes(struct put *put) {
        const struct snapshot *s = put->snapshot;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                if (s->groups[i].node >= s->n_nodes)
                        return invalid(put, "node");
                row_ids_set(&put->nodes, s->groups[i].node, NODE_WANTED);
        }
        for (uint32_t i = s->n_nodes; i-- > 1;) {
                if (row_ids_get(&put->nodes, i) != NODE_WANTED)
                        continue;
                if (s->nodes[i].parent >= i)
                        return invalid(put, "parent");
                row_ids_set(&put->nodes, s->nodes[i].parent, NODE_WANTED);
        }
        if (s->n_nodes)
                row_ids_set(&put->nodes, 0, 0);
        for (uint32_t i = 1; i < s->n_nodes; i++) {
                int r = row_ids_get(&put->nodes, i) == NODE_WANTED ? put_node(put, i) : 0;
                if (r)
                        return r;
        }
        return 0;
}

static int encode_sizes(struct put *put, const struct snapshot_group *group, size_t *lengthp) {
        const struct snapshot *s = put->snapshot;
        uint64_t size, count;
        *lengthp = 0;
        if (group->n_sizes == 0)
                return 0;
        if (group->first_size > s->n_sizes || group->n_sizes > s->n_sizes - group->first_size)
                return invalid(put, "sizes");
        size_t room = SIZES_BYTES_MAX(group->n_sizes);
        if (room > put->bytes_room) {
                uint8_t *bytes = realloc(put->bytes, room);
                if (!bytes)
                        return -ENOMEM;
                put->bytes = bytes;
                put->bytes_room = room;
        }
        *lengthp = sizes_encode(s->sizes + group->first_size, group->n_sizes, put->bytes, &size, &count);
        return *lengthp == 0 || size != group->size || count != group->count ? invalid(put, "sizes") : 0;
}

static int put_group(struct put *put, const struct snapshot_group *group) {
        size_t length;
        int r = encode_sizes(put, group, &length);
        if (r)
                return r;
        sqlite3_stmt *statement = put->writer->statements[ADD_GROUP];
        bool depth_known = group->total_nframe != SNAPSHOT_TOTAL_NFRAME_UNKNOWN;
        sqlite3_bind_int64(statement, 1, put->id);
        sqlite3_bind_int64(statement, 2, row_ids_get(&put->nodes, group->node));
        sqlite3_bind_int64(statement, 3, group->domain);
        sqlite3_bind_int64(statement, 4, depth_known ? (int64_t)group->total_nframe : -1);
        sqlite3_bind_int64(statement, 5, (int64_t)group->size);
        sqlite3_bind_int64(statement, 6, (int64_t)group->count);
        sqlite3_bind_int64(statement, 7, (int64_t)group->allocated_size);
        sqlite3_bind_int64(statement, 8, (int64_t)group->allocated_count);
        int rc = length ? sqlite3_bind_blob64(statement, 9, put->bytes, length, SQLITE_STATIC) : SQLITE_OK;
        if (rc)
                return store_error_sqlite(put->writer->error, put->writer->db, rc);
        return statement_run(statement, put->writer->error);
}

static int compare_groups(const void *a, const void *b, void *data) {
        const struct put *put = data;
        const struct snapshot_group *x = &put->snapshot->groups[*(const uint32_t *)a];
        const struct snapshot_group *y = &put->snapshot->groups[*(const uint32_t *)b];
        int64_t s = row_ids_get(&put->nodes, x->node), t = row_ids_get(&put->nodes, y->node);
        if (s != t)
                return s < t ? -1 : 1;
        if (x->domain != y->domain)
                return x->domain < y->domain ? -1 : 1;
        /* as rows have it: unknown, UINT32_MAX here and -1 there, comes first */
        uint32_t u = x->total_nframe + 1, v = y->total_nframe + 1;
        return (u > v) - (u < v);
}

static int put_groups(struct put *put) {
        const struct snapshot *s = put->snapshot;
        for (uint32_t i = 0; i < s->n_groups; i++)
                put->order[i] = i;
        if (s->n_groups)
                qsort_r(put->order, s->n_groups, sizeof *put->order, compare_groups, put);
        for (uint32_t i = 0; i < s->n_groups; i++) {
                int r = put_group(put, &s->groups[put->order[i]]);
                if (r)
                        return r;
        }
        return 0;
}

static int put_domains(struct put *put) {
        const struct snapshot *s = put->snapshot;
        sqlite3_stmt *statement = put->writer->statements[ADD_DOMAIN];
        for (uint32_t i = 0; i < s->n_domains; i++) {
                int64_t name;
                int r = put_string(put, s->domains[i].name, &name);
                if (r)
                        return r;
                sqlite3_bind_int64(statement, 1, put->id);
                sqlite3_bind_int64(statement, 2, s->domains[i].number);
                statement_bind_id(statement, 3, name);
                r = statement_run(statement, put->writer->error);
                if (r)
                        return r;
        }
        return 0;
}

static int put_info(struct put *put, int64_t set) {
        const struct snapshot_info *info = &put->snapshot->info;
        sqlite3_stmt *statement = put->writer->statements[ADD_SNAPSHOT];
        const int64_t integers[] = {info->uid,
                                    info->pid,
                                    info->ppid,
                                    info->image,
                                    info->kind,
                                    info->traceback_limit,
                                    info->taken_at_ns,
                                    info->started_at_ns,
                                    (int64_t)info->size,
                                    (int64_t)info->count,
                                    (int64_t)info->traces,
                                    (int64_t)info->lost,
                                    info->exact,
                                    info->sizes_known,
                                    info->allocated_known};
        int parameter = 1;
        statement_bind_id(statement, parameter++, set);
        for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
                sqlite3_bind_int64(statement, parameter++, integers[i]);
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++)
                sqlite3_bind_text(statement, parameter++, info->texts[i], -1, SQLITE_STATIC);
        return writer_add(put->writer, ADD_SNAPSHOT, &put->id);
}

static int64_t *new_rows(size_t n) {
        int64_t *rows = malloc((n + 1) * sizeof *rows);
        for (size_t i = 0; rows && i < n; i++)
                rows[i] = ROW_NONE;
        return rows;
}

static int put_init(struct put *put) {
        const struct snapshot *s = put->snapshot;
        put->strings = new_rows(s->n_strings);
        put->modules = new_rows(s->n_modules);
        put->locations = new_rows(s->n_locations);
        put->order = malloc(((size_t)s->n_groups + 1) * sizeof *put->order);
        return row_ids_init(&put->nodes, s->n_nodes) && put->strings && put->modules && put->locations && put->order
                       ? 0
                       : -ENOMEM;
}

static void put_deinit(struct put *put) {
        free(put->strings);
        free(put->modules);
        free(put->locations);
        row_ids_deinit(&put->nodes);
        free(put->order);
        free(put->bytes);
}

int writer_put_snapshot(struct store_writer *writer, const struct snapshot *snapshot, int64_t set, int64_t *idp,
                        bool *unresolvedp) {
        struct put put = {.writer = writer, .snapshot = snapshot};
        int r = put_init(&put);
        if (r == 0)
                r = put_info(&put, set);
        if (r == 0)
                r = put_nodes(&put);
        if (r == 0)
                r = put_domains(&put);
        if (r == 0)
                r = put_groups(&put);
        put_deinit(&put);
        *idp = put.id;
        *unresolvedp = *unresolvedp || put.unresolved;
        return r;
}
