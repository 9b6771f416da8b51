/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store/store_fixture.h"

#include "tests/support/snapshot_equal.h"

#include <check.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fixture_init(struct fixture *f) {
        *f = (struct fixture){.root = "/tmp/store-XXXXXX"};
        ck_assert_ptr_nonnull(mkdtemp(f->root));
        snprintf(f->state_dir, sizeof f->state_dir, "%s/a/state", f->root);
        ck_assert_int_eq(uv_loop_init(&f->loop), 0);
}

int fixture_open(struct fixture *f) {
        int r = store_open(&f->loop, f->state_dir, &f->store, f->message);
        if (r == 0)
                ck_assert_int_eq(store_reader_open(store_path(f->store), &f->reader, f->message), 0);
        return r;
}

static void on_closed(void *data) {
        *(bool *)data = true;
}

void fixture_close(struct fixture *f) {
        bool closed = false;
        if (!f->store)
                return;
        f->reader = store_reader_close(f->reader);
        store_close(f->store, on_closed, &closed);
        f->store = NULL;
        uv_run(&f->loop, UV_RUN_DEFAULT);
        ck_assert(closed);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void fixture_deinit(struct fixture *f) {
        fixture_close(f);
        ck_assert_int_eq(uv_loop_close(&f->loop), 0);
        nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct waiting {
        struct fixture *fixture;
        bool done;
        int code;
        int64_t *ids;
        size_t n_ids;
};

static void on_result(void *data, const struct store_result *result) {
        struct waiting *w = data;
        w->done = true;
        w->code = result->code;
        w->fixture->set = result->set;
        w->fixture->unresolved = result->unresolved;
        snprintf(w->fixture->message, STORE_MESSAGE_MAX, "%s", result->message);
        ck_assert_int_eq(result->code == 0, result->message[0] == '\0');
        ck_assert_ptr_null(strchr(result->message, '\n'));
        if (w->ids && result->code == 0) {
                ck_assert_uint_eq(result->n_ids, w->n_ids);
                memcpy(w->ids, result->ids, w->n_ids * sizeof *w->ids);
        }
}

static int wait_for(struct fixture *f, struct waiting *w) {
        while (!w->done)
                uv_run(&f->loop, UV_RUN_ONCE);
        return w->code;
}

void fixture_note(void *data, const struct store_result *result) {
        *(struct fixture_answer *)data = (struct fixture_answer){result->code, result->n_ids ? result->ids[0] : 0};
}

int fixture_code_of(struct fixture *f, const struct fixture_answer *answer) {
        while (answer->code == -1)
                uv_run(&f->loop, UV_RUN_ONCE);
        return answer->code;
}

int fixture_put(struct fixture *f, struct snapshot *snapshot, int64_t set, int64_t *idp) {
        struct waiting w = {.fixture = f, .ids = idp, .n_ids = 1};
        ck_assert_int_eq(store_put(f->store, snapshot, set, on_result, &w), 0);
        return wait_for(f, &w);
}

int fixture_put_once(struct fixture *f, struct snapshot *snapshot, int64_t *idp) {
        struct waiting w = {.fixture = f, .ids = idp, .n_ids = 1};
        ck_assert_int_eq(store_put_once(f->store, snapshot, on_result, &w), 0);
        return wait_for(f, &w);
}

int fixture_put_set(struct fixture *f, struct snapshot *const *snapshots, size_t n, int64_t *ids) {
        struct waiting w = {.fixture = f, .ids = ids, .n_ids = n};
        ck_assert_int_eq(store_put_set(f->store, snapshots, n, on_result, &w), 0);
        return wait_for(f, &w);
}

int fixture_label(struct fixture *f, int64_t id, const char *label) {
        return fixture_label_all(f, &id, 1, label);
}

int fixture_label_all(struct fixture *f, const int64_t *ids, size_t n, const char *label) {
        struct waiting w = {.fixture = f};
        ck_assert_int_eq(store_label(f->store, ids, n, label, label ? strlen(label) : 0, on_result, &w), 0);
        return wait_for(f, &w);
}

int fixture_delete(struct fixture *f, const int64_t *ids, size_t n) {
        struct waiting w = {.fixture = f};
        ck_assert_int_eq(store_delete(f->store, ids, n, on_result, &w), 0);
        return wait_for(f, &w);
}

int fixture_put_symbols(struct fixture *f, uint32_t owner, struct symbol_set *symbols) {
        struct waiting w = {.fixture = f};
        ck_assert_int_eq(store_put_symbols(f->store, owner, symbols, on_result, &w), 0);
        return wait_for(f, &w);
}

static sqlite3 *connect_database(struct fixture *f) {
        char path[128];
        sqlite3 *db;
        snprintf(path, sizeof path, "%s/%s", f->state_dir, STORE_FILE_NAME);
        ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
        sqlite3_busy_timeout(db, 10000);
        return db;
}

char *fixture_query(struct fixture *f, const char *sql) {
        sqlite3 *db = connect_database(f);
        sqlite3_stmt *statement;
        char *result = NULL;
        ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
                      sqlite3_errmsg(db));
        if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
                result = strdup((const char *)sqlite3_column_text(statement, 0));
        sqlite3_finalize(statement);
        sqlite3_close(db);
        return result;
}

int64_t fixture_count(struct fixture *f, const char *sql) {
        char *text = fixture_query(f, sql);
        ck_assert_ptr_nonnull(text);
        int64_t value = strtoll(text, NULL, 10);
        free(text);
        return value;
}

void fixture_execute(struct fixture *f, const char *sql) {
        sqlite3 *db = connect_database(f);
        int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
        sqlite3_close(db);
}

void fixture_check(struct fixture *f) {
        char *integrity = fixture_query(f, "PRAGMA integrity_check");
        ck_assert_str_eq(integrity, "ok");
        free(integrity);
        ck_assert_ptr_null(fixture_query(f, "PRAGMA foreign_key_check"));
        static const char *const unneeded[] = {
                "SELECT count(*) FROM traceback WHERE id NOT IN (SELECT traceback FROM snapshot_group) AND id NOT IN "
                "(SELECT parent FROM traceback WHERE parent IS NOT NULL) AND id <> 0",
                "SELECT count(*) FROM frame WHERE id NOT IN (SELECT frame FROM traceback WHERE frame IS NOT NULL)",
                "SELECT count(*) FROM symbol WHERE frame NOT IN (SELECT id FROM frame)",
                "SELECT count(*) FROM module WHERE id NOT IN (SELECT module FROM frame WHERE module IS NOT NULL)",
                "SELECT count(*) FROM snapshot_set WHERE id NOT IN "
                "(SELECT snapshot_set FROM snapshot WHERE snapshot_set IS NOT NULL)",
                "SELECT count(*) FROM string WHERE id NOT IN (SELECT filename FROM frame WHERE filename IS NOT NULL "
                "UNION "
                "SELECT function FROM frame WHERE function IS NOT NULL UNION SELECT path FROM module UNION "
                "SELECT function FROM symbol WHERE function IS NOT NULL UNION "
                "SELECT filename FROM symbol WHERE filename IS NOT NULL UNION SELECT name FROM snapshot_domain)"};
        for (size_t i = 0; i < sizeof unneeded / sizeof unneeded[0]; i++)
                ck_assert_msg(fixture_count(f, unneeded[i]) == 0, "%s", unneeded[i]);
}

void fixture_load_equal(struct fixture *f, int64_t id, const struct snapshot *expected) {
        struct snapshot *loaded;
        char why[2000];
        int r = store_reader_load(f->reader, id, STORE_LOAD_WHOLE, &loaded);
        ck_assert_msg(r == 0, "%d: %s", r, store_reader_message(f->reader));
        ck_assert_int_eq(loaded->info.id, id);
        ck_assert_msg(snapshot_equal(expected, loaded, false, why, sizeof why), "%s", why);
        snapshot_unref(loaded);
}
