/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of struct store_writer share: store_writer.c (transactions), put.c, collect.c, put_symbols.c. */

#include "daemon/store/id_list.h"
#include "daemon/store/statement.h"
#include "daemon/store/store_writer.h"

#include <sqlite3.h>

#include <stdatomic.h>

enum writer_statement {
        FIND_STRING,
        ADD_STRING,
        FIND_MODULE,
        ADD_MODULE,
        FIND_FRAME_NATIVE,
        FIND_FRAME_NOWHERE,
        FIND_FRAME_SOURCE,
        ADD_FRAME,
        FIND_TRACEBACK,
        ADD_TRACEBACK,
        FIND_SET,
        ADD_SET,
        FIND_SNAPSHOT,
        ADD_SNAPSHOT,
        ADD_DOMAIN,
        ADD_GROUP,
        SET_LABEL,
        BEGIN_DELETION,
        FIND_DELETION,
        END_DELETION,
        LIST_TRACEBACKS_OF_SNAPSHOT,
        LIST_DOMAIN_NAMES,
        DELETE_GROUPS,
        DELETE_DOMAINS,
        DELETE_SNAPSHOT,
        DELETE_SET,
        DELETE_TRACEBACK,
        FIND_FRAME_USE,
        DELETE_FRAME,
        DELETE_SYMBOLS,
        DELETE_MODULE,
        DELETE_STRING,
        SET_MODULE_EXAMINED,
        SET_FRAME_RESOLVED,
        ADD_SYMBOL,
        LIST_BEYOND_LIMITS,
        FIND_LEAST_WANTED,
        N_WRITER_STATEMENTS,
};

struct store_writer {
        sqlite3 *db;
        struct store_error *error; /* of the operation under way */
        const struct pins *pins;   /* of store_writer_retain() under way; NULL: none */
        bool grouped;              /* store_writer_begin_group() */
        bool freed;                /* pages may be free that the file system could have */
        atomic_bool gives_up;      /* store_writer_give_up() */
        sqlite3_stmt *statements[N_WRITER_STATEMENTS];
};

/* find: a statement that is bound. Runs it; @idp: column 0 of its row, or 0 for none. Return: 0; as statement_run(). */
int writer_find(struct store_writer *writer, enum writer_statement which, int64_t *idp);

/* Find the frame of an offset in a module. @idp: 0 for none; @resolvedp: whether its symbols were looked for */
int writer_find_native(struct store_writer *writer, uint32_t owner, int64_t module, uint64_t offset, int64_t *idp,
                       bool *resolvedp);

/* add: a bound INSERT. @idp: the new row's */
int writer_add(struct store_writer *writer, enum writer_statement which, int64_t *idp);

/* Find a string. @idp: 0 for none. */
int writer_find_string(struct store_writer *writer, const void *bytes, size_t length, int64_t *idp);

/* Find or add a string. */
int writer_string(struct store_writer *writer, const void *bytes, size_t length, int64_t *idp);

/* put.c: within a transaction. @unresolvedp: set where a native location has no symbols yet, else left alone */
int writer_put_snapshot(struct store_writer *writer, const struct snapshot *snapshot, int64_t set, int64_t *idp,
                        bool *unresolvedp);

/* collect.c: within a transaction. From now on nobody sees the snapshot; its rows are there. Return: STORE_E_NOT_FOUND.
 */
int writer_begin_deletion(struct store_writer *writer, int64_t id);

/* collect.c: within a transaction. Delete rows of those snapshots, and what only they needed, until some ten
 * milliseconds' work is done. @morep: whether such snapshots are left; valid on 0 */
int writer_go_on_deleting(struct store_writer *writer, bool *morep);

/* collect.c: within a transaction. Delete those of the candidates that nothing refers to. The list is sorted. */
int writer_collect_strings(struct store_writer *writer, struct id_list *strings);

/* collect.c: forget the symbols of a frame; their strings become candidates */
int writer_delete_symbols(struct store_writer *writer, int64_t frame, struct id_list *strings);

/* put_symbols.c: within a transaction */
int writer_replace_symbols(struct store_writer *writer, uint32_t owner, const struct symbol_set *symbols);
