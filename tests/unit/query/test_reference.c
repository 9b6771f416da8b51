/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/reference.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>

static struct reference *parse(const char *text) {
        struct reference *reference = NULL;
        char *message = NULL;
        ck_assert_int_eq(reference_parse(text, &reference, &message), 0);
        ck_assert_ptr_null(message);
        return reference;
}

static void check_item(const struct reference *r, size_t i, enum reference_kind kind, int64_t number,
                       int snapshot_kind) {
        ck_assert_uint_lt(i, r->n_items);
        ck_assert_int_eq(r->items[i].kind, kind);
        ck_assert_int_eq(r->items[i].number, number);
        ck_assert_int_eq(r->items[i].snapshot_kind, snapshot_kind);
}

static void check_one(const char *text, enum reference_kind kind, int64_t number, int snapshot_kind) {
        struct reference *reference = parse(text);
        ck_assert_uint_eq(reference->n_items, 1);
        check_item(reference, 0, kind, number, snapshot_kind);
        free(reference);
}

START_TEST(ids_sets_and_pids_are_numbers)
{
        check_one("17", REFERENCE_ID, 17, REFERENCE_ANY_KIND);
        check_one("9223372036854775807", REFERENCE_ID, INT64_MAX, REFERENCE_ANY_KIND);
        check_one("s3", REFERENCE_SET, 3, REFERENCE_ANY_KIND);
        check_one("@1234", REFERENCE_LIVE, 1234, REFERENCE_ANY_KIND);
        check_one("%2", REFERENCE_FILE, 2, REFERENCE_ANY_KIND);
}
END_TEST

START_TEST(last_has_a_kind_and_a_distance)
{
        check_one("last", REFERENCE_LAST, 0, REFERENCE_ANY_KIND);
        check_one("last~1", REFERENCE_LAST, 1, REFERENCE_ANY_KIND);
        check_one("last:exit", REFERENCE_LAST, 0, SNAPSHOT_EXIT);
        check_one("last:peak", REFERENCE_LAST, 0, SNAPSHOT_PEAK);
        check_one("last:request", REFERENCE_LAST, 0, SNAPSHOT_REQUEST);
        check_one("last:import~12", REFERENCE_LAST, 12, SNAPSHOT_IMPORT);
}
END_TEST

START_TEST(lists_keep_their_order)
{
        struct reference *reference = parse("17,s3,last~1,@5");
        ck_assert_uint_eq(reference->n_items, 4);
        check_item(reference, 0, REFERENCE_ID, 17, REFERENCE_ANY_KIND);
        check_item(reference, 1, REFERENCE_SET, 3, REFERENCE_ANY_KIND);
        check_item(reference, 2, REFERENCE_LAST, 1, REFERENCE_ANY_KIND);
        check_item(reference, 3, REFERENCE_LIVE, 5, REFERENCE_ANY_KIND);
        free(reference);
}
END_TEST

static const char *const bad[] = {
        "",
        "0",
        "-1",
        "+1",
        " 1",
        "1 ",
        "17,",
        ",17",
        "17,,18",
        "s",
        "s0",
        "S3",
        "@",
        "@0",
        "@-1",
        "@2147483648",
        "last~",
        "last~x",
        "last:",
        "last:live",
        "last1",
        "last~1:exit",
        "9223372036854775808",
        "a.snapshot",
        "0x11",
        "1e3",
        "s-3",
        "last~-1",
};

START_TEST(anything_else_is_a_usage_error)
{
        struct reference *reference = NULL;
        char *message = NULL;
        ck_assert_int_eq(reference_parse(bad[_i], &reference, &message), QUERY_E_USAGE);
        ck_assert_ptr_nonnull(message);
        ck_assert_ptr_null(strchr(message, '\n'));
        ck_assert_ptr_null(reference);
        free(message);
}
END_TEST

START_TEST(a_list_has_at_most_1024_members)
{
        enum { N = REFERENCE_ITEMS_MAX };
        static char text[2 * (N + 1)];
        struct reference *reference = NULL;
        char *message = NULL;

        for (int i = 0; i < N; i++)
                memcpy(text + 2 * i, "1,", 2);
        text[2 * N - 1] = '\0';
        reference = parse(text);
        ck_assert_uint_eq(reference->n_items, N);
        free(reference);
        memcpy(text + 2 * N - 1, ",1", 3);
        ck_assert_int_eq(reference_parse(text, &reference, &message), QUERY_E_USAGE);
        ck_assert_str_eq(message, "a list of snapshots has at most 1024 members; this one has 1025");
        free(message);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("reference");
        TCase *cases = check_case("reference");
        tcase_add_test(cases, ids_sets_and_pids_are_numbers);
        tcase_add_test(cases, last_has_a_kind_and_a_distance);
        tcase_add_test(cases, lists_keep_their_order);
        tcase_add_loop_test(cases, anything_else_is_a_usage_error, 0, sizeof bad / sizeof bad[0]);
        tcase_add_test(cases, a_list_has_at_most_1024_members);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
