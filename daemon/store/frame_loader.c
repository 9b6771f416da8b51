/* SPDX-License-Identifier: Apache-2.0 */

/* Rows of frames, modules and strings into locations. Nothing read is trusted to be in range. Called by load.c on the
 * thread of the reader. */

#include "daemon/store/frame_loader.h"

void frame_loader_init(struct frame_loader *l, struct store_reader *reader, struct snapshot_builder *builder) {
        *l = (struct frame_loader){
                .reader = reader, .builder = builder, .frames = {.statement = reader->statements[FRAMES_UP]}};
}

void frame_loader_deinit(struct frame_loader *l) {
        row_cursor_deinit(&l->frames);
        id_map_deinit(&l->locations);
        id_map_deinit(&l->modules);
        id_map_deinit(&l->strings);
}

static int load_string(struct frame_loader *l, int64_t id, uint32_t *indexp) {
        const void *bytes;
        size_t length;
        if (id_map_find(&l->strings, id, indexp))
                return 0;
        int r = reader_begin_string(l->reader, id, &bytes, &length);
        if (r)
                return r;
        r = snapshot_builder_string(l->builder, bytes, length, indexp);
        reader_end_string(l->reader);
        return r ? r : id_map_add(&l->strings, id, *indexp);
}

static int load_module(struct frame_loader *l, int64_t id, uint32_t *indexp) {
        if (id_map_find(&l->modules, id, indexp))
                return 0;
        int r = reader_get_row(l->reader, GET_MODULE, id, "module");
        if (r)
                return r;
        sqlite3_stmt *statement = l->reader->statements[GET_MODULE];
        const void *build_id, *path;
        size_t build_id_length, path_length;
        int64_t path_id = sqlite3_column_int64(statement, 0);
        if (!statement_column_blob(statement, 1, &build_id, &build_id_length) ||
            build_id_length > SYMBOL_SET_BUILD_ID_MAX)
                r = reader_damaged(l->reader, "build id");
        if (r == 0)
                r = reader_begin_string(l->reader, path_id, &path, &path_length);
        if (r == 0) {
                r = snapshot_builder_module(l->builder, path, path_length, build_id, build_id_length, indexp);
                reader_end_string(l->reader);
        }
        sqlite3_reset(statement);
        return r ? r : id_map_add(&l->modules, id, *indexp);
}

/* @row: module, filename and function as rows */
static int name_location(struct frame_loader *l, const int64_t *row, struct snapshot_location *location) {
        int r = 0;
        if (location->kind == LOCATION_NATIVE)
                return row[0] ? load_module(l, row[0], &location->module) : 0;
        r = load_string(l, row[1], &location->filename);
        if (r == 0 && row[2])
                r = load_string(l, row[2], &location->function);
        return r;
}

int frame_loader_location(struct frame_loader *l, int64_t id, uint32_t *indexp) {
        if (id_map_find(&l->locations, id, indexp))
                return 0;
        int r = reader_find_row(l->reader, &l->frames, id, "frame");
        if (r)
                return r;
        sqlite3_stmt *statement = l->frames.statement;
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
                r = reader_damaged(l->reader, "frame");
        if (r == 0)
                r = name_location(l, row, &location);
        if (r == 0)
                r = snapshot_builder_location(l->builder, &location, indexp);
        return r ? r : id_map_add(&l->locations, id, *indexp);
}
