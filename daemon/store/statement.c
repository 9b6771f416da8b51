/* SPDX-License-Identifier: Apache-2.0 */

/* Prepared statements. Whoever owns the connection. A bind cannot fail but for want of memory, and then the step
 * reports SQLITE_CONSTRAINT or stores NULL where none may be, which the schema refuses: so binds are not checked one by
 * one. */

#include "daemon/store/statement.h"

#include <string.h>

int statement_prepare_all(sqlite3 *db, const char *const *sql, size_t n, sqlite3_stmt **statements,
                          struct store_error *error) {
        for (size_t i = 0; i < n; i++) {
                int rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL);
                if (rc)
                        return store_error_sqlite(error, db, rc);
        }
        return 0;
}

void statement_finalize_all(sqlite3_stmt **statements, size_t n) {
        for (size_t i = 0; i < n; i++) {
                sqlite3_finalize(statements[i]);
                statements[i] = NULL;
        }
}

int statement_row(sqlite3_stmt *statement, bool *rowp, struct store_error *error) {
        int rc = sqlite3_step(statement);
        *rowp = rc == SQLITE_ROW;
        if (rc == SQLITE_ROW)
                return 0;
        int r = rc == SQLITE_DONE ? 0 : store_error_sqlite(error, sqlite3_db_handle(statement), rc);
        sqlite3_reset(statement);
        return r;
}

int statement_run(sqlite3_stmt *statement, struct store_error *error) {
        bool row;
        int r = statement_row(statement, &row, error);
        if (row)
                sqlite3_reset(statement);
        sqlite3_clear_bindings(statement); /* borrowed bytes */
        return r;
}

void statement_bind_blob(sqlite3_stmt *statement, int parameter, const void *bytes, size_t length) {
        if (length)
                sqlite3_bind_blob64(statement, parameter, bytes, length, SQLITE_STATIC);
        else
                sqlite3_bind_zeroblob(statement, parameter, 0);
}

void statement_bind_id(sqlite3_stmt *statement, int parameter, int64_t id) {
        if (id)
                sqlite3_bind_int64(statement, parameter, id);
        else
                sqlite3_bind_null(statement, parameter);
}

bool statement_column_blob(sqlite3_stmt *statement, int column, const void **bytesp, size_t *lengthp) {
        bool good = sqlite3_column_type(statement, column) == SQLITE_BLOB;
        const void *bytes = good ? sqlite3_column_blob(statement, column) : NULL;
        *lengthp = good ? (size_t)sqlite3_column_bytes(statement, column) : 0;
        *bytesp = bytes ? bytes : ""; /* of no bytes SQLite gives NULL */
        return good && (bytes || *lengthp == 0);
}

bool statement_column_u32(sqlite3_stmt *statement, int column, uint32_t *valuep) {
        int64_t value = sqlite3_column_int64(statement, column);
        bool good = sqlite3_column_type(statement, column) == SQLITE_INTEGER && value >= 0 && value <= UINT32_MAX;
        *valuep = good ? (uint32_t)value : 0;
        return good;
}
