/* SPDX-License-Identifier: Apache-2.0 */

/* Rows of frames, modules and strings into locations. Nothing read is trusted to be in range. Called by load.c on the
 * thread of the reader. */

#include "daemon/store/frame_loader.h"

#include <string.h>

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
        if (id_map_find(&l->strings, id, indexp))
                return 0;
        int r = reader_get_row(l->reader, GET_STRING, id, "string");
        if (r)
                return r;
        sqlite3_stmt *statement = l->reader->statements[GET_STRING];
        const void *bytes = sqlite3_column_blob(statement, 0);
        size_t length = (size_t)sqlite3_column_bytes(statement, 0);
        r = snapshot_builder_string(l->builder, bytes ? bytes : "", length, indexp);
        sqlite3_reset(statement);
        return r ? r : id_map_add(&l->strings, id, *indexp);
}

static int load_module(struct frame_loader *l, int64_t id, uint32_t *indexp) {
        if (id_map_find(&l->modules, id, indexp))
                return 0;
        int r = reader_get_row(l->reader, GET_MODULE, id, "module");
        if (r)
                return r;
        sqlite3_stmt *statement = l->reader->statements[GET_MODULE];
        struct snapshot_module module = {0};
        int64_t path_id = sqlite3_column_int64(statement, 0);
        size_t length = (size_t)sqlite3_column_bytes(statement, 1);
        const void *build_id = sqlite3_column_blob(statement, 1);
        if (length > sizeof module.build_id)
                r = reader_damaged(l->reader, "build id");
        else if (length && build_id)
                memcpy(module.build_id, build_id, length);
        sqlite3_reset(statement);
        if (r == 0)
                r = reader_get_row(l->reader, GET_STRING, path_id, "string");
        if (r)
                return r;
        statement = l->reader->statements[GET_STRING];
        const void *path = sqlite3_column_blob(statement, 0);
        r = snapshot_builder_module(l->builder, path ? path : "", (size_t)sqlite3_column_bytes(statement, 0),
                                    module.build_id, length, indexp);
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
