/* SPDX-License-Identifier: Apache-2.0 */

/* A symbol set into rows. Only locations that a snapshot of the owner has: others would stay for ever. Called by
 * store_writer.c on the writer thread, within a transaction. */

#include "daemon/store/store_writer_private.h"

/* @idp: 0: no snapshot of this owner has such a module */
static int find_module(struct store_writer *writer, uint32_t owner, const struct symbol_module *module, int64_t *idp) {
        int64_t path;
        int r = writer_find_string(writer, module->path.bytes, module->path.length, &path);
        *idp = 0;
        if (r || path == 0)
                return r;
        sqlite3_stmt *statement = writer->statements[FIND_MODULE];
        sqlite3_bind_int64(statement, 1, path);
        statement_bind_blob(statement, 2, module->build_id, module->build_id_length);
        sqlite3_bind_int64(statement, 3, owner);
        return writer_find(writer, FIND_MODULE, idp);
}

static int set_examined(struct store_writer *writer, int64_t id, const struct symbol_module *module) {
        sqlite3_stmt *statement = writer->statements[SET_MODULE_EXAMINED];
        sqlite3_bind_int64(statement, 1, module->has_lines);
        if (module->problem.bytes)
                statement_bind_blob(statement, 2, module->problem.bytes, module->problem.length);
        sqlite3_bind_int64(statement, 3, id);
        return statement_run(statement, writer->error);
}

static int put_modules(struct store_writer *writer, uint32_t owner, const struct symbol_set *symbols, int64_t *ids) {
        for (uint32_t i = 0; i < symbol_set_n_modules(symbols); i++) {
                const struct symbol_module *module = symbol_set_module_at(symbols, i);
                int r = find_module(writer, owner, module, &ids[i]);
                if (r == 0 && ids[i] && module->examined)
                        r = set_examined(writer, ids[i], module);
                if (r)
                        return r;
        }
        return 0;
}

static int add_symbol(struct store_writer *writer, int64_t frame, uint32_t depth, const struct symbol_frame *symbol) {
        int64_t function = 0, filename = 0;
        int r = 0;
        if (symbol->function.bytes)
                r = writer_string(writer, symbol->function.bytes, symbol->function.length, &function);
        if (r == 0 && symbol->filename.bytes)
                r = writer_string(writer, symbol->filename.bytes, symbol->filename.length, &filename);
        if (r)
                return r;
        sqlite3_stmt *statement = writer->statements[ADD_SYMBOL];
        sqlite3_bind_int64(statement, 1, frame);
        sqlite3_bind_int64(statement, 2, depth);
        statement_bind_id(statement, 3, function);
        statement_bind_id(statement, 4, filename);
        sqlite3_bind_int64(statement, 5, symbol->lineno);
        return statement_run(statement, writer->error);
}

static int put_location(struct store_writer *writer, uint32_t owner, int64_t module,
                        const struct symbol_location *location, struct id_list *strings) {
        int64_t frame;
        bool resolved;
        int r = writer_find_native(writer, owner, module, location->offset, &frame, &resolved);
        if (r || frame == 0)
                return r;
        if (resolved)
                r = writer_delete_symbols(writer, frame, strings);
        for (uint32_t i = 0; r == 0 && i < location->n_frames; i++)
                r = add_symbol(writer, frame, i, &location->frames[i]);
        if (r == 0 && !resolved) {
                sqlite3_bind_int64(writer->statements[SET_FRAME_RESOLVED], 1, frame);
                r = statement_run(writer->statements[SET_FRAME_RESOLVED], writer->error);
        }
        return r;
}

int writer_replace_symbols(struct store_writer *writer, uint32_t owner, const struct symbol_set *symbols) {
        int64_t *modules = calloc((size_t)symbol_set_n_modules(symbols) + 1, sizeof *modules);
        struct id_list strings = {0};
        int r = modules ? put_modules(writer, owner, symbols, modules) : -ENOMEM;
        for (uint32_t i = 0; r == 0 && i < symbol_set_n_locations(symbols); i++) {
                const struct symbol_location *location = symbol_set_location_at(symbols, i);
                if (modules[location->module])
                        r = put_location(writer, owner, modules[location->module], location, &strings);
        }
        if (r == 0)
                r = writer_collect_strings(writer, &strings);
        id_list_deinit(&strings);
        free(modules);
        return r;
}
