/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/row_cursor.h"
#include "tests/support/check_main.h"

#include <stdlib.h>

#define ID_MAX 400

/* A table with gaps of every width that a cursor steps over, and wider ones. */
struct table {
        sqlite3 *db;
        sqlite3_stmt *statement;
        struct row_cursor cursor;
        bool there[ID_MAX + 1];
};

static void add_rows(struct table *t) {
        sqlite3_stmt *add;
        ck_assert_int_eq(sqlite3_prepare_v2(t->db, "INSERT INTO t (id, value) VALUES (?1, ?1 * 3)", -1, &add, NULL), 0);
        for (int id = 1, gap = 0; id <= ID_MAX; id += 1 + gap, gap = (gap + 1) % 12) {
                sqlite3_bind_int(add, 1, id);
                ck_assert_int_eq(sqlite3_step(add), SQLITE_DONE);
                sqlite3_reset(add);
                t->there[id] = true;
        }
        sqlite3_finalize(add);
}

static void table_init(struct table *t, bool down) {
        const char *sql = down ? "SELECT id, value FROM t WHERE id <= ? ORDER BY id DESC"
                               : "SELECT id, value FROM t WHERE id >= ? ORDER BY id";
        *t = (struct table){0};
        ck_assert_int_eq(sqlite3_open(":memory:", &t->db), 0);
        ck_assert_int_eq(sqlite3_exec(t->db, "CREATE TABLE t (id INTEGER PRIMARY KEY, value)", NULL, NULL, NULL), 0);
        add_rows(t);
        ck_assert_int_eq(sqlite3_prepare_v2(t->db, sql, -1, &t->statement, NULL), 0);
        t->cursor = (struct row_cursor){.statement = t->statement, .down = down};
}

static void table_deinit(struct table *t) {
        row_cursor_deinit(&t->cursor);
        ck_assert_int_eq(sqlite3_stmt_busy(t->statement), 0);
        sqlite3_finalize(t->statement);
        ck_assert_int_eq(sqlite3_close(t->db), 0);
}

static void expect(struct table *t, int id) {
        struct store_error error;
        bool found;
        ck_assert_int_eq(row_cursor_find(&t->cursor, id, &found, &error), 0);
        ck_assert_msg(found == t->there[id], "row %d", id);
        if (found)
                ck_assert_int_eq(sqlite3_column_int64(t->statement, 1), 3 * id);
}

/* Every distance in both directions, so near and far, onto rows and into gaps, from rows and from gaps. */
START_TEST(finds_what_is_there_wherever_it_stood)
{
        struct table t;
        table_init(&t, _i);
        for (int from = 1; from <= ID_MAX; from += 3) {
                for (int distance = -20; distance <= 20; distance++) {
                        if (from + distance < 1 || from + distance > ID_MAX)
                                continue;
                        expect(&t, from);
                        expect(&t, from + distance);
                }
        }
        table_deinit(&t);
}
END_TEST

START_TEST(finds_rows_in_any_order)
{
        struct table t;
        srandom(7);
        table_init(&t, _i);
        for (int i = 0; i < 20000; i++)
                expect(&t, 1 + (int)(random() % ID_MAX));
        table_deinit(&t);
}
END_TEST

/* What makes it worth its lines: no look from the root for a neighbour. */
START_TEST(neighbours_cost_a_step)
{
        struct table t;
        table_init(&t, _i);
        for (int i = 1; i <= ID_MAX; i++) {
                int id = _i ? ID_MAX + 1 - i : i;
                if (t.there[id])
                        expect(&t, id);
        }
        /* runs are counted when the statement starts: once, and once for each gap that is too wide */
        ck_assert_int_lt(sqlite3_stmt_status(t.statement, SQLITE_STMTSTATUS_RUN, 0), ID_MAX / 8);
        table_deinit(&t);
}
END_TEST

static int runs(struct table *t) {
        return sqlite3_stmt_status(t->statement, SQLITE_STMTSTATUS_RUN, 0);
}

/* 7, 11 and 16 are three rows in a row. */
START_TEST(four_ids_are_stepped_over_and_no_more)
{
        struct table t;
        table_init(&t, _i);
        ck_assert(t.there[7] && t.there[11] && t.there[16]);
        expect(&t, _i ? 16 : 7);
        int before = runs(&t);
        expect(&t, 11);
        ck_assert_int_eq(runs(&t) - before, _i ? 1 : 0);
        expect(&t, _i ? 7 : 16);
        ck_assert_int_eq(runs(&t) - before, 1);
        expect(&t, _i ? 7 : 16); /* it stands there */
        ck_assert_int_eq(runs(&t) - before, 1);
        table_deinit(&t);
}
END_TEST

START_TEST(an_error_goes_up)
{
        struct table t;
        struct store_error error;
        bool found;
        table_init(&t, _i);
        expect(&t, 1);
        ck_assert_int_eq(sqlite3_exec(t.db, "BEGIN", NULL, NULL, NULL), 0);
        row_cursor_deinit(&t.cursor);
        ck_assert_int_eq(sqlite3_exec(t.db, "DROP TABLE t", NULL, NULL, NULL), 0);
        ck_assert_int_ne(row_cursor_find(&t.cursor, 1, &found, &error), 0);
        ck_assert_int_eq(t.cursor.at, 0);
        table_deinit(&t);
}
END_TEST

/* Each case in both directions: _i is whether ids descend. */
int main(void) {
        const TTest *const cases[] = {finds_what_is_there_wherever_it_stood, finds_rows_in_any_order,
                                      neighbours_cost_a_step, four_ids_are_stepped_over_and_no_more, an_error_goes_up};
        Suite *suite = suite_create("row_cursor");
        TCase *tcase = check_case("row_cursor");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                tcase_add_loop_test(tcase, cases[i], 0, 2);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
