/* SPDX-License-Identifier: Apache-2.0 */

/* What the store knows of a snapshot's native locations. Called on the thread of the reader. */

#include "daemon/store/store_reader_private.h"

#include <errno.h>
#include <stdlib.h>

struct module_row {
        int64_t id;      /* 0: the store has no such module of this owner */
        uint32_t number; /* in the set */
};

struct lookup {
        struct store_reader *reader;
        const struct snapshot *snapshot;
        struct symbol_set *symbols;
        uint32_t owner;
        struct module_row *modules;  /* by the snapshot's index */
        struct symbol_frame *frames; /* [SYMBOL_SET_FRAMES_MAX], of the location at hand */
};

static int describe_module(struct lookup *lookup, struct module_row *row) {
        sqlite3_stmt *statement = lookup->reader->statements[READER_FIND_MODULE];
        row->id = sqlite3_column_int64(statement, 0);
        if (!sqlite3_column_int(statement, 1))
                return 0;
        const void *problem = NULL;
        size_t length = 0;
        if (sqlite3_column_type(statement, 3) != SQLITE_NULL && !statement_column_blob(statement, 3, &problem, &length))
                return reader_damaged(lookup->reader, "module");
        return symbol_set_examined(lookup->symbols, row->number, sqlite3_column_int(statement, 2) != 0, problem,
                                   length);
}

static int find_module(struct lookup *lookup, uint32_t index) {
        const struct snapshot_module *module = &lookup->snapshot->modules[index];
        const struct snapshot_string *path = &lookup->snapshot->strings[module->path];
        struct module_row *row = &lookup->modules[index];
        int r = symbol_set_module(lookup->symbols, path->bytes, path->length, module->build_id, module->build_id_length,
                                  &row->number);
        if (r)
                return r;
        sqlite3_stmt *statement = lookup->reader->statements[READER_FIND_MODULE];
        bool found;
        statement_bind_blob(statement, 1, path->bytes, path->length);
        statement_bind_blob(statement, 2, module->build_id, module->build_id_length);
        sqlite3_bind_int64(statement, 3, lookup->owner);
        r = statement_row(statement, &found, &lookup->reader->error);
        if (r == 0 && found)
                r = describe_module(lookup, row);
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
        return r;
}

/* @idp: 0: not resolved */
static int find_frame(struct lookup *lookup, const struct snapshot_location *location, int64_t *idp) {
        sqlite3_stmt *statement = lookup->reader->statements[READER_FIND_FRAME];
        bool found;
        sqlite3_bind_int64(statement, 1, lookup->modules[location->module].id);
        sqlite3_bind_int64(statement, 2, (int64_t)location->offset);
        sqlite3_bind_int64(statement, 3, lookup->owner);
        int r = statement_row(statement, &found, &lookup->reader->error);
        *idp = found ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
        return r;
}

/* The columns are: whether there is one, its bytes. Return: 0; STORE_E_CORRUPT where they are missing; -ENOMEM. */
static int read_string(struct lookup *lookup, int column, struct snapshot_string *stringp) {
        sqlite3_stmt *statement = lookup->reader->statements[LIST_SYMBOLS];
        if (!sqlite3_column_int(statement, column))
                return 0;
        const void *bytes;
        size_t length;
        if (!statement_column_blob(statement, column + 1, &bytes, &length))
                return reader_damaged(lookup->reader, "symbol");
        /* SQLite's bytes go with the next row: intern them now */
        return symbol_set_string(lookup->symbols, bytes, length, stringp);
}

static int read_frames(struct lookup *lookup, int64_t id, size_t *n_framesp) {
        sqlite3_stmt *statement = lookup->reader->statements[LIST_SYMBOLS];
        size_t n = 0;
        sqlite3_bind_int64(statement, 1, id);
        for (;;) {
                bool found;
                int r = statement_row(statement, &found, &lookup->reader->error);
                *n_framesp = n;
                if (r || !found)
                        return r;
                struct symbol_frame *frame = &lookup->frames[n];
                *frame = (struct symbol_frame){0};
                if (n == SYMBOL_SET_FRAMES_MAX || sqlite3_column_int64(statement, 0) != (int64_t)n ||
                    !statement_column_u32(statement, 1, &frame->lineno))
                        r = reader_damaged(lookup->reader, "symbol");
                if (r == 0)
                        r = read_string(lookup, 2, &frame->function);
                if (r == 0)
                        r = read_string(lookup, 4, &frame->filename);
                if (r) {
                        sqlite3_reset(statement);
                        return r;
                }
                n++;
        }
}

static int look_up(struct lookup *lookup, const struct snapshot_location *location) {
        const struct module_row *module = &lookup->modules[location->module];
        int64_t id;
        size_t n_frames;
        if (module->id == 0)
                return 0;
        int r = find_frame(lookup, location, &id);
        if (r || id == 0)
                return r;
        r = read_frames(lookup, id, &n_frames);
        return r ? r : symbol_set_add(lookup->symbols, module->number, location->offset, lookup->frames, n_frames);
}

static int look_up_all(struct lookup *lookup) {
        const struct snapshot *s = lookup->snapshot;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->n_modules; i++)
                r = find_module(lookup, i);
        for (uint32_t i = 0; r == 0 && i < s->n_locations; i++) {
                if (s->locations[i].kind == LOCATION_NATIVE && s->locations[i].module != SNAPSHOT_NONE)
                        r = look_up(lookup, &s->locations[i]);
        }
        return r;
}

int store_reader_symbols(struct store_reader *reader, uint32_t owner, const struct snapshot *snapshot,
                         struct symbol_set *symbols) {
        struct lookup lookup = {.reader = reader,
                                .snapshot = snapshot,
                                .symbols = symbols,
                                .owner = owner,
                                .modules = calloc((size_t)snapshot->n_modules + 1, sizeof *lookup.modules),
                                .frames = calloc(SYMBOL_SET_FRAMES_MAX + 1, sizeof *lookup.frames)};
        int r = lookup.modules && lookup.frames ? reader_begin(reader) : -ENOMEM;
        if (r == 0)
                r = look_up_all(&lookup);
        reader_end(reader);
        if (r == -ENOMEM)
                store_error_set(&reader->error, r, "out of memory");
        free(lookup.modules);
        free(lookup.frames);
        return r;
}
