/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of struct store_reader share: store_reader.c, load.c, frame_loader.c, read_symbols.c. */

#include "daemon/store/row_cursor.h"
#include "daemon/store/snapshot_cache.h"
#include "daemon/store/statement.h"
#include "daemon/store/store_reader.h"

#include <sqlite3.h>

enum reader_statement {
        GET_INFO,
        LIST_INFO,
        LIST_SET,
        GET_LAST,
        LIST_GROUPS,
        LIST_GROUP_SUMS,
        LIST_TRACEBACKS_DOWN,
        LIST_DOMAINS,
        TRACEBACKS_DOWN,
        FRAMES_UP,
        GET_MODULE,
        GET_STRING,
        READER_FIND_MODULE,
        READER_FIND_FRAME,
        LIST_SYMBOLS,
        GET_DATA_VERSION,
        N_READER_STATEMENTS,
};

struct store_reader {
        sqlite3 *db;
        struct store_error error;
        sqlite3_stmt *statements[N_READER_STATEMENTS];
        struct snapshot_cache cache;
};

/* Several statements that must see one state. Return: 0; as statement_run(). */
int reader_begin(struct store_reader *reader);
void reader_end(struct store_reader *reader);

/* Return: STORE_E_CORRUPT, with a message that names what. */
int reader_damaged(struct store_reader *reader, const char *what);

/* Step a statement that finds one row by its key. @what: of it there is one, or the store is damaged.
 * Return: 0; STORE_E_CORRUPT; as statement_run(). */
int reader_get_row(struct store_reader *reader, enum reader_statement which, int64_t id, const char *what);

/* The bytes of a row of strings, valid until reader_end_string(). Errors as reader_get_row(), and then it has ended. */
int reader_begin_string(struct store_reader *reader, int64_t id, const void **bytesp, size_t *lengthp);
void reader_end_string(struct store_reader *reader);

/* The same as reader_get_row() for rows that are wanted in about the order in which they lie there. */
int reader_find_row(struct store_reader *reader, struct row_cursor *cursor, int64_t id, const char *what);

/* The columns of GET_INFO and LIST_INFO. Strings are SQLite's, valid until the next step.
 * Return: 0; STORE_E_CORRUPT; -ENOMEM. */
int reader_info_columns(struct store_reader *reader, sqlite3_stmt *statement, struct snapshot_info *info);
