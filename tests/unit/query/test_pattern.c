/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/pattern.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>

static bool match(enum pattern_kind kind, const char *text, const char *name) {
        struct pattern *pattern;
        ck_assert_int_eq(pattern_new(kind, text, strlen(text), &pattern), 0);
        bool result = pattern_match(pattern, name, strlen(name));
        pattern_free(pattern);
        return result;
}

#define ck_match(text, name)    ck_assert_msg(match(PATTERN_TEXT, text, name), "%s should match %s", text, name)
#define ck_no_match(text, name) ck_assert_msg(!match(PATTERN_TEXT, text, name), "%s should not match %s", text, name)

START_TEST(a_literal_matches_itself_only)
{
        ck_match("", "");
        ck_match("abc", "abc");
        ck_no_match("abc", "abcd");
        ck_no_match("abc", "ab");
        ck_no_match("", "a");
        ck_no_match("ABC", "abc");
}
END_TEST

START_TEST(star_crosses_slashes_dots_and_newlines)
{
        ck_match("*", "");
        ck_match("*", "/usr/.hidden");
        ck_match("/usr/*.py", "/usr/lib/\n/a.py");
        ck_match("**", "a");
        ck_match("a*b*c", "aXbXbXc");
        ck_no_match("a*b*c", "aXbXbX");
        ck_no_match("*a", "ab");
}
END_TEST

START_TEST(question_mark_is_one_code_point)
{
        ck_match("?", "\xc3\xa9");
        ck_match("?", "\x80");
        ck_match("??", "\xe2\x82"); /* cut off: two escaped bytes */
        ck_no_match("?", "");
        ck_no_match("?", "ab");
}
END_TEST

START_TEST(sets_are_python_s)
{
        ck_match("[abc]", "b");
        ck_no_match("[abc]", "d");
        ck_match("[!abc]", "d");
        ck_no_match("[!abc]", "a");
        ck_match("[^a]", "^");
        ck_no_match("[^a]", "b");
        ck_match("[]]", "]");
        ck_match("[]a]", "a");
        ck_match("[!]]", "a");
        ck_no_match("[!]]", "]");
        ck_match("[[]", "[");
        ck_match("[\\]", "\\");
        ck_match("[\xc3\xa0-\xc3\xbf]", "\xc3\xa9");
}
END_TEST

START_TEST(a_set_that_nothing_closes_is_a_bracket)
{
        ck_match("[", "[");
        ck_match("[]", "[]");
        ck_match("[!]", "[!]");
        ck_match("a[bc", "a[bc");
}
END_TEST

START_TEST(ranges_include_their_ends)
{
        ck_match("[a-c]", "a");
        ck_match("[a-c]", "c");
        ck_no_match("[a-c]", "d");
        ck_no_match("[a-c]", "-");
        ck_match("[a-cx]", "x");
        ck_match("[x-za-cb-e]", "e");
        ck_match("[a-zb-c]", "y");
        ck_no_match("[x-za-cb-e]", "f");
        ck_match("[!a-c]", "d");
        ck_match("[---]", "-");
        ck_match("[+--]", ",");
}
END_TEST

START_TEST(hyphens_at_the_ends_are_characters)
{
        ck_match("[-a]", "-");
        ck_match("[a-]", "-");
        ck_match("[!-a]", "b");
        ck_no_match("[!-a]", "-");
        ck_match("[a-c-e]", "-");
        ck_match("[a-c-e]", "e");
        ck_no_match("[a-c-e]", "d");
}
END_TEST

START_TEST(empty_ranges_match_nothing)
{
        ck_no_match("[z-a]", "z");
        ck_no_match("[z-a]", "b");
        ck_match("[!z-a]", "b");
        ck_match("[z-ax]", "x");
        ck_no_match("[xz-a]", "a");
}
END_TEST

START_TEST(backslash_escapes_nothing)
{
        ck_match("\\*", "\\abc");
        ck_no_match("\\*", "*");
}
END_TEST

START_TEST(pyc_is_py_in_file_names_only)
{
        ck_assert(match(PATTERN_FILENAME, "a.pyc", "a.py"));
        ck_assert(match(PATTERN_FILENAME, "a.py", "a.pyc"));
        ck_assert(match(PATTERN_FILENAME, "*.pyc", "x.pyc"));
        ck_assert(!match(PATTERN_FILENAME, "a.pyo", "a.py"));
        ck_assert(!match(PATTERN_FILENAME, "a.py", "a.pyo"));
        ck_assert(match(PATTERN_FILENAME, ".pyc", ".py"));
        ck_assert(!match(PATTERN_TEXT, "a.pyc", "a.py"));
}
END_TEST

/* 2,000 stars that each could stop anywhere: exponential in a matcher that goes back to all of them */
START_TEST(many_stars_end)
{
        enum { N = 2000 };
        static char text[2 * N + 2], name[4 * N + 1];

        for (int i = 0; i < N; i++)
                memcpy(text + 2 * i, "*a", 2);
        memcpy(text + 2 * N, "b", 2);
        memset(name, 'a', 4 * N);
        ck_no_match(text, name);
}
END_TEST

/* Patterns come from peers, who may send 16 MiB: what takes quadratic time in them holds a thread for hours.
 * @first, @second: what the halves of the pattern repeat, as long as each other */
static void ck_ends(const char *first, const char *second, const char *last) {
        enum { LENGTH = 3 << 20, N_NAMES = 100000 };
        size_t length = strlen(first), n_matched = 0;
        char *text = malloc(LENGTH);
        struct pattern *pattern;

        ck_assert_ptr_nonnull(text);
        text[0] = '[';
        for (size_t i = 1; i < LENGTH; i++)
                text[i] = (i < LENGTH / 2 ? first : second)[i % length];
        memcpy(text + LENGTH - strlen(last), last, strlen(last));
        ck_assert_int_eq(pattern_new(PATTERN_TEXT, text, LENGTH, &pattern), 0);
        for (int i = 0; i < N_NAMES; i++)
                n_matched += pattern_match(pattern, "b", 1);
        ck_assert_uint_eq(n_matched, 0);
        pattern_free(pattern);
        free(text);
}

START_TEST(brackets_that_nothing_closes_end)
{ ck_ends("[", "[", "["); }
END_TEST

START_TEST(empty_ranges_without_number_end)
{ ck_ends("z-a", "c-d", "]"); }
END_TEST

START_TEST(a_long_set_matches_at_once)
{ ck_ends("xyz", "xyz", "]"); }
END_TEST

int main(void) {
        Suite *suite = suite_create("pattern");
        TCase *cases = check_case("pattern");
        tcase_add_test(cases, a_literal_matches_itself_only);
        tcase_add_test(cases, star_crosses_slashes_dots_and_newlines);
        tcase_add_test(cases, question_mark_is_one_code_point);
        tcase_add_test(cases, sets_are_python_s);
        tcase_add_test(cases, a_set_that_nothing_closes_is_a_bracket);
        tcase_add_test(cases, ranges_include_their_ends);
        tcase_add_test(cases, hyphens_at_the_ends_are_characters);
        tcase_add_test(cases, empty_ranges_match_nothing);
        tcase_add_test(cases, backslash_escapes_nothing);
        tcase_add_test(cases, pyc_is_py_in_file_names_only);
        tcase_add_test(cases, many_stars_end);
        tcase_add_test(cases, brackets_that_nothing_closes_end);
        tcase_add_test(cases, empty_ranges_without_number_end);
        tcase_add_test(cases, a_long_set_matches_at_once);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
