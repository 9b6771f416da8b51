/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The database file: made, recognised, migrated, moved aside; connections to it. */

#include "daemon/store/store_error.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stdint.h>

#define STORE_APPLICATION_ID  0x746d6474 /* "tmdt" */
#define STORE_BUSY_TIMEOUT_MS 5000       /* a sqlite3 shell of somebody in the middle of a write */

/** store_file_open() - the database of a state directory, with a current schema
 * @state_dir: made where missing, mode 0700, with its parents
 * @dbp: a connection for the writer, set on 0; sqlite3_close() it
 * @pathp: of the file; free() it
 * Return: as store_open(). */
int store_file_open(const char *state_dir, sqlite3 **dbp, char **pathp, struct store_error *error);

/** store_file_connect() - one more connection to an existing database of ours
 * @writer: else it can change nothing
 * @dbp: set on 0; sqlite3_close() it
 * Return: 0; enum store_outcome; -ENOMEM. */
int store_file_connect(const char *path, bool writer, sqlite3 **dbp, struct store_error *error);

/** store_file_execute() - plain SQL without results: BEGIN, COMMIT, a pragma
 * Return: 0; enum store_outcome; -ENOMEM. */
int store_file_execute(sqlite3 *db, const char *sql, struct store_error *error);

/** store_file_integer() - SQL of one row with one integer, such as a pragma's
 * @valuep: 0 where there is no row
 * Return: 0; enum store_outcome; -ENOMEM. */
int store_file_integer(sqlite3 *db, const char *sql, int64_t *valuep, struct store_error *error);
