/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/symbol/symbol_set.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct snapshot_string text(const char *s) {
        return (struct snapshot_string){.bytes = s, .length = s ? strlen(s) : 0};
}

static uint32_t module(struct symbol_set *set, const char *path, const char *build_id) {
        uint32_t m;
        ck_assert_int_eq(symbol_set_module(set, path, strlen(path), (const uint8_t *)build_id, strlen(build_id), &m),
                         0);
        return m;
}

START_TEST(a_location_comes_back_with_all_its_frames)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/lib/libfoo.so.1", "\1\2\3");
        struct symbol_frame frames[] = {{text("inner"), text("a.h"), 7}, {text("outer"), text(NULL), 0}};
        ck_assert_int_eq(symbol_set_add(set, m, 0x1234, frames, 2), 0);
        uint32_t n = 0;
        const struct symbol_frame *found = symbol_set_find(set, m, 0x1234, &n);
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(n, 2);
        ck_assert_str_eq(found[0].function.bytes, "inner");
        ck_assert_str_eq(found[0].filename.bytes, "a.h");
        ck_assert_uint_eq(found[0].lineno, 7);
        ck_assert_str_eq(found[1].function.bytes, "outer");
        ck_assert_ptr_null(found[1].filename.bytes);
        symbol_set_free(set);
}
END_TEST

START_TEST(nothing_known_is_not_the_same_as_never_looked_up)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/a", "");
        uint32_t n = 99;
        ck_assert_ptr_null(symbol_set_find(set, m, 1, &n));
        ck_assert_int_eq(symbol_set_add(set, m, 1, NULL, 0), 0);
        ck_assert_ptr_nonnull(symbol_set_find(set, m, 1, &n));
        ck_assert_uint_eq(n, 0);
        ck_assert_ptr_null(symbol_set_find(set, m, 2, &n));
        symbol_set_free(set);
}
END_TEST

START_TEST(modules_are_told_apart_by_path_and_build_id)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t a = module(set, "/a", "x"), b = module(set, "/a", "y"), c = module(set, "/b", "x");
        uint32_t d = module(set, "/a", "");
        ck_assert_uint_ne(a, b);
        ck_assert_uint_ne(a, c);
        ck_assert_uint_ne(a, d);
        ck_assert_uint_eq(module(set, "/a", "x"), a);
        ck_assert_uint_eq(symbol_set_find_module(set, "/a", 2, (const uint8_t *)"y", 1), b);
        ck_assert_uint_eq(symbol_set_find_module(set, "/a", 2, (const uint8_t *)"z", 1), SYMBOL_SET_NONE);
        ck_assert_uint_eq(symbol_set_n_modules(set), 4);
        symbol_set_free(set);
}
END_TEST

/* So many that they meet in the index. */
START_TEST(hundreds_of_builds_of_one_module_stay_apart)
{
        struct symbol_set *set;
        char build_id[8];
        ck_assert_int_eq(symbol_set_new(&set), 0);
        for (uint32_t i = 0; i < 2 * 300; i++) {
                snprintf(build_id, sizeof build_id, "%06u", i % 300);
                ck_assert_uint_eq(module(set, "/a", build_id), i % 300);
        }
        ck_assert_uint_eq(symbol_set_n_modules(set), 300);
        symbol_set_free(set);
}
END_TEST

START_TEST(equal_strings_have_equal_pointers)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/a", ""), n;
        char one[] = "f", two[] = "f";
        struct symbol_frame x = {text(one), text("a.c"), 1}, y = {text(two), text("b.c"), 1};
        ck_assert_int_eq(symbol_set_add(set, m, 1, &x, 1), 0);
        ck_assert_int_eq(symbol_set_add(set, m, 2, &y, 1), 0);
        ck_assert_ptr_eq(symbol_set_find(set, m, 1, &n)->function.bytes,
                         symbol_set_find(set, m, 2, &n)->function.bytes);
        symbol_set_free(set);
}
END_TEST

START_TEST(a_later_answer_replaces_the_earlier_one)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/a", ""), n;
        struct symbol_frame x = {text("f"), text("a.c"), 1};
        ck_assert_int_eq(symbol_set_add(set, m, 1, NULL, 0), 0);
        ck_assert_int_eq(symbol_set_add(set, m, 1, &x, 1), 0);
        ck_assert_str_eq(symbol_set_find(set, m, 1, &n)->function.bytes, "f");
        ck_assert_uint_eq(symbol_set_n_locations(set), 1);
        ck_assert(!symbol_set_module_at(set, m)->examined);
        ck_assert_int_eq(symbol_set_examined(set, m, false, "no such file", 12), 0);
        ck_assert_str_eq(symbol_set_module_at(set, m)->problem.bytes, "no such file");
        ck_assert_int_eq(symbol_set_examined(set, m, true, NULL, 0), 0);
        ck_assert(symbol_set_module_at(set, m)->has_lines);
        ck_assert_ptr_null(symbol_set_module_at(set, m)->problem.bytes);
        symbol_set_free(set);
}
END_TEST

START_TEST(the_innermost_frames_of_an_endless_inlining_stay)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/a", ""), n;
        struct symbol_frame *frames = calloc(SYMBOL_SET_FRAMES_MAX + 1, sizeof *frames);
        for (uint32_t i = 0; i <= SYMBOL_SET_FRAMES_MAX; i++)
                frames[i].lineno = i + 1;
        ck_assert_int_eq(symbol_set_add(set, m, 1, frames, SYMBOL_SET_FRAMES_MAX + 1), 0);
        ck_assert_uint_eq(symbol_set_find(set, m, 1, &n)->lineno, 1);
        ck_assert_uint_eq(n, SYMBOL_SET_FRAMES_MAX);
        free(frames);
        symbol_set_free(set);
}
END_TEST

START_TEST(a_merge_brings_modules_and_locations_under_new_numbers)
{
        struct symbol_set *set, *from;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        ck_assert_int_eq(symbol_set_new(&from), 0);
        module(set, "/first", "");
        uint32_t there = module(from, "/second", "id"), n;
        struct symbol_frame x = {text("f"), text("a.c"), 1};
        ck_assert_int_eq(symbol_set_add(from, there, 5, &x, 1), 0);
        ck_assert_int_eq(symbol_set_examined(from, there, true, NULL, 0), 0);
        ck_assert_int_eq(symbol_set_merge(set, from), 0);
        symbol_set_free(from);
        uint32_t here = module(set, "/second", "id");
        ck_assert_uint_eq(here, 1);
        ck_assert(symbol_set_module_at(set, here)->has_lines);
        ck_assert_str_eq(symbol_set_find(set, here, 5, &n)->filename.bytes, "a.c");
        symbol_set_free(set);
}
END_TEST

/* pointers handed out early stay good while the arrays grow */
START_TEST(frames_stay_valid_while_the_set_grows)
{
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        uint32_t m = module(set, "/a", ""), n;
        char name[32];
        struct symbol_frame x = {text("first"), text("a.c"), 1};
        ck_assert_int_eq(symbol_set_add(set, m, 0, &x, 1), 0);
        const struct symbol_frame *first = symbol_set_find(set, m, 0, &n);
        for (uint32_t i = 1; i < 20000; i++) {
                snprintf(name, sizeof name, "function %u", i);
                struct symbol_frame f = {text(name), text("a.c"), i};
                ck_assert_int_eq(symbol_set_add(set, m, i * 16, &f, 1), 0);
        }
        ck_assert_str_eq(first->function.bytes, "first");
        ck_assert_uint_eq(symbol_set_n_locations(set), 20000);
        for (uint32_t i = 1; i < 20000; i++) {
                snprintf(name, sizeof name, "function %u", i);
                ck_assert_str_eq(symbol_set_find(set, m, i * 16, &n)->function.bytes, name);
                ck_assert_uint_eq(symbol_set_location_at(set, i)->offset, i * 16);
        }
        symbol_set_free(set);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("symbol_set");
        TCase *tcase = check_case("symbol_set");
        tcase_add_test(tcase, a_location_comes_back_with_all_its_frames);
        tcase_add_test(tcase, nothing_known_is_not_the_same_as_never_looked_up);
        tcase_add_test(tcase, modules_are_told_apart_by_path_and_build_id);
        tcase_add_test(tcase, hundreds_of_builds_of_one_module_stay_apart);
        tcase_add_test(tcase, equal_strings_have_equal_pointers);
        tcase_add_test(tcase, a_later_answer_replaces_the_earlier_one);
        tcase_add_test(tcase, the_innermost_frames_of_an_endless_inlining_stay);
        tcase_add_test(tcase, a_merge_brings_modules_and_locations_under_new_numbers);
        tcase_add_test(tcase, frames_stay_valid_while_the_set_grows);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
