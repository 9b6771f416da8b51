/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From what SQLite and the system say to an outcome of store.h and one line of text. */

#include "daemon/store/store.h"

#include <sqlite3.h>

struct store_error {
        char message[STORE_MESSAGE_MAX];
};

/** store_error_set() - printf-like, no newline
 * @code: of enum store_outcome or -errno
 * Return: @code. */
int store_error_set(struct store_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** store_error_sqlite() - after a call on @db failed
 * @db: NULL: no memory even for that; @rc: what the call returned, not SQLITE_OK
 * Call it at once, with errno cleared before the operation: errno says whether an I/O error is a full disk.
 * Return: enum store_outcome or -ENOMEM. */
int store_error_sqlite(struct store_error *error, sqlite3 *db, int rc);

/** store_error_system() - after a system call on @path failed
 * @errnum: errno
 * Return: enum store_outcome or -errnum. */
int store_error_system(struct store_error *error, const char *path, int errnum);

/** store_error_moved() - a file of the database that was open has another name, or none
 * Return: STORE_E_IO. */
int store_error_moved(struct store_error *error, const char *path);
