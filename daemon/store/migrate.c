/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Schema versions. schema.sql and views.sql make the current one of an empty file; steps[] bring older files there, one
 * version at a time. A step is never changed after it was released: it goes by what that version was, not by what is
 * current. Called by store_file.c on the loop's thread, before the writer begins.
 */

#include "daemon/store/migrate.h"

#include "daemon/base/log.h"
#include "daemon/store/sizes.h"
#include "daemon/store/store_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char schema_sql[] =
#include "daemon/store/schema.sql.inc"
        ;

static const char views_sql[] =
#include "daemon/store/views.sql.inc"
        ;

/* steps[n] makes version n + 2 of version n + 1. The views go before the first and come back after the last. */
static const char *const steps[] = {
        /* 2: a shorter form of the single sizes */
        "UPDATE snapshot_group SET sizes = sizes_1_to_2(sizes) WHERE sizes IS NOT NULL",
        /* 3: snapshots are deleted piece by piece */
        "CREATE TABLE deletion ( snapshot INTEGER PRIMARY KEY REFERENCES snapshot ) STRICT",
};
_Static_assert(sizeof steps / sizeof steps[0] == STORE_SCHEMA_VERSION - 1, "one step for each earlier version");

/* ---- version 1: for each size a pair of integers, difference and count, 7 bits a byte, the lowest first ---- */

static bool get_integer(const uint8_t **atp, const uint8_t *end, uint64_t *valuep) {
        *valuep = 0;
        for (unsigned shift = 0; shift < 64 && *atp < end; shift += 7) {
                uint8_t byte = *(*atp)++;
                *valuep |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80))
                        return true;
        }
        return false;
}

/* @sizes: [length / 2 + 1]. Return: how many; -1: no such form. */
static int64_t sizes_1_decode(const uint8_t *at, size_t length, struct snapshot_size *sizes) {
        const uint8_t *end = at + length;
        uint64_t last = 0, difference;
        int64_t n = 0;
        while (at < end) {
                if (!get_integer(&at, end, &difference) || !get_integer(&at, end, &sizes[n].count) ||
                    __builtin_add_overflow(last, difference, &last))
                        return -1;
                sizes[n++].size = last;
        }
        return n;
}

static void sizes_1_to_2(sqlite3_context *context, int n_arguments, sqlite3_value **arguments) {
        const uint8_t *bytes = sqlite3_value_blob(arguments[0]);
        size_t length = (size_t)sqlite3_value_bytes(arguments[0]);
        struct snapshot_size *sizes = malloc((length / 2 + 1) * sizeof *sizes);
        uint8_t *encoded = malloc(SIZES_BYTES_MAX(length / 2 + 1));
        uint64_t size, count;
        if (!sizes || !encoded) {
                sqlite3_result_error_nomem(context);
        } else {
                int64_t n = sizes_1_decode(bytes, length, sizes);
                size_t used = n > 0 ? sizes_encode(sizes, (size_t)n, encoded, &size, &count) : 0;
                if (used)
                        sqlite3_result_blob64(context, encoded, used, SQLITE_TRANSIENT);
                else
                        sqlite3_result_error_code(context, SQLITE_CORRUPT);
        }
        free(sizes);
        free(encoded);
}

static int define_functions(sqlite3 *db, struct store_error *error) {
        int rc = sqlite3_create_function_v2(db, "sizes_1_to_2", 1,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL, sizes_1_to_2,
                                            NULL, NULL, NULL);
        return rc ? store_error_sqlite(error, db, rc) : 0;
}

/* ---- any version ---- */

static int drop_views(sqlite3 *db, struct store_error *error) {
        for (;;) {
                sqlite3_stmt *statement;
                char *drop = NULL;
                int rc = sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'view' LIMIT 1", -1,
                                            &statement, NULL);
                if (rc)
                        return store_error_sqlite(error, db, rc);
                rc = sqlite3_step(statement);
                if (rc == SQLITE_ROW)
                        drop = sqlite3_mprintf("DROP VIEW \"%w\"", sqlite3_column_text(statement, 0));
                sqlite3_finalize(statement);
                if (rc == SQLITE_DONE)
                        return 0;
                if (rc != SQLITE_ROW || !drop)
                        return store_error_sqlite(error, db, rc == SQLITE_ROW ? SQLITE_NOMEM : rc);
                int r = store_file_execute(db, drop, error);
                sqlite3_free(drop);
                if (r)
                        return r;
        }
}

static int upgrade(sqlite3 *db, int64_t version, struct store_error *error) {
        int r = define_functions(db, error);
        if (r == 0)
                r = drop_views(db, error);
        for (; r == 0 && version < STORE_SCHEMA_VERSION; version++)
                r = store_file_execute(db, steps[version - 1], error);
        return r;
}

static int migrate(sqlite3 *db, int64_t version, struct store_error *error) {
        char set_version[64];
        snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", STORE_SCHEMA_VERSION);
        int r = version == 0 ? store_file_execute(db, schema_sql, error) : upgrade(db, version, error);
        if (r == 0)
                r = store_file_execute(db, views_sql, error);
        return r ? r : store_file_execute(db, set_version, error);
}

static int migrate_in_transaction(sqlite3 *db, int64_t version, struct store_error *error) {
        int r = store_file_execute(db, "BEGIN IMMEDIATE", error);
        if (r)
                return r;
        r = migrate(db, version, error);
        if (r == 0)
                r = store_file_execute(db, "COMMIT", error);
        if (r && !sqlite3_get_autocommit(db))
                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return r;
}

int store_migrate(sqlite3 *db, struct store_error *error) {
        int64_t version;
        int r = store_file_integer(db, "PRAGMA user_version", &version, error);
        if (r)
                return r;
        if (version < 0 || version > STORE_SCHEMA_VERSION)
                return store_error_set(error, STORE_E_NEWER,
                                       "snapshots.db has schema version %lld: upgrade tracemallocd",
                                       (long long)version);
        if (version == STORE_SCHEMA_VERSION)
                return 0;
        r = migrate_in_transaction(db, version, error);
        if (r == 0 && version > 0) {
                log_info("%s: brought from schema version %lld to %d", sqlite3_db_filename(db, "main"),
                         (long long)version, STORE_SCHEMA_VERSION);
                r = store_file_execute(db, "PRAGMA incremental_vacuum", error);
        }
        return r;
}
