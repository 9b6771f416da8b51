/* SPDX-License-Identifier: Apache-2.0 */

/* Connections that read: one of a snapshot, lists of them, references. Threads of the pool, each its own reader. */

#include "daemon/store/store_reader.h"

#include "daemon/base/proc.h"
#include "daemon/store/id_list.h"
#include "daemon/store/store_file.h"
#include "daemon/store/store_reader_private.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFO_COLUMNS                                                                                                   \
        "SELECT id, ifnull(snapshot_set, 0), uid, pid, ppid, image, kind, traceback_limit, taken_at_ns, "              \
        "started_at_ns, "                                                                                              \
        "size, count, traces, lost, exact, sizes_known, allocated_known, name, exe, unit, cgroup, label, ended_by "    \
        "FROM snapshot "

static const char *const statement_sql[N_READER_STATEMENTS] = {
        [GET_INFO] = INFO_COLUMNS "WHERE id = ? AND " SNAPSHOT_STAYS,
        [LIST_INFO] = INFO_COLUMNS "WHERE (?1 OR uid = ?2) AND (?3 < 0 OR kind = ?3) AND taken_at_ns >= ?4 "
                                   "AND " SNAPSHOT_STAYS " ORDER BY id",
        [LIST_SET] = "SELECT id FROM snapshot WHERE snapshot_set = ? AND " SNAPSHOT_STAYS " ORDER BY id",
        [GET_LAST] = "SELECT id FROM snapshot WHERE uid = ?1 AND (?2 < 0 OR kind = ?2) AND " SNAPSHOT_STAYS " "
                     "ORDER BY taken_at_ns DESC, id DESC LIMIT 1 OFFSET ?3",
        [LIST_GROUPS] = "SELECT traceback, domain, total_nframe, size, count, allocated_size, allocated_count, sizes "
                        "FROM snapshot_group WHERE snapshot = ?",
        /* where sizes are not read, SQLite passes over the pages that hold them */
        [LIST_GROUP_SUMS] =
                "SELECT traceback, domain, total_nframe, size, count, allocated_size, allocated_count, NULL "
                "FROM snapshot_group WHERE snapshot = ?",
        [LIST_TRACEBACKS_DOWN] = "SELECT traceback FROM snapshot_group WHERE snapshot = ? ORDER BY traceback DESC",
        [LIST_DOMAINS] = "SELECT number, name FROM snapshot_domain WHERE snapshot = ?",
        [TRACEBACKS_DOWN] = "SELECT id, parent, frame FROM traceback WHERE id <= ? ORDER BY id DESC",
        [FRAMES_UP] = "SELECT id, module, offset, filename, function, lineno FROM frame WHERE id >= ? ORDER BY id",
        [GET_MODULE] = "SELECT path, build_id FROM module WHERE id = ?",
        [GET_STRING] = "SELECT bytes FROM string WHERE id = ?",
        [READER_FIND_MODULE] =
                "SELECT module.id, examined, has_lines, problem FROM string JOIN module ON module.path = string.id "
                "WHERE string.bytes = ? AND build_id = ? AND owner = ?",
        [READER_FIND_FRAME] = "SELECT id FROM frame WHERE module = ? AND offset = ? AND owner = ? AND resolved = 1",
        [LIST_SYMBOLS] =
                "SELECT depth, lineno, function IS NOT NULL, f.bytes, filename IS NOT NULL, s.bytes FROM symbol "
                "LEFT JOIN string AS f ON f.id = function LEFT JOIN string AS s ON s.id = filename "
                "WHERE frame = ? ORDER BY depth",
        [GET_DATA_VERSION] = "PRAGMA data_version",
};

int store_reader_open(const char *path, struct store_reader **readerp, char *message) {
        struct store_reader *reader = calloc(1, sizeof *reader);
        if (!reader) {
                snprintf(message, STORE_MESSAGE_MAX, "out of memory");
                return -ENOMEM;
        }
        int r = store_file_connect(path, false, &reader->db, &reader->error);
        if (r == 0)
                r = statement_prepare_all(reader->db, statement_sql, N_READER_STATEMENTS, reader->statements,
                                          &reader->error);
        if (r) {
                memcpy(message, reader->error.message, STORE_MESSAGE_MAX);
                store_reader_close(reader);
                return r;
        }
        *readerp = reader;
        return 0;
}

struct store_reader *store_reader_close(struct store_reader *reader) {
        if (!reader)
                return NULL;
        statement_finalize_all(reader->statements, N_READER_STATEMENTS);
        sqlite3_close(reader->db);
        snapshot_cache_deinit(&reader->cache);
        free(reader);
        return NULL;
}

void store_reader_rest(struct store_reader *reader) {
        sqlite3_db_release_memory(reader->db);
}

const char *store_reader_message(const struct store_reader *reader) {
        return reader->error.message;
}

int reader_begin(struct store_reader *reader) {
        return store_file_execute(reader->db, "BEGIN", &reader->error);
}

void reader_end(struct store_reader *reader) {
        if (!sqlite3_get_autocommit(reader->db))
                sqlite3_exec(reader->db, "ROLLBACK", NULL, NULL, NULL);
}

int reader_damaged(struct store_reader *reader, const char *what) {
        const char *path = sqlite3_db_filename(reader->db, "main");
        return store_error_set(&reader->error, STORE_E_CORRUPT,
                               "%s is damaged (%s): delete the snapshot, or restore the file",
                               path ? path : STORE_FILE_NAME, what);
}

int reader_get_row(struct store_reader *reader, enum reader_statement which, int64_t id, const char *what) {
        sqlite3_stmt *statement = reader->statements[which];
        bool row;
        sqlite3_bind_int64(statement, 1, id);
        int r = statement_row(statement, &row, &reader->error);
        return r == 0 && !row ? reader_damaged(reader, what) : r;
}

int reader_find_row(struct store_reader *reader, struct row_cursor *cursor, int64_t id, const char *what) {
        bool found;
        int r = row_cursor_find(cursor, id, &found, &reader->error);
        return r == 0 && !found ? reader_damaged(reader, what) : r;
}

int reader_begin_string(struct store_reader *reader, int64_t id, const void **bytesp, size_t *lengthp) {
        int r = reader_get_row(reader, GET_STRING, id, "string");
        if (r)
                return r;
        if (statement_column_blob(reader->statements[GET_STRING], 0, bytesp, lengthp))
                return 0;
        reader_end_string(reader);
        return reader_damaged(reader, "string");
}

void reader_end_string(struct store_reader *reader) {
        sqlite3_reset(reader->statements[GET_STRING]);
}

static int not_found(struct store_reader *reader, int64_t id) {
        return store_error_set(&reader->error, STORE_E_NOT_FOUND, "no snapshot %lld", (long long)id);
}

int reader_info_columns(struct store_reader *reader, sqlite3_stmt *statement, struct snapshot_info *info) {
        uint32_t *const small[] = {&info->uid,   &info->pid,  &info->ppid,
                                   &info->image, &info->kind, &info->traceback_limit};
        uint64_t *const sums[] = {&info->size, &info->count, &info->traces, &info->lost};
        bool *const flags[] = {&info->exact, &info->sizes_known, &info->allocated_known};
        int column = 0;
        *info = (struct snapshot_info){0};
        info->id = sqlite3_column_int64(statement, column++);
        info->set = sqlite3_column_int64(statement, column++);
        for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
                if (!statement_column_u32(statement, column++, small[i]))
                        return reader_damaged(reader, "snapshot");
        }
        info->taken_at_ns = sqlite3_column_int64(statement, column++);
        info->started_at_ns = sqlite3_column_int64(statement, column++);
        for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
                *sums[i] = (uint64_t)sqlite3_column_int64(statement, column++);
        for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
                *flags[i] = sqlite3_column_int64(statement, column++) != 0;
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++) {
                info->texts[i] = (char *)(uintptr_t)sqlite3_column_text(statement, column++);
                if (!info->texts[i])
                        return sqlite3_errcode(reader->db) == SQLITE_NOMEM ? -ENOMEM
                                                                           : reader_damaged(reader, "snapshot");
        }
        return info->id <= 0 || info->kind >= SNAPSHOT_LIVE ? reader_damaged(reader, "snapshot") : 0;
}

int store_reader_info(struct store_reader *reader, int64_t id,
                      int (*visit)(void *data, const struct snapshot_info *info), void *data) {
        sqlite3_stmt *statement = reader->statements[GET_INFO];
        struct snapshot_info info;
        bool row;
        sqlite3_bind_int64(statement, 1, id);
        int r = statement_row(statement, &row, &reader->error);
        if (r)
                return r;
        if (!row)
                return not_found(reader, id);
        r = reader_info_columns(reader, statement, &info);
        if (r == 0)
                r = visit(data, &info);
        sqlite3_reset(statement);
        return r;
}

static bool passes(const struct store_filter *filter, const struct snapshot_info *info) {
        bool pid = filter->n_pids == 0, name = filter->n_names == 0, unit = filter->n_units == 0;
        for (size_t i = 0; !pid && i < filter->n_pids; i++)
                pid = filter->pids[i] == info->pid;
        for (size_t i = 0; !name && i < filter->n_names; i++)
                name = fnmatch(filter->names[i], info->name, 0) == 0;
        for (size_t i = 0; !unit && i < filter->n_units; i++)
                unit = proc_unit_is(info->unit, filter->units[i]);
        return pid && name && unit && (!filter->label || fnmatch(filter->label, info->label, 0) == 0);
}

int store_reader_list(struct store_reader *reader, const struct store_filter *filter,
                      int (*visit)(void *data, const struct snapshot_info *info), void *data) {
        sqlite3_stmt *statement = reader->statements[LIST_INFO];
        sqlite3_bind_int(statement, 1, filter->all_users);
        sqlite3_bind_int64(statement, 2, filter->uid);
        sqlite3_bind_int(statement, 3, filter->kind);
        sqlite3_bind_int64(statement, 4, filter->since_ns ? filter->since_ns : INT64_MIN);
        for (;;) {
                struct snapshot_info info;
                bool row;
                int r = statement_row(statement, &row, &reader->error);
                if (r || !row)
                        return r;
                r = reader_info_columns(reader, statement, &info);
                if (r == 0 && passes(filter, &info))
                        r = visit(data, &info);
                if (r) {
                        sqlite3_reset(statement);
                        return r;
                }
        }
}

int store_reader_set_members(struct store_reader *reader, int64_t set, int64_t **idsp, size_t *n_idsp) {
        sqlite3_stmt *statement = reader->statements[LIST_SET];
        struct id_list ids = {0};
        bool row;
        int r;
        sqlite3_bind_int64(statement, 1, set);
        while ((r = statement_row(statement, &row, &reader->error)) == 0 && row) {
                r = id_list_add(&ids, sqlite3_column_int64(statement, 0));
                if (r) {
                        sqlite3_reset(statement);
                        break;
                }
        }
        if (r == 0 && ids.n == 0)
                r = store_error_set(&reader->error, STORE_E_NOT_FOUND, "no snapshot set s%lld", (long long)set);
        if (r) {
                id_list_deinit(&ids);
                return r;
        }
        *idsp = ids.ids;
        *n_idsp = ids.n;
        return 0;
}

int store_reader_last(struct store_reader *reader, uint32_t uid, int kind, uint64_t nth, int64_t *idp) {
        sqlite3_stmt *statement = reader->statements[GET_LAST];
        bool row;
        sqlite3_bind_int64(statement, 1, uid);
        sqlite3_bind_int(statement, 2, kind);
        sqlite3_bind_int64(statement, 3, nth > INT64_MAX ? INT64_MAX : (int64_t)nth);
        int r = statement_row(statement, &row, &reader->error);
        if (r)
                return r;
        if (!row)
                return store_error_set(&reader->error, STORE_E_NOT_FOUND, "no such snapshot of yours is stored");
        *idp = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        return 0;
}
