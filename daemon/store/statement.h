/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Prepared statements of one connection, by number. */

#include "daemon/store/store_error.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a row of snapshot: that it is not being deleted. */
#define SNAPSHOT_STAYS "id NOT IN (SELECT snapshot FROM deletion)"

/** statement_prepare_all() - prepare @sql[0..n) for the life of the connection
 * @statements: [n], all NULL before; after a failure some are set
 * Return: 0; enum store_outcome; -ENOMEM. */
int statement_prepare_all(sqlite3 *db, const char *const *sql, size_t n, sqlite3_stmt **statements,
                          struct store_error *error);

/** statement_finalize_all() - undo; entries become NULL */
void statement_finalize_all(sqlite3_stmt **statements, size_t n);

/** statement_row() - step; resets the statement unless there is a row
 * @rowp: set on 0: true: read the columns, then go on or sqlite3_reset(); false: no more
 * Return: 0; enum store_outcome; -ENOMEM. */
int statement_row(sqlite3_stmt *statement, bool *rowp, struct store_error *error);

/** statement_run() - step to the end, reset and unbind: for what returns no rows */
int statement_run(sqlite3_stmt *statement, struct store_error *error);

/** statement_bind_blob() - borrowed until the statement is reset; length 0 is x'', not NULL */
void statement_bind_blob(sqlite3_stmt *statement, int parameter, const void *bytes, size_t length);

/** statement_bind_id() - NULL for id 0 */
void statement_bind_id(sqlite3_stmt *statement, int parameter, int64_t id);

/** statement_column_blob() - bytes of the row that the statement stands on, valid until its next step or reset
 * Return: true, never with NULL; false for what is no blob (NULL too), and where there is no memory for it. */
bool statement_column_blob(sqlite3_stmt *statement, int column, const void **bytesp, size_t *lengthp);

/** statement_column_u32() - false (and *valuep 0) for what is no integer of 32 bits */
bool statement_column_u32(sqlite3_stmt *statement, int column, uint32_t *valuep);
