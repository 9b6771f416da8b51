/* SPDX-License-Identifier: Apache-2.0 */

/* Cases of the specification and hand-made ones, as text (world.h): what is asked, what must come. */

#include "tests/support/check_main.h"
#include "tests/unit/query/world.h"

#include <stdlib.h>
#include <string.h>

#define ck_answer(question, expected)                                                                                  \
        do {                                                                                                           \
                char *answer = world_ask(question);                                                                    \
                ck_assert_str_eq(answer, expected);                                                                    \
                free(answer);                                                                                          \
        } while (0)

#define RECURSION "snapshot 1\ntrace 0 4 10 1 s,m,1 s,f,9 s,f,3 s,f,3\n"

START_TEST(cumulative_counts_repeated_frames_each_time)
{
        ck_answer(RECURSION "view lineno 1 0 0\nstats 1\n", "header 10 1 3 exact\n"
                                                            "row 20 2 f,3,-,-\n"
                                                            "row 10 1 m,1,-,-\n"
                                                            "row 10 1 f,9,-,-\n"
                                                            "end\n");
        ck_answer(RECURSION "view filename 1 0 0\nstats 1\n", "header 10 1 2 exact\n"
                                                              "row 30 3 f,0,-,-\n"
                                                              "row 10 1 m,0,-,-\n"
                                                              "end\n");
}
END_TEST

START_TEST(cumulative_with_traceback_has_python_s_message)
{
        ck_answer(RECURSION "view traceback 1 0 0\nstats 1\n",
                  "error 1 cumulative mode cannot by used with key type 'traceback'\nend\n");
        ck_answer(RECURSION "snapshot 2\nview traceback 1 0 0\ncompare 1 2\n",
                  "error 1 cumulative mode cannot by used with key type 'traceback'\nend\n");
}
END_TEST

START_TEST(ties_go_to_the_larger_traceback)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,a,1\ntrace 0 1 5 1 s,c,1\ntrace 0 1 5 1 s,b,1\nstats 1\n",
                  "header 15 3 3 exact\nrow 5 1 c,1,-,-\nrow 5 1 b,1,-,-\nrow 5 1 a,1,-,-\nend\n");
}
END_TEST

START_TEST(larger_size_then_count_come_first)
{
        ck_answer("snapshot 1\ntrace 0 1 6 1 s,a,1\ntrace 0 1 3 2 s,b,1\ntrace 0 1 7 1 s,c,1\nstats 1\n",
                  "header 19 4 3 exact\nrow 7 1 c,1,-,-\nrow 6 2 b,1,-,-\nrow 6 1 a,1,-,-\nend\n");
}
END_TEST

START_TEST(by_count_most_blocks_come_first_then_size)
{
        ck_answer("snapshot 1\ntrace 0 1 9 1 s,a,1\ntrace 0 1 1 3 s,b,1\ntrace 0 1 2 3 s,c,1\nview lineno 0 2 "
                  "0\nby-count\nstats 1\n",
                  "header 18 7 3 exact\nrow 6 3 c,1,-,-\nrow 3 3 b,1,-,-\nend\n");
}
END_TEST

START_TEST(by_count_the_largest_change_of_count_comes_first_either_way)
{
        ck_answer("snapshot 1\ntrace 0 1 1 9 s,a,1\ntrace 0 1 1 5 s,b,1\n"
                  "snapshot 2\ntrace 0 1 1 9 s,a,1\ntrace 0 1 1 2 s,b,1\ntrace 0 1 90 1 s,c,1\n"
                  "view lineno 0 0 0\nby-count\ncompare 1 2\n",
                  "header 101 12 3 exact +87 -2\n"
                  "row 2 -3 2 -3 b,1,-,-\n"
                  "row 90 +90 1 +1 c,1,-,-\n"
                  "row 9 +0 9 +0 a,1,-,-\n"
                  "end\n");
}
END_TEST

START_TEST(tracebacks_compare_from_the_oldest_frame_and_longer_ones_are_larger)
{
        ck_answer("snapshot 1\n"
                  "trace 0 1 1 1 s,a,1\n"
                  "trace 0 2 1 1 s,a,1 s,a,1\n"
                  "trace 0 2 1 1 s,a,1 s,b,1\n"
                  "trace 0 2 1 1 s,a,2 s,a,1\n"
                  "view traceback 0 0 0\nstats 1\n",
                  "header 4 4 4 exact\n"
                  "row 1 1 a,2,-,- a,1,-,-\n"
                  "row 1 1 a,1,-,- b,1,-,-\n"
                  "row 1 1 a,1,-,- a,1,-,-\n"
                  "row 1 1 a,1,-,-\n"
                  "end\n");
}
END_TEST

START_TEST(groups_cross_domains_and_total_nframe)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 s,a,1\ntrace 7 1 2 1 s,a,1\ntrace 0 9 4 1 s,a,1\n"
                  "view traceback 0 0 0\nstats 1\n",
                  "header 7 3 1 exact\nrow 7 3 a,1,-,-\nend\n");
}
END_TEST

START_TEST(compare_keeps_unchanged_new_and_gone_rows)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,gone,1\ntrace 0 1 3 1 s,same,1\ntrace 0 1 10 1 s,less,1\n"
                  "snapshot 2\ntrace 0 1 4 2 s,new,1\ntrace 0 1 3 1 s,same,1\ntrace 0 1 9 1 s,less,1\n"
                  "compare 1 2\n",
                  "header 20 4 4 exact +2 +1\n"
                  "row 8 +8 2 +2 new,1,-,-\n"
                  "row 0 -5 0 -1 gone,1,-,-\n"
                  "row 9 -1 1 +0 less,1,-,-\n"
                  "row 3 +0 1 +0 same,1,-,-\n"
                  "end\n");
}
END_TEST

START_TEST(compare_counts_the_frames_of_both_sides_cumulatively)
{
        ck_answer("snapshot 1\ntrace 0 2 10 1 s,m,1 s,f,1\nsnapshot 2\ntrace 0 2 4 1 s,m,1 s,f,2\n"
                  "view lineno 1 0 0\ncompare 1 2\n",
                  "header 4 1 3 exact -6 +0\n"
                  "row 0 -10 0 -1 f,1,-,-\n"
                  "row 4 -6 1 +0 m,1,-,-\n"
                  "row 4 +4 1 +1 f,2,-,-\n"
                  "end\n");
}
END_TEST

START_TEST(a_sum_is_all_traces_of_its_members)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,a,1\nsnapshot 2\ntrace 0 1 5 2 s,a,1\ntrace 0 1 1 1 s,b,1\nstats 1 2\n",
                  "header 16 4 2 exact\nrow 15 3 a,1,-,-\nrow 1 1 b,1,-,-\nend\n");
}
END_TEST

START_TEST(the_empty_snapshot_has_no_rows)
{
        ck_answer("snapshot 1\nstats 1\n", "header 0 0 0 exact\nend\n");
        ck_answer("snapshot 1\nsnapshot 2\ncompare 1 2\n", "header 0 0 0 exact +0 +0\nend\n");
}
END_TEST

START_TEST(an_empty_traceback_is_python_s_unknown_frame)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1\ntrace 0 1 5 1 s,%3Cunknown%3E,0\ntrace 0 1 1 1 n\n"
                  "view traceback 0 0 0\nstats 1\n",
                  "header 11 3 1 exact\nrow 11 3 <unknown>,0,-,-\nend\n");
}
END_TEST

START_TEST(sums_that_do_not_fit_stay_at_the_largest)
{
        ck_answer("snapshot 1\nsum 0 1 18446744073709551615 1 s,a,1\nsum 7 1 18446744073709551615 1 s,a,1\n"
                  "snapshot 2\nview lineno 0 0 0\ncompare 1 2\ncompare 2 1\n",
                  "header 0 0 1 exact -9223372036854775807 -2\n"
                  "row 0 -9223372036854775807 0 -2 a,1,-,-\nend\n"
                  "header 18446744073709551615 2 1 exact +9223372036854775807 +2\n"
                  "row 18446744073709551615 +9223372036854775807 2 +2 a,1,-,-\nend\n");
}
END_TEST

/* ---- frames that Python does not know ---- */

#define LIBRARY "symbol lib.so 0x10 s,,0,f\nsymbol lib.so 0x14 s,,0,f\nsymbol lib.so 0x20 s,,0,g\nlines lib.so no\n"

START_TEST(functions_that_differ_are_null_and_do_not_split)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 s,a,1,f\ntrace 0 1 1 1 s,a,1,g\ntrace 0 1 1 1 s,b,1,f\nstats 1\n",
                  "header 3 3 2 exact\nrow 2 2 a,1,-,-\nrow 1 1 b,1,f,-\nend\n");
        ck_answer("snapshot 1\ntrace 0 2 1 1 s,m,1,m s,a,1,f\ntrace 0 2 1 1 s,m,1,m s,a,1,g\n"
                  "view traceback 0 0 0\nstats 1\n",
                  "header 2 2 1 exact\nrow 2 2 m,1,m,- a,1,-,-\nend\n");
}
END_TEST

START_TEST(only_blocks_of_the_row_decide_what_is_null)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 s,a,1,f\ntrace 7 1 1 1 s,a,1,g\ndomain-filter include 7\nstats 1\n",
                  "header 1 1 1 exact\nrow 1 1 a,1,g,-\nend\n");
}
END_TEST

START_TEST(compare_merges_the_functions_of_both_sides)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 s,a,1,f\ntrace 0 1 1 1 s,b,1,f\n"
                  "snapshot 2\ntrace 0 1 1 1 s,a,1,g\ntrace 0 1 1 1 s,b,1,f\ncompare 1 2\n",
                  "header 2 2 2 exact +0 +0\nrow 1 +0 1 +0 b,1,f,-\nrow 1 +0 1 +0 a,1,-,-\nend\n");
}
END_TEST

START_TEST(without_a_line_the_function_tells_frames_apart)
{
        ck_answer(LIBRARY "snapshot 1\ntrace 0 1 1 1 n,lib.so,0x10\ntrace 0 1 1 1 n,lib.so,0x14\n"
                          "trace 0 1 2 1 n,lib.so,0x20\nstats 1\n",
                  "header 4 3 2 exact\nwithout-lines lib.so\n"
                  "row 2 2 lib.so,0,f,lib.so\nrow 2 1 lib.so,0,g,lib.so\nend\n");
}
END_TEST

/* As an export of the one has them. */
START_TEST(without_a_line_they_are_the_frames_of_a_file)
{
        ck_answer("symbol a.so 0x10 s,,0,f\nsnapshot 1\ntrace 0 1 5 2 n,a.so,0x10\ntrace 0 1 3 1 n,a.so,0x20\n"
                  "snapshot 2\nimport\ntrace 0 1 5 2 s,a.so%20(f),0\ntrace 0 1 3 1 s,a.so+0x20,0\n"
                  "view lineno 0 0 0\ncompare 2 1\ncompare 1 2\n",
                  "header 13 3 2 exact +0 +0\nrow 10 +0 2 +0 a.so%20(f),0,-,-\nrow 3 +0 1 +0 a.so+0x20,0,-,-\nend\n"
                  "header 13 3 2 exact +0 +0\nrow 10 +0 2 +0 a.so%20(f),0,-,-\nrow 3 +0 1 +0 a.so+0x20,0,-,-\nend\n");
}
END_TEST

START_TEST(without_a_line_ties_go_by_function)
{
        ck_answer(LIBRARY "snapshot 1\ntrace 0 1 1 1 n,lib.so,0x20\ntrace 0 1 1 1 n,lib.so,0x10\nstats 1\n",
                  "header 2 2 2 exact\nwithout-lines lib.so\n"
                  "row 1 1 lib.so,0,g,lib.so\nrow 1 1 lib.so,0,f,lib.so\nend\n");
}
END_TEST

#define NAMES                                                                                                          \
        "symbol a.so 0x1 s,,0,f\nsymbol a.so 0x2 s,,0,f(int)\nsymbol a.so 0x3 s,,0,fg\n"                               \
        "snapshot 1\ntrace 0 1 1 1 n,a.so,0x1\ntrace 0 1 1 1 n,a.so,0x2\ntrace 0 1 1 1 n,a.so,0x3\n"                   \
        "trace 0 1 1 1 n,a.so,0x9\ntrace 0 1 1 1 n,a.so,0x10\ntrace 0 1 1 1 n,a.so-x,0x1\n"

/* As an export of them would: "a.so-x+0x1", "a.so+0x9", "a.so+0x10", "a.so (fg)", "a.so (f)", "a.so (f(int))" */
START_TEST(without_a_line_ties_go_by_the_name_in_an_export)
{
        static const char rows[] = "row 1 1 a.so-x,0,-,a.so-x,+0x1\nrow 1 1 a.so,0,-,a.so,+0x9\n"
                                   "row 1 1 a.so,0,-,a.so,+0x10\nrow 1 1 a.so,0,fg,a.so\nrow 1 1 a.so,0,f,a.so\n"
                                   "row 1 1 a.so,0,f(int),a.so\nend\n";
        char *by_line = world_ask(NAMES "stats 1\n"),
             *by_traceback = world_ask(NAMES "view traceback 0 0 0\nstats 1\n");
        ck_assert_ptr_nonnull(strstr(by_line, rows));
        ck_assert_ptr_nonnull(strstr(by_traceback, rows));
        free(by_line);
        free(by_traceback);
}
END_TEST

/* The module "a (b" with function "c" is called as "a" with "b (c": the path decides. */
START_TEST(equal_names_of_frames_that_differ_have_an_order)
{
        char *answer = world_ask("symbol a%20(b 0x1 s,,0,c\nsymbol a 0x1 s,,0,b%20(c\nsnapshot 1\n"
                                 "trace 0 1 1 1 n,a,0x1\ntrace 0 1 1 1 n,a%20(b,0x1\nstats 1\n");
        ck_assert_ptr_nonnull(strstr(answer, "row 1 1 a%20(b,0,c,a%20(b\nrow 1 1 a,0,b%20(c,a\nend\n"));
        free(answer);
}
END_TEST

START_TEST(without_symbols_the_offset_tells_frames_apart)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 n,lib.so,0x10\ntrace 7 1 1 1 n,lib.so,0x10\n"
                  "trace 0 1 2 1 n,lib.so,0x20\nstats 1\n",
                  "header 4 3 2 exact\nwithout-lines lib.so\n"
                  "row 2 2 lib.so,0,-,lib.so,+0x10\nrow 2 1 lib.so,0,-,lib.so,+0x20\nend\n");
}
END_TEST

START_TEST(by_file_name_functions_and_offsets_are_ignored)
{
        ck_answer(LIBRARY "snapshot 1\ntrace 0 1 1 1 n,lib.so,0x10\ntrace 0 1 1 1 n,lib.so,0x20\n"
                          "trace 0 1 1 1 n,lib.so,0x99\nview filename 0 0 0\nstats 1\n",
                  "header 3 3 1 exact\nwithout-lines lib.so\nrow 3 3 lib.so,0,-,lib.so\nend\n");
}
END_TEST

START_TEST(by_function_lines_are_ignored)
{
        ck_answer("snapshot 1\ntrace 0 1 1 1 s,a,1,f\ntrace 0 1 1 1 s,a,2,f\ntrace 0 1 1 1 s,a,2,g\n"
                  "trace 0 1 1 1 s,b,1,f\nview function 0 0 0\nstats 1\nview function 1 0 0\nstats 1\n",
                  "header 4 4 3 exact\nrow 2 2 a,0,f,-\nrow 1 1 b,0,f,-\nrow 1 1 a,0,g,-\nend\n"
                  "header 4 4 3 exact\nrow 2 2 a,0,f,-\nrow 1 1 b,0,f,-\nrow 1 1 a,0,g,-\nend\n");
}
END_TEST

START_TEST(inlined_calls_are_frames_of_their_own)
{
        ck_answer("symbol lib.so 0x10 s,in.c,3,inner s,out.c,7,outer\nsnapshot 1\n"
                  "trace 0 2 1 1 s,m,1 n,lib.so,0x10\nview traceback 0 0 0\nstats 1\ntraces 1\n",
                  "header 1 1 1 exact\nrow 1 1 m,1,-,- out.c,7,outer,lib.so in.c,3,inner,lib.so\nend\n"
                  "trace 0 python 2 1 1 1 m,1,-,- out.c,7,outer,lib.so in.c,3,inner,lib.so\nend\n");
}
END_TEST

START_TEST(a_native_line_equals_python_s)
{
        ck_answer(
                "symbol lib.so 0x10 s,a,1,f\nsnapshot 1\ntrace 0 1 1 1 n,lib.so,0x10\ntrace 0 1 1 1 s,a,1,f\nstats 1\n",
                "header 2 2 1 exact\nrow 2 2 a,1,f,-\nend\n");
}
END_TEST

START_TEST(a_file_without_a_line_is_kept)
{
        ck_answer("symbol lib.so 0x10 s,a.c,0,f\nsnapshot 1\ntrace 0 1 1 1 n,lib.so,0x10\nlines lib.so yes\nstats 1\n",
                  "header 1 1 1 exact\nrow 1 1 a.c,0,f,lib.so\nend\n");
}
END_TEST

START_TEST(modules_without_lines_are_named_largest_first)
{
        ck_answer(
                "lines has.so yes\nlines not.so no\nsymbol some.so 0x20 s,a.c,1,f\nsnapshot 1\n"
                "trace 0 1 1 1 n,small.so,0x10\ntrace 0 1 9 1 n,not.so,0x10\ntrace 0 1 5 1 n,has.so,0x10\n"
                "trace 0 1 5 1 n,some.so,0x10\ntrace 0 1 5 1 n,some.so,0x20\ntrace 0 2 5 1 n,below.so,0x10 s,a,1\n"
                "view filename 0 1 0\nstats 1\n",
                "header 30 6 6 exact\nwithout-lines not.so\nwithout-lines small.so\nrow 9 1 not.so,0,-,not.so\nend\n");
}
END_TEST

START_TEST(domains_that_may_hold_memory_of_malloc_are_named)
{
        ck_answer("snapshot 1\ndomain 389047 numpy\ntrace 0 - 4 1 s,z,1\ntrace 389047 - 3 1 s,a,1\n"
                  "trace 389047 - 3 1 s,b,1\ntrace 7 - 2 1 s,a,1\ntrace 4294967294 - 5 1 s,z,2\ntrace 8 - 0 1 s,a,1\n"
                  "view filename 0 1 0\nstats 1\ndomain-filter exclude 389047\nstats 1\n",
                  "header 17 6 3 exact\nbeside-malloc 389047 numpy\nbeside-malloc 7 \nrow 9 2 z,0,-,-\nend\n"
                  "header 11 4 2 exact\nbeside-malloc 7 \nrow 9 2 z,0,-,-\nend\n");
        /* no more than three; none where malloc has nothing */
        ck_answer("snapshot 1\ntrace 4294967294 - 5 1 s,z,2\ntrace 4 - 1 1 s,a,1\ntrace 5 - 1 1 s,a,1\n"
                  "trace 6 - 1 1 s,a,1\ntrace 7 - 1 1 s,a,1\nview filename 0 1 0\nstats 1\n",
                  "header 9 5 2 exact\nbeside-malloc 4 \nbeside-malloc 5 \nbeside-malloc 6 \nrow 5 1 z,0,-,-\nend\n");
        ck_answer("snapshot 1\ntrace 4294967293 - 5 1 s,z,2\ntrace 4 - 1 1 s,a,1\nview filename 0 1 0\nstats 1\n",
                  "header 6 2 2 exact\nrow 5 1 z,0,-,-\nend\n");
}
END_TEST

/* ---- views ---- */

START_TEST(limit_comes_after_the_totals)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,a,1\ntrace 0 1 6 1 s,b,1\nview lineno 0 1 0\nstats 1\n",
                  "header 11 2 2 exact\nrow 6 1 b,1,-,-\nend\n");
}
END_TEST

START_TEST(allocated_looks_at_everything_since_the_start)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,a,1\nallocated 0 1 100 9 s,a,1\nallocated 0 1 50 2 s,gone,1\n"
                  "view lineno 0 0 1\nstats 1\nview lineno 0 0 0\nstats 1\n",
                  "header 150 11 2 exact\nrow 100 9 a,1,-,-\nrow 50 2 gone,1,-,-\nend\n"
                  "header 5 1 1 exact\nrow 5 1 a,1,-,-\nend\n");
}
END_TEST

START_TEST(allocated_of_a_peak_is_refused)
{
        ck_answer("snapshot 7\nsum 0 1 5 1 s,a,1\nview lineno 0 0 1\nstats 7\n",
                  "error 2 snapshot 7 does not know what was allocated since the start: only live tables, requested "
                  "and exit snapshots do\nend\n");
}
END_TEST

START_TEST(allocated_of_a_file_is_refused)
{
        ck_answer("snapshot 0\nsum 0 1 5 1 s,a,1\nview lineno 0 0 1\nstats 0\n",
                  "error 2 the file does not know what was allocated since the start: only live tables, requested "
                  "and exit snapshots do\nend\n");
}
END_TEST

START_TEST(a_peak_is_grouped_by_its_sums)
{
        ck_answer("snapshot 1\nsum 0 1 50 3 s,a,1\nsum 7 1 5 1 s,a,1\nstats 1\ntraces 1\n",
                  "header 55 4 1 exact\nrow 55 4 a,1,-,-\nend\n"
                  "trace 0 python 1 - 3 50 a,1,-,-\ntrace 7 - 1 - 1 5 a,1,-,-\nend\n");
}
END_TEST

START_TEST(one_inexact_member_makes_the_answer_inexact)
{
        ck_answer("snapshot 1\ninexact\nsnapshot 2\nstats 1\nstats 2 1\ncompare 1 2\ncompare 2 2\n",
                  "header 0 0 0 inexact\nend\nheader 0 0 0 inexact\nend\nheader 0 0 0 inexact +0 +0\nend\n"
                  "header 0 0 0 exact +0 +0\nend\n");
}
END_TEST

START_TEST(unknown_groupings_are_refused)
{
        ck_answer("snapshot 1\nview colour 0 0 0\nstats 1\n",
                  "error 1 unknown key type: this daemon groups by filename, lineno, traceback and function\nend\n");
}
END_TEST

START_TEST(traces_are_ordered_by_domain_traceback_and_size)
{
        ck_answer("snapshot 1\n"
                  "trace 4294967294 1 2 3 s,b,1\ntrace 4294967294 1 1 1 s,b,1\ntrace 4294967294 1 9 1 s,a,1\n"
                  "trace 0 - 4 1 s,z,1\ntrace 389047 3 0 2 s,a,1\ndomain 389047 numpy\n"
                  "traces 1\nview lineno 0 2 0\ntraces 1\n",
                  "trace 0 python - 4 1 4 z,1,-,-\n"
                  "trace 389047 numpy 3 0 2 0 a,1,-,-\n"
                  "trace 4294967294 malloc 1 9 1 9 a,1,-,-\n"
                  "trace 4294967294 malloc 1 1 1 1 b,1,-,-\n"
                  "trace 4294967294 malloc 1 2 3 6 b,1,-,-\n"
                  "end\n"
                  "trace 0 python - 4 1 4 z,1,-,-\n"
                  "trace 389047 numpy 3 0 2 0 a,1,-,-\n"
                  "end\n");
}
END_TEST

START_TEST(equal_traces_of_a_sum_are_one_row)
{
        ck_answer("snapshot 1\ntrace 0 1 5 1 s,a,1\nsnapshot 2\ntrace 0 1 5 2 s,a,1\ntrace 0 2 5 1 s,a,1\ntraces 1 2\n",
                  "trace 0 python 1 5 3 15 a,1,-,-\ntrace 0 python 2 5 1 5 a,1,-,-\nend\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("statistics");
        TCase *cases = check_case("statistics");
        tcase_add_test(cases, cumulative_counts_repeated_frames_each_time);
        tcase_add_test(cases, cumulative_with_traceback_has_python_s_message);
        tcase_add_test(cases, ties_go_to_the_larger_traceback);
        tcase_add_test(cases, larger_size_then_count_come_first);
        tcase_add_test(cases, by_count_most_blocks_come_first_then_size);
        tcase_add_test(cases, by_count_the_largest_change_of_count_comes_first_either_way);
        tcase_add_test(cases, tracebacks_compare_from_the_oldest_frame_and_longer_ones_are_larger);
        tcase_add_test(cases, groups_cross_domains_and_total_nframe);
        tcase_add_test(cases, compare_keeps_unchanged_new_and_gone_rows);
        tcase_add_test(cases, compare_counts_the_frames_of_both_sides_cumulatively);
        tcase_add_test(cases, a_sum_is_all_traces_of_its_members);
        tcase_add_test(cases, the_empty_snapshot_has_no_rows);
        tcase_add_test(cases, an_empty_traceback_is_python_s_unknown_frame);
        tcase_add_test(cases, sums_that_do_not_fit_stay_at_the_largest);
        tcase_add_test(cases, functions_that_differ_are_null_and_do_not_split);
        tcase_add_test(cases, only_blocks_of_the_row_decide_what_is_null);
        tcase_add_test(cases, compare_merges_the_functions_of_both_sides);
        tcase_add_test(cases, without_a_line_the_function_tells_frames_apart);
        tcase_add_test(cases, without_a_line_they_are_the_frames_of_a_file);
        tcase_add_test(cases, without_a_line_ties_go_by_function);
        tcase_add_test(cases, without_a_line_ties_go_by_the_name_in_an_export);
        tcase_add_test(cases, equal_names_of_frames_that_differ_have_an_order);
        tcase_add_test(cases, without_symbols_the_offset_tells_frames_apart);
        tcase_add_test(cases, by_file_name_functions_and_offsets_are_ignored);
        tcase_add_test(cases, by_function_lines_are_ignored);
        tcase_add_test(cases, inlined_calls_are_frames_of_their_own);
        tcase_add_test(cases, a_native_line_equals_python_s);
        tcase_add_test(cases, a_file_without_a_line_is_kept);
        tcase_add_test(cases, modules_without_lines_are_named_largest_first);
        tcase_add_test(cases, domains_that_may_hold_memory_of_malloc_are_named);
        tcase_add_test(cases, limit_comes_after_the_totals);
        tcase_add_test(cases, allocated_looks_at_everything_since_the_start);
        tcase_add_test(cases, allocated_of_a_peak_is_refused);
        tcase_add_test(cases, allocated_of_a_file_is_refused);
        tcase_add_test(cases, a_peak_is_grouped_by_its_sums);
        tcase_add_test(cases, one_inexact_member_makes_the_answer_inexact);
        tcase_add_test(cases, unknown_groupings_are_refused);
        tcase_add_test(cases, traces_are_ordered_by_domain_traceback_and_size);
        tcase_add_test(cases, equal_traces_of_a_sum_are_one_row);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
