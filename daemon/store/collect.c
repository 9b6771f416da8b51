/* SPDX-License-Identifier: Apache-2.0 */

/* Deleting snapshots, and collecting what only they needed: tracebacks from the leaves up, then frames with their
 * symbols, modules, strings. The work goes by the size of what is deleted; every reference has an index in schema.sql.
 * Called by store_writer.c on the writer thread, within a transaction. */

#include "daemon/store/store_writer_private.h"

#include <errno.h>

/* Run a bound statement to its end; @n columns of each row go to @lists. */
static int gather(struct store_writer *writer, enum writer_statement which, struct id_list *const *lists, int n) {
        sqlite3_stmt *statement = writer->statements[which];
        for (;;) {
                bool row;
                int r = statement_row(statement, &row, writer->error);
                if (r || !row)
                        return r;
                for (int i = 0; i < n; i++) {
                        if (id_list_add(lists[i], sqlite3_column_int64(statement, i))) {
                                sqlite3_reset(statement);
                                return -ENOMEM;
                        }
                }
        }
}

static int run_with(struct store_writer *writer, enum writer_statement which, int64_t id) {
        sqlite3_bind_int64(writer->statements[which], 1, id);
        return statement_run(writer->statements[which], writer->error);
}

static int gather_with(struct store_writer *writer, enum writer_statement which, int64_t id,
                       struct id_list *const *lists, int n) {
        sqlite3_bind_int64(writer->statements[which], 1, id);
        return gather(writer, which, lists, n);
}

static int delete_row_of_snapshot(struct store_writer *writer, int64_t id) {
        sqlite3_stmt *statement = writer->statements[DELETE_SNAPSHOT];
        bool row;
        sqlite3_bind_int64(statement, 1, id);
        int r = statement_row(statement, &row, writer->error);
        if (r)
                return r;
        if (!row)
                return store_error_set(writer->error, STORE_E_NOT_FOUND, "no snapshot %lld", (long long)id);
        int64_t set = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        return set ? run_with(writer, DELETE_SET, set) : 0;
}

int writer_delete_snapshot(struct store_writer *writer, int64_t id, struct id_list *tracebacks,
                           struct id_list *strings) {
        int r = gather_with(writer, LIST_TRACEBACKS_OF_SNAPSHOT, id, &tracebacks, 1);
        if (r == 0)
                r = gather_with(writer, LIST_DOMAIN_NAMES, id, &strings, 1);
        if (r == 0)
                r = run_with(writer, DELETE_GROUPS, id);
        if (r == 0)
                r = run_with(writer, DELETE_DOMAINS, id);
        return r ? r : delete_row_of_snapshot(writer, id);
}

/* Delete a traceback and all above it that only it needed. */
static int delete_up(struct store_writer *writer, int64_t traceback, struct id_list *frames) {
        sqlite3_stmt *statement = writer->statements[DELETE_TRACEBACK];
        while (traceback) {
                bool row;
                sqlite3_bind_int64(statement, 1, traceback);
                int r = statement_row(statement, &row, writer->error);
                if (r || !row)
                        return r;
                traceback = sqlite3_column_int64(statement, 0);
                int64_t frame = sqlite3_column_int64(statement, 1);
                sqlite3_reset(statement);
                if (id_list_add(frames, frame))
                        return -ENOMEM;
        }
        return 0;
}

int writer_delete_symbols(struct store_writer *writer, int64_t frame, struct id_list *strings) {
        struct id_list *const lists[] = {strings, strings};
        return gather_with(writer, DELETE_SYMBOLS, frame, lists, 2);
}

static int collect_frames(struct store_writer *writer, struct id_list *frames, struct id_list *modules,
                          struct id_list *strings) {
        struct id_list *const lists[] = {modules, strings, strings};
        id_list_unique(frames);
        for (size_t i = 0; i < frames->n; i++) {
                int64_t used;
                sqlite3_bind_int64(writer->statements[FIND_FRAME_USE], 1, frames->ids[i]);
                int r = writer_find(writer, FIND_FRAME_USE, &used);
                if (r == 0 && used)
                        continue;
                if (r == 0)
                        r = writer_delete_symbols(writer, frames->ids[i], strings);
                if (r == 0)
                        r = gather_with(writer, DELETE_FRAME, frames->ids[i], lists, 3);
                if (r)
                        return r;
        }
        return 0;
}

static int collect_modules(struct store_writer *writer, struct id_list *modules, struct id_list *strings) {
        id_list_unique(modules);
        for (size_t i = 0; i < modules->n; i++) {
                int r = gather_with(writer, DELETE_MODULE, modules->ids[i], &strings, 1);
                if (r)
                        return r;
        }
        return 0;
}

int writer_collect_tracebacks(struct store_writer *writer, struct id_list *tracebacks, struct id_list *strings) {
        struct id_list frames = {0}, modules = {0};
        int r = 0;
        id_list_unique(tracebacks);
        for (size_t i = 0; r == 0 && i < tracebacks->n; i++)
                r = delete_up(writer, tracebacks->ids[i], &frames);
        if (r == 0)
                r = collect_frames(writer, &frames, &modules, strings);
        if (r == 0)
                r = collect_modules(writer, &modules, strings);
        id_list_deinit(&frames);
        id_list_deinit(&modules);
        return r;
}

int writer_collect_strings(struct store_writer *writer, struct id_list *strings) {
        id_list_unique(strings);
        for (size_t i = 0; i < strings->n; i++) {
                int r = run_with(writer, DELETE_STRING, strings->ids[i]);
                if (r)
                        return r;
        }
        return 0;
}
