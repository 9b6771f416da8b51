/* SPDX-License-Identifier: Apache-2.0 */

/* The writer's statements and transactions. Writer thread. */

#include "daemon/store/store_writer.h"

#include "daemon/base/log.h"
#include "daemon/store/store_file.h"
#include "daemon/store/store_writer_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A log below this is not worth the disk's time: SQLite overwrites it. Nor are so few free pages, which the next
 * snapshot takes, where each that comes pushes one out. */
#define LOG_BYTES_KEPT (256 << 10)
#define PAGES_KEPT     64

#define PAGES_A_SLICE "512" /* some milliseconds */

#define BUSY_SLEEP_MS   10    /* between two attempts to get a lock that another program has */
#define STEPS_OF_A_LOOK 10000 /* of SQLite's machine, some 100 us, between two looks at gives_up */

static const char *const statement_sql[N_WRITER_STATEMENTS] = {
        [FIND_STRING] = "SELECT id FROM string WHERE bytes = ?",
        [ADD_STRING] = "INSERT INTO string (bytes) VALUES (?)",
        [FIND_MODULE] = "SELECT id FROM module WHERE path = ? AND build_id = ? AND owner = ?",
        [ADD_MODULE] = "INSERT INTO module (path, build_id, owner) VALUES (?, ?, ?)",
        [FIND_FRAME_NATIVE] = "SELECT id, resolved FROM frame WHERE module = ? AND offset = ? AND owner = ?",
        [FIND_FRAME_NOWHERE] =
                "SELECT id FROM frame WHERE module IS NULL AND filename IS NULL AND offset = ? AND owner = ?",
        [FIND_FRAME_SOURCE] =
                "SELECT id FROM frame WHERE filename = ? AND lineno = ? AND ifnull(function, 0) = ? AND owner = ?",
        [ADD_FRAME] = "INSERT INTO frame (owner, module, offset, filename, function, lineno) VALUES (?, ?, ?, ?, ?, ?)",
        [FIND_TRACEBACK] = "SELECT id FROM traceback WHERE parent = ? AND frame = ?",
        [ADD_TRACEBACK] = "INSERT INTO traceback (parent, frame) VALUES (?, ?)",
        [FIND_SET] = "SELECT id FROM snapshot_set WHERE id = ?",
        [ADD_SET] = "INSERT INTO snapshot_set DEFAULT VALUES",
        [FIND_SNAPSHOT] = "SELECT id FROM snapshot WHERE uid = ? AND pid = ? AND started_at_ns = ? AND image = ? "
                          "AND kind = ? AND taken_at_ns = ? AND " SNAPSHOT_STAYS,
        [ADD_SNAPSHOT] =
                "INSERT INTO snapshot (snapshot_set, uid, pid, ppid, image, kind, traceback_limit, taken_at_ns, "
                "started_at_ns, size, count, traces, lost, exact, sizes_known, allocated_known, name, exe, unit, "
                "cgroup, label, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [ADD_DOMAIN] = "INSERT INTO snapshot_domain (snapshot, number, name) VALUES (?, ?, ?)",
        [ADD_GROUP] =
                "INSERT INTO snapshot_group (snapshot, traceback, domain, total_nframe, size, count, allocated_size, "
                "allocated_count, sizes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [SET_LABEL] = "UPDATE snapshot SET label = ? WHERE id = ? AND " SNAPSHOT_STAYS " RETURNING id",
        [BEGIN_DELETION] = "INSERT INTO deletion (snapshot) SELECT id FROM snapshot WHERE id = ? AND " SNAPSHOT_STAYS
                           " RETURNING snapshot",
        [FIND_DELETION] = "SELECT snapshot FROM deletion LIMIT 1",
        [END_DELETION] = "DELETE FROM deletion WHERE snapshot = ?",
        [LIST_TRACEBACKS_OF_SNAPSHOT] =
                "SELECT DISTINCT traceback FROM snapshot_group WHERE snapshot = ? ORDER BY traceback LIMIT 256",
        [LIST_DOMAIN_NAMES] = "SELECT name FROM snapshot_domain WHERE snapshot = ?",
        [DELETE_GROUPS] = "DELETE FROM snapshot_group WHERE snapshot = ? AND traceback = ?",
        [DELETE_DOMAINS] = "DELETE FROM snapshot_domain WHERE snapshot = ?",
        [DELETE_SNAPSHOT] = "DELETE FROM snapshot WHERE id = ? RETURNING ifnull(snapshot_set, 0)",
        [DELETE_SET] = "DELETE FROM snapshot_set WHERE id = ?1 AND NOT EXISTS "
                       "(SELECT 1 FROM snapshot WHERE snapshot_set = ?1)",
        [DELETE_TRACEBACK] = "DELETE FROM traceback WHERE id = ?1 AND id <> 0 AND NOT EXISTS "
                             "(SELECT 1 FROM snapshot_group WHERE traceback = ?1) AND NOT EXISTS "
                             "(SELECT 1 FROM traceback WHERE parent = ?1) RETURNING parent, frame",
        [FIND_FRAME_USE] = "SELECT 1 FROM traceback WHERE frame = ? LIMIT 1",
        /* after DELETE_SYMBOLS, so that no row refers to it */
        [DELETE_FRAME] =
                "DELETE FROM frame WHERE id = ? RETURNING ifnull(module, 0), ifnull(filename, 0), ifnull(function, 0)",
        [DELETE_SYMBOLS] = "DELETE FROM symbol WHERE frame = ?1 RETURNING ifnull(function, 0), ifnull(filename, 0)",
        [DELETE_MODULE] = "DELETE FROM module WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM frame WHERE module = ?1) "
                          "RETURNING path",
        [DELETE_STRING] = "DELETE FROM string WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM frame WHERE filename = ?1) "
                          "AND NOT EXISTS (SELECT 1 FROM frame WHERE function = ?1) "
                          "AND NOT EXISTS (SELECT 1 FROM module WHERE path = ?1) "
                          "AND NOT EXISTS (SELECT 1 FROM symbol WHERE function = ?1) "
                          "AND NOT EXISTS (SELECT 1 FROM symbol WHERE filename = ?1) "
                          "AND NOT EXISTS (SELECT 1 FROM snapshot_domain WHERE name = ?1)",
        [SET_MODULE_EXAMINED] = "UPDATE module SET examined = 1, has_lines = ?, problem = ? WHERE id = ?",
        [SET_FRAME_RESOLVED] = "UPDATE frame SET resolved = 1 WHERE id = ?",
        /* kinds 1 and 2 are exit and peak: as a group of their own */
        [LIST_BEYOND_LIMITS] =
                "SELECT id FROM (SELECT id, kind IN (1, 2) AS automatic, taken_at_ns, row_number() OVER "
                "(PARTITION BY uid, kind IN (1, 2) ORDER BY id >= ?5 DESC, is_pinned(id) DESC, id DESC) AS n "
                "FROM snapshot) "
                "WHERE (n > iif(automatic, ?2, ?1) OR taken_at_ns < iif(automatic, ?4, ?3)) AND id < ?5 ORDER BY id",
        /* of the user who has stored most, whatever it is, so that nobody's flood takes what is another's */
        [FIND_LEAST_WANTED] =
                "SELECT id FROM snapshot WHERE id < ?1 AND uid = (SELECT uid FROM snapshot WHERE id < ?1 GROUP BY uid "
                "ORDER BY sum(traces) DESC LIMIT 1) ORDER BY kind IN (1, 2) DESC, id LIMIT 1",
        [ADD_SYMBOL] = "INSERT INTO symbol (frame, depth, function, filename, lineno) VALUES (?, ?, ?, ?, ?)",
};

/* The function of SQL of that name. */
static void is_pinned(sqlite3_context *context, int n_values, sqlite3_value **values) {
        const struct store_writer *writer = sqlite3_user_data(context);
        sqlite3_result_int(context, writer->pins && pins_has(writer->pins, sqlite3_value_int64(values[0])));
}

/* SQLite's: whether to end the statement. */
static int on_progress(void *data) {
        struct store_writer *writer = data;
        return atomic_load_explicit(&writer->gives_up, memory_order_relaxed);
}

/* SQLite's: whether to try again. Its own would sleep through store_writer_give_up(). */
static int on_busy(void *data, int n_tries) {
        if (on_progress(data) || n_tries >= STORE_BUSY_TIMEOUT_MS / BUSY_SLEEP_MS)
                return 0;
        sqlite3_sleep(BUSY_SLEEP_MS);
        return 1;
}

int store_writer_new(sqlite3 *db, struct store_writer **writerp, struct store_error *error) {
        struct store_writer *writer = calloc(1, sizeof *writer);
        if (!writer)
                return store_error_set(error, -ENOMEM, "out of memory");
        int rc = sqlite3_create_function(db, "is_pinned", 1, SQLITE_UTF8, writer, is_pinned, NULL, NULL);
        if (rc) {
                free(writer);
                return store_error_sqlite(error, db, rc);
        }
        int r = statement_prepare_all(db, statement_sql, N_WRITER_STATEMENTS, writer->statements, error);
        if (r) {
                store_writer_free(writer);
                return r;
        }
        writer->db = db;
        writer->freed = true; /* by the one before, maybe */
        sqlite3_busy_handler(db, on_busy, writer);
        sqlite3_progress_handler(db, STEPS_OF_A_LOOK, on_progress, writer);
        *writerp = writer;
        return 0;
}

struct store_writer *store_writer_free(struct store_writer *writer) {
        if (!writer)
                return NULL;
        statement_finalize_all(writer->statements, N_WRITER_STATEMENTS);
        sqlite3_close(writer->db);
        free(writer);
        return NULL;
}

void store_writer_give_up(struct store_writer *writer) {
        atomic_store_explicit(&writer->gives_up, true, memory_order_relaxed);
}

int writer_find(struct store_writer *writer, enum writer_statement which, int64_t *idp) {
        sqlite3_stmt *statement = writer->statements[which];
        bool row;
        int r = statement_row(statement, &row, writer->error);
        *idp = row ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
        return r;
}

int writer_find_native(struct store_writer *writer, uint32_t owner, int64_t module, uint64_t offset, int64_t *idp,
                       bool *resolvedp) {
        sqlite3_stmt *statement = writer->statements[FIND_FRAME_NATIVE];
        bool row;
        sqlite3_bind_int64(statement, 1, module);
        sqlite3_bind_int64(statement, 2, (int64_t)offset);
        sqlite3_bind_int64(statement, 3, owner);
        int r = statement_row(statement, &row, writer->error);
        *idp = row ? sqlite3_column_int64(statement, 0) : 0;
        *resolvedp = row && sqlite3_column_int(statement, 1);
        sqlite3_reset(statement);
        return r;
}

int writer_add(struct store_writer *writer, enum writer_statement which, int64_t *idp) {
        int r = statement_run(writer->statements[which], writer->error);
        *idp = r ? 0 : sqlite3_last_insert_rowid(writer->db);
        return r;
}

int writer_find_string(struct store_writer *writer, const void *bytes, size_t length, int64_t *idp) {
        statement_bind_blob(writer->statements[FIND_STRING], 1, bytes, length);
        int r = writer_find(writer, FIND_STRING, idp);
        sqlite3_clear_bindings(writer->statements[FIND_STRING]);
        return r;
}

int writer_string(struct store_writer *writer, const void *bytes, size_t length, int64_t *idp) {
        int r = writer_find_string(writer, bytes, length, idp);
        if (r || *idp)
                return r;
        statement_bind_blob(writer->statements[ADD_STRING], 1, bytes, length);
        return writer_add(writer, ADD_STRING, idp);
}

/* @r: of an operation. Where the writer gives up that is why it failed, whatever SQLite made of it. */
static int reason_of(struct store_writer *writer, int r) {
        return r && on_progress(writer) ? store_error_set(writer->error, STORE_E_LEAVING, "the daemon is ending") : r;
}

/* Within a transaction, so that there is a log. What is written to a file that has lost its name is acknowledged, read
 * by nobody, and gone with the daemon. */
static int look_for_files(struct store_writer *writer) {
        const char *path = sqlite3_db_filename(writer->db, "main"), *log = sqlite3_filename_wal(path);
        int moved = 0;
        sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
        if (moved)
                return store_error_moved(writer->error, path);
        if (access(log, F_OK) < 0 && errno == ENOENT)
                return store_error_moved(writer->error, log);
        return 0;
}

/* Of a group each operation is a savepoint, so that one that fails takes none of the others with it. */
static int begin(struct store_writer *writer, struct store_error *error) {
        writer->error = error;
        errno = 0; /* for store_error_sqlite() */
        if (on_progress(writer))
                return reason_of(writer, STORE_E_LEAVING);
        if (writer->grouped)
                return reason_of(writer, store_file_execute(writer->db, "SAVEPOINT operation", error));
        int r = store_file_execute(writer->db, "BEGIN IMMEDIATE", error);
        if (r)
                return reason_of(writer, r);
        r = look_for_files(writer);
        if (r)
                sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
        return r;
}

/* What cannot be undone alone is undone with its group. */
static void undo(struct store_writer *writer) {
        if (!writer->grouped ||
            sqlite3_exec(writer->db, "ROLLBACK TO operation; RELEASE operation", NULL, NULL, NULL) != SQLITE_OK)
                sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
}

/* @r: of what was done since begin(). Return: @r, or why the commit failed. */
static int end(struct store_writer *writer, int r) {
        if (r == 0)
                r = store_file_execute(writer->db, writer->grouped ? "RELEASE operation" : "COMMIT", writer->error);
        /* SQLite may have rolled back by itself (disk full, no memory) */
        if (r && !sqlite3_get_autocommit(writer->db))
                undo(writer);
        if (r == -ENOMEM)
                store_error_set(writer->error, r, "out of memory");
        return reason_of(writer, r);
}

int store_writer_begin_group(struct store_writer *writer, struct store_error *error) {
        int r = begin(writer, error);
        writer->grouped = r == 0;
        return r;
}

bool store_writer_group_stands(const struct store_writer *writer) {
        return !sqlite3_get_autocommit(writer->db);
}

int store_writer_end_group(struct store_writer *writer, struct store_error *error) {
        writer->grouped = false;
        writer->error = error;
        return end(writer, 0);
}

static int join_set(struct store_writer *writer, int64_t set, bool new_set, int64_t *setp) {
        *setp = 0;
        if (new_set)
                return writer_add(writer, ADD_SET, setp);
        if (set == 0)
                return 0;
        sqlite3_bind_int64(writer->statements[FIND_SET], 1, set);
        int r = writer_find(writer, FIND_SET, setp);
        if (r == 0 && *setp == 0)
                r = store_error_set(writer->error, STORE_E_NOT_FOUND, "no snapshot set s%lld", (long long)set);
        return r;
}

int store_writer_put(struct store_writer *writer, struct snapshot *const *snapshots, size_t n_snapshots, int64_t set,
                     bool new_set, int64_t *ids, int64_t *setp, bool *unresolvedp, struct store_error *error) {
        int r = begin(writer, error);
        if (r)
                return r;
        *unresolvedp = false;
        r = join_set(writer, set, new_set, setp);
        for (size_t i = 0; r == 0 && i < n_snapshots; i++)
                r = writer_put_snapshot(writer, snapshots[i], *setp, &ids[i], unresolvedp);
        return end(writer, r);
}

int store_writer_find(struct store_writer *writer, const struct snapshot_info *info, int64_t *idp,
                      struct store_error *error) {
        const int64_t key[] = {info->uid, info->pid, info->started_at_ns, info->image, info->kind, info->taken_at_ns};
        writer->error = error;
        errno = 0; /* for store_error_sqlite() */
        for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
                sqlite3_bind_int64(writer->statements[FIND_SNAPSHOT], (int)i + 1, key[i]);
        return reason_of(writer, writer_find(writer, FIND_SNAPSHOT, idp));
}

static int set_label(struct store_writer *writer, int64_t id, const char *label) {
        int64_t found;
        sqlite3_stmt *statement = writer->statements[SET_LABEL];
        sqlite3_bind_text(statement, 1, label, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, id);
        int r = writer_find(writer, SET_LABEL, &found);
        sqlite3_clear_bindings(statement);
        if (r == 0 && found == 0)
                r = store_error_set(writer->error, STORE_E_NOT_FOUND, "no snapshot %lld", (long long)id);
        return r;
}

int store_writer_label(struct store_writer *writer, const int64_t *ids, size_t n_ids, const char *label,
                       struct store_error *error) {
        int r = begin(writer, error);
        if (r)
                return r;
        for (size_t i = 0; r == 0 && i < n_ids; i++)
                r = set_label(writer, ids[i], label);
        return end(writer, r);
}

static void truncate_log(struct store_writer *writer) {
        sqlite3_busy_handler(writer->db, NULL, NULL);
        sqlite3_wal_checkpoint_v2(writer->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_busy_handler(writer->db, on_busy, writer);
}

static int64_t n_free_pages(struct store_writer *writer) {
        struct store_error error;
        int64_t n = 0;
        return store_file_integer(writer->db, "PRAGMA freelist_count", &n, &error) ? 0 : n;
}

/* Hand some free pages back to the file system. Return: whether there are more. That something is in the way of it (a
 * reader, no space for the log) is no failure; the next delete tries again. */
static bool shrink_file(struct store_writer *writer, int64_t n_kept) {
        int64_t before = writer->freed ? n_free_pages(writer) : 0, n = before;
        if (before > n_kept) {
                sqlite3_exec(writer->db, "PRAGMA incremental_vacuum(" PAGES_A_SLICE ")", NULL, NULL, NULL);
                n = n_free_pages(writer);
        }
        writer->freed = n < before && n > n_kept;
        return writer->freed;
}

static void shrink_log(struct store_writer *writer, int64_t bytes_kept) {
        struct stat st;
        const char *log = sqlite3_filename_wal(sqlite3_db_filename(writer->db, "main"));
        if (log && stat(log, &st) == 0 && st.st_size > bytes_kept)
                truncate_log(writer);
}

bool store_writer_tidy(struct store_writer *writer, bool whole) {
        if (shrink_file(writer, whole ? 0 : PAGES_KEPT))
                return true;
        shrink_log(writer, whole ? 0 : LOG_BYTES_KEPT);
        return false;
}

static int delete_all(struct store_writer *writer, const int64_t *ids, size_t n_ids, bool *morep) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < n_ids; i++)
                r = writer_begin_deletion(writer, ids[i]);
        return r ? r : writer_go_on_deleting(writer, morep);
}

int store_writer_delete(struct store_writer *writer, const int64_t *ids, size_t n_ids, bool *morep,
                        struct store_error *error) {
        *morep = false;
        int r = begin(writer, error);
        if (r)
                return r;
        writer->freed = true;
        return end(writer, delete_all(writer, ids, n_ids, morep));
}

int store_writer_put_symbols(struct store_writer *writer, uint32_t owner, const struct symbol_set *symbols,
                             struct store_error *error) {
        int r = begin(writer, error);
        if (r)
                return r;
        return end(writer, writer_replace_symbols(writer, owner, symbols));
}
