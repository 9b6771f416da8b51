/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/text.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text_table table;

static void setup(void) {
        text_table_init(&table);
}

static void teardown(void) {
        text_table_deinit(&table);
}

static uint32_t intern(const char *bytes, size_t length) {
        uint32_t id;
        ck_assert_int_eq(text_table_intern(&table, bytes, length, &id), 0);
        return id;
}

START_TEST(equal_texts_have_one_number)
{
        ck_assert_uint_eq(intern("a.py", 4), intern("a.pyc", 4));
        ck_assert_uint_ne(intern("a.py", 4), intern("a.p", 3));
        ck_assert_uint_eq(intern("", 0), intern(NULL, 0));
}
END_TEST

START_TEST(an_escaped_byte_is_its_surrogate)
{
        ck_assert_uint_eq(intern("x\x80", 2), intern("x\xed\xb2\x80", 4));
        ck_assert_mem_eq(table.texts[intern("x\x80", 2)].bytes, "x\x80", 2);
}
END_TEST

START_TEST(order_is_by_code_point)
{
        /* U+007F, U+0080, U+DC80 (a byte), U+DCFF (a byte), U+E000, U+10000 */
        static const char *const ascending[] = {"",      "a",     "a\x7f",         "a\xc2\x80",
                                                "a\x80", "a\xff", "a\xee\x80\x80", "a\xf0\x90\x80\x80"};

        for (size_t i = 1; i < sizeof ascending / sizeof ascending[0]; i++) {
                uint32_t less = intern(ascending[i - 1], strlen(ascending[i - 1]));
                uint32_t more = intern(ascending[i], strlen(ascending[i]));
                ck_assert_int_lt(text_table_compare(&table, less, more), 0);
                ck_assert_int_gt(text_table_compare(&table, more, less), 0);
        }
        ck_assert_int_lt(text_table_compare(&table, TEXT_NONE, intern("", 0)), 0);
        ck_assert_int_gt(text_table_compare(&table, intern("", 0), TEXT_NONE), 0);
        ck_assert_int_eq(text_table_compare(&table, TEXT_NONE, TEXT_NONE), 0);
}
END_TEST

START_TEST(thousands_of_texts_are_all_found_again)
{
        static char names[5000][8];
        for (int i = 0; i < 5000; i++) {
                snprintf(names[i], sizeof names[i], "%d", i);
                ck_assert_uint_eq(intern(names[i], strlen(names[i])), (uint32_t)i);
        }
        for (int i = 0; i < 5000; i++)
                ck_assert_uint_eq(intern(names[i], strlen(names[i])), (uint32_t)i);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("text");
        TCase *cases = check_case("text");
        tcase_add_checked_fixture(cases, setup, teardown);
        tcase_add_test(cases, equal_texts_have_one_number);
        tcase_add_test(cases, an_escaped_byte_is_its_surrogate);
        tcase_add_test(cases, order_is_by_code_point);
        tcase_add_test(cases, thousands_of_texts_are_all_found_again);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
