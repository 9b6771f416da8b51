/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/support/check_main.h"
#include "tests/unit/query/world.h"

#include <stdlib.h>
#include <string.h>

/* Three traces of domains 0, 0, 7; sizes are powers of two, so that the total tells which were kept. */
#define TRACES "snapshot 1\ntrace 0 1 1 1 s,a.py,1\ntrace 0 2 2 1 s,a.py,1 s,b.py,2\ntrace 7 1 4 1 s,c.py,3\n"

/* Which traces do these filters keep? */
static long kept(const char *filters) {
        char question[1024];
        snprintf(question, sizeof question, TRACES "domain 7 seven\n%sstats 1\n", filters);
        char *answer = world_ask(question);
        ck_assert_int_eq(strncmp(answer, "header ", 7), 0);
        long total = strtol(answer + 7, NULL, 10);
        free(answer);
        return total;
}

START_TEST(without_filters_all_pass)
{ ck_assert_int_eq(kept(""), 7); }
END_TEST

START_TEST(the_most_recent_frame_decides)
{
        ck_assert_int_eq(kept("filter include - recent - a.py\n"), 1);
        ck_assert_int_eq(kept("filter exclude - recent - a.py\n"), 2 + 4);
}
END_TEST

START_TEST(any_frame_decides_with_all_frames)
{
        ck_assert_int_eq(kept("filter include - all - a.py\n"), 1 + 2);
        ck_assert_int_eq(kept("filter exclude - all - a.py\n"), 4);
}
END_TEST

START_TEST(a_line_belongs_to_its_file)
{
        ck_assert_int_eq(kept("filter include 1 all - a.py\n"), 1 + 2);
        ck_assert_int_eq(kept("filter include 2 all - a.py\n"), 0);
        ck_assert_int_eq(kept("filter include 0 recent - *\n"), 0);
        ck_assert_int_eq(kept("filter exclude 3 recent - *\n"), 1 + 2);
}
END_TEST

START_TEST(one_inclusive_filter_is_enough_and_each_exclusive_one_counts)
{
        ck_assert_int_eq(kept("filter include - recent - a.py\nfilter include - recent - c.py\n"), 1 + 4);
        ck_assert_int_eq(kept("filter exclude - recent - a.py\nfilter exclude - recent - c.py\n"), 2);
        ck_assert_int_eq(kept("filter include - all - a.py\nfilter exclude - recent - b.py\n"), 1);
}
END_TEST

START_TEST(a_domain_narrows_a_filter)
{
        ck_assert_int_eq(kept("filter include - recent 7 *.py\n"), 4);
        ck_assert_int_eq(kept("filter include - recent 7 a.py\n"), 0);
        ck_assert_int_eq(kept("filter exclude - recent 7 *.py\n"), 1 + 2);
        ck_assert_int_eq(kept("filter exclude - recent 7 a.py\n"), 1 + 2 + 4);
}
END_TEST

START_TEST(a_domain_filter_is_one_of_the_filters)
{
        ck_assert_int_eq(kept("domain-filter include 7\n"), 4);
        ck_assert_int_eq(kept("domain-filter exclude 7\n"), 1 + 2);
        ck_assert_int_eq(kept("domain-filter include 7\nfilter include - recent - a.py\n"), 1 + 4);
}
END_TEST

START_TEST(domains_have_names)
{
        ck_assert_int_eq(kept("domain-filter include python\n"), 1 + 2);
        ck_assert_int_eq(kept("domain-filter include seven\n"), 4);
        ck_assert_int_eq(kept("domain-filter exclude malloc\n"), 1 + 2 + 4);
        ck_assert_int_eq(kept("domain-filter exclude mmap\ndomain-filter exclude 4294967295\n"), 1 + 2 + 4);
}
END_TEST

static const char *const no_domains[] = {"eight", "4294967296", "-1", "0x7", "7x", "Python", "18446744073709551616"};

START_TEST(other_domains_are_a_usage_error)
{
        char question[512], expected[512];
        snprintf(question, sizeof question, "snapshot 1\ndomain-filter include %s\nstats 1\n", no_domains[_i]);
        snprintf(
                expected, sizeof expected,
                "error 1 unknown domain '%s': expected python, malloc, mmap, a name that the program gave, or a number "
                "below 2**32\nend\n",
                no_domains[_i]);
        char *answer = world_ask(question);
        ck_assert_str_eq(answer, expected);
        free(answer);
}
END_TEST

START_TEST(pyc_in_a_pattern_is_py)
{ ck_assert_int_eq(kept("filter include - recent - a.pyc\n"), 1); }
END_TEST

START_TEST(compare_filters_both_sides)
{
        char *answer = world_ask("snapshot 1\ntrace 0 1 1 1 s,a,1\ntrace 0 1 2 1 s,b,1\n"
                                 "snapshot 2\ntrace 0 1 4 1 s,a,1\nfilter exclude - recent - b\ncompare 1 2\n");
        ck_assert_str_eq(answer, "header 4 1 1 exact +3 +0\nrow 4 +3 1 +0 a,1,-,-\nend\n");
        free(answer);
}
END_TEST

/* ---- skip ---- */

static void check_skipped(const char *skips, const char *expected) {
        char question[1024];
        snprintf(question, sizeof question,
                 "snapshot 1\ntrace 0 3 1 1 s,main.c,1,main s,use.c,2,use s,wrap.c,3,zmalloc\nview traceback 0 0 0\n"
                 "%sstats 1\n",
                 skips);
        char *answer = world_ask(question);
        ck_assert_str_eq(answer, expected);
        free(answer);
}

START_TEST(skip_drops_recent_frames_by_file_and_function)
{
        static const char expected[] = "header 1 1 1 exact\nrow 1 1 main.c,1,main,- use.c,2,use,-\nend\n";
        check_skipped("skip wrap.c\n", expected);
        check_skipped("skip-function z*\n", expected);
        check_skipped("skip wrap.c\nskip-function use\n", "header 1 1 1 exact\nrow 1 1 main.c,1,main,-\nend\n");
}
END_TEST

START_TEST(skip_stops_at_the_first_frame_that_stays)
{
        check_skipped("skip use.c\n",
                      "header 1 1 1 exact\nrow 1 1 main.c,1,main,- use.c,2,use,- wrap.c,3,zmalloc,-\nend\n");
}
END_TEST

START_TEST(skip_leaves_the_oldest_frame)
{ check_skipped("skip *\n", "header 1 1 1 exact\nrow 1 1 main.c,1,main,-\nend\n"); }
END_TEST

START_TEST(filters_see_what_skip_left)
{
        check_skipped("skip wrap.c\nfilter include - recent - use.c\n",
                      "header 1 1 1 exact\nrow 1 1 main.c,1,main,- use.c,2,use,-\nend\n");
        check_skipped("skip wrap.c\nfilter include - all - wrap.c\n", "header 0 0 0 exact\nend\n");
}
END_TEST

START_TEST(an_unknown_function_matches_no_pattern)
{
        char *answer =
                world_ask("snapshot 1\ntrace 0 2 1 1 s,a,1 s,b,1\nview lineno 0 0 0\nskip-function *\nstats 1\n");
        ck_assert_str_eq(answer, "header 1 1 1 exact\nrow 1 1 b,1,-,-\nend\n");
        free(answer);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("filter");
        TCase *cases = check_case("filter");
        tcase_add_test(cases, without_filters_all_pass);
        tcase_add_test(cases, the_most_recent_frame_decides);
        tcase_add_test(cases, any_frame_decides_with_all_frames);
        tcase_add_test(cases, a_line_belongs_to_its_file);
        tcase_add_test(cases, one_inclusive_filter_is_enough_and_each_exclusive_one_counts);
        tcase_add_test(cases, a_domain_narrows_a_filter);
        tcase_add_test(cases, a_domain_filter_is_one_of_the_filters);
        tcase_add_test(cases, domains_have_names);
        tcase_add_loop_test(cases, other_domains_are_a_usage_error, 0, sizeof no_domains / sizeof no_domains[0]);
        tcase_add_test(cases, pyc_in_a_pattern_is_py);
        tcase_add_test(cases, compare_filters_both_sides);
        tcase_add_test(cases, skip_drops_recent_frames_by_file_and_function);
        tcase_add_test(cases, skip_stops_at_the_first_frame_that_stays);
        tcase_add_test(cases, skip_leaves_the_oldest_frame);
        tcase_add_test(cases, filters_see_what_skip_left);
        tcase_add_test(cases, an_unknown_function_matches_no_pattern);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
