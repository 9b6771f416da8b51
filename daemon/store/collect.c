/* SPDX-License-Identifier: Apache-2.0 */

/* Deleting snapshots, and collecting what only they needed: tracebacks from the leaves up, then frames with their
 * symbols, modules, strings. The work goes by the size of what is deleted; every reference has an index in schema.sql.
 * A snapshot may have a million tracebacks, 10 us each, and others want to be stored meanwhile: so it is first put into
 * table deletion, for nobody to see any more, and then goes in slices, each a transaction that leaves nothing unneeded
 * behind. What is left when the daemon ends is the next one's.
 * Called by store_writer.c on the writer thread, within a transaction. */

#include "daemon/store/store_writer_private.h"

#include <errno.h>

#define ROWS_A_SLICE 4096 /* of groups and tracebacks, or more by the depth of one */

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

/* As run_with(), for rows that were just read: without progress there would be no end. */
static int delete_what_is_there(struct store_writer *writer, enum writer_statement which, int64_t id) {
        int r = run_with(writer, which, id);
        if (r == 0 && sqlite3_changes(writer->db) == 0)
                r = store_error_set(writer->error, STORE_E_CORRUPT, "the database is damaged (snapshot %lld)",
                                    (long long)id);
        return r;
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

int writer_begin_deletion(struct store_writer *writer, int64_t id) {
        int64_t found;
        sqlite3_bind_int64(writer->statements[BEGIN_DELETION], 1, id);
        int r = writer_find(writer, BEGIN_DELETION, &found);
        if (r == 0 && found == 0)
                r = store_error_set(writer->error, STORE_E_NOT_FOUND, "no snapshot %lld", (long long)id);
        return r;
}

/* Of one slice. */
struct slice {
        struct store_writer *writer;
        size_t n_rows;                           /* deleted */
        struct id_list frames, modules, strings; /* candidates */
};

/* Delete a traceback and all above it that only it needed. */
static int delete_up(struct slice *slice, int64_t traceback) {
        struct store_writer *writer = slice->writer;
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
                slice->n_rows++;
                if (id_list_add(&slice->frames, frame))
                        return -ENOMEM;
        }
        return 0;
}

/* @tracebacks: of groups of that snapshot */
static int delete_groups(struct slice *slice, int64_t snapshot, const struct id_list *tracebacks) {
        struct store_writer *writer = slice->writer;
        int r = 0;
        for (size_t i = 0; r == 0 && i < tracebacks->n && slice->n_rows < ROWS_A_SLICE; i++) {
                sqlite3_bind_int64(writer->statements[DELETE_GROUPS], 2, tracebacks->ids[i]);
                r = delete_what_is_there(writer, DELETE_GROUPS, snapshot);
                slice->n_rows++;
                if (r == 0)
                        r = delete_up(slice, tracebacks->ids[i]);
        }
        return r;
}

/* All that is left of a snapshot, which is hardly more than groups of traceback 0, for that is in no list. */
static int end_deletion(struct slice *slice, int64_t id) {
        struct store_writer *writer = slice->writer;
        struct id_list *const lists[] = {&slice->strings};
        sqlite3_bind_int64(writer->statements[DELETE_GROUPS], 2, 0);
        int r = run_with(writer, DELETE_GROUPS, id);
        if (r == 0)
                r = gather_with(writer, LIST_DOMAIN_NAMES, id, lists, 1);
        if (r == 0)
                r = run_with(writer, DELETE_DOMAINS, id);
        if (r == 0)
                r = delete_what_is_there(writer, END_DELETION, id);
        slice->n_rows++;
        return r ? r : delete_row_of_snapshot(writer, id);
}

/* Delete some groups, or what is left. */
static int delete_some(struct slice *slice, int64_t snapshot) {
        struct id_list tracebacks = {0};
        struct id_list *const lists[] = {&tracebacks};
        int r = gather_with(slice->writer, LIST_TRACEBACKS_OF_SNAPSHOT, snapshot, lists, 1);
        if (r == 0)
                r = tracebacks.n ? delete_groups(slice, snapshot, &tracebacks) : end_deletion(slice, snapshot);
        id_list_deinit(&tracebacks);
        return r;
}

int writer_delete_symbols(struct store_writer *writer, int64_t frame, struct id_list *strings) {
        struct id_list *const lists[] = {strings, strings};
        return gather_with(writer, DELETE_SYMBOLS, frame, lists, 2);
}

static int collect_frames(struct slice *slice) {
        struct store_writer *writer = slice->writer;
        struct id_list *const lists[] = {&slice->modules, &slice->strings, &slice->strings};
        const struct id_list *frames = &slice->frames;
        id_list_unique(&slice->frames);
        for (size_t i = 0; i < frames->n; i++) {
                int64_t used;
                sqlite3_bind_int64(writer->statements[FIND_FRAME_USE], 1, frames->ids[i]);
                int r = writer_find(writer, FIND_FRAME_USE, &used);
                if (r == 0 && used)
                        continue;
                if (r == 0)
                        r = writer_delete_symbols(writer, frames->ids[i], &slice->strings);
                if (r == 0)
                        r = gather_with(writer, DELETE_FRAME, frames->ids[i], lists, 3);
                if (r)
                        return r;
        }
        return 0;
}

static int collect_modules(struct slice *slice) {
        struct id_list *const lists[] = {&slice->strings};
        id_list_unique(&slice->modules);
        for (size_t i = 0; i < slice->modules.n; i++) {
                int r = gather_with(slice->writer, DELETE_MODULE, slice->modules.ids[i], lists, 1);
                if (r)
                        return r;
        }
        return 0;
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

/* @leftp: a snapshot that is being deleted; 0: none */
static int delete_slice(struct slice *slice, int64_t *leftp) {
        int r = writer_find(slice->writer, FIND_DELETION, leftp);
        while (r == 0 && *leftp && slice->n_rows < ROWS_A_SLICE) {
                r = delete_some(slice, *leftp);
                if (r == 0)
                        r = writer_find(slice->writer, FIND_DELETION, leftp);
        }
        if (r == 0)
                r = collect_frames(slice);
        if (r == 0)
                r = collect_modules(slice);
        return r ? r : writer_collect_strings(slice->writer, &slice->strings);
}

int writer_go_on_deleting(struct store_writer *writer, bool *morep) {
        struct slice slice = {.writer = writer};
        int64_t left = 0;
        int r = delete_slice(&slice, &left);
        *morep = left != 0;
        id_list_deinit(&slice.frames);
        id_list_deinit(&slice.modules);
        id_list_deinit(&slice.strings);
        return r;
}
