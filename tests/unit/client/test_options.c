/* SPDX-License-Identifier: Apache-2.0 */

/* client/options.c and client/option_values.c */

#include "client/option_values.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATS_SETS                                                                                                     \
        (OPTION_SET_COMMON | OPTION_SET_JSON | OPTION_SET_GROUP | OPTION_SET_FILTER | OPTION_SET_ROWS |                \
         OPTION_SET_SELECT)

static struct options options;

static int parse_argv(unsigned sets, bool stop, const char **argv) {
        int argc = 0;
        static const char *kept[32]; /* options point into it after the caller's literal is gone */
        for (; argv[argc]; argc++)
                kept[argc] = argv[argc];
        kept[argc] = NULL;
        options_init(&options);
        return options_parse(&options, "tmctl stats", sets, stop, argc, (char **)kept);
}
#define PARSE(...) parse_argv(STATS_SETS, false, (const char *[]){"stats", __VA_ARGS__, NULL})

START_TEST(options_stand_anywhere)
{
        ck_assert_int_eq(PARSE("17", "--limit", "5", "18", "--json"), 0);
        ck_assert_int_eq(options.n_arguments, 2);
        ck_assert_str_eq(options.arguments[0], "17");
        ck_assert_str_eq(options.arguments[1], "18");
        ck_assert(options.json && options.has_limit && options.limit == 5);
        options_deinit(&options);
}
END_TEST

START_TEST(a_command_line_of_another_program_is_left_alone)
{
        const char *argv[] = {"run", "--frames", "5", "ls", "--color", "nonsense", NULL};
        ck_assert_int_eq(parse_argv(OPTION_SET_COMMON | OPTION_SET_TRACE, true, argv), 0);
        ck_assert_uint_eq(options.frames, 5);
        ck_assert_int_eq(options.n_arguments, 3);
        ck_assert_str_eq(options.arguments[0], "ls");
        options_deinit(&options);
}
END_TEST

START_TEST(limit_is_20_for_people_and_none_for_json)
{
        ck_assert_int_eq(PARSE("17"), 0);
        ck_assert_int_eq(options_finish(&options), 0);
        ck_assert_uint_eq(options.limit, 20);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("17", "--json"), 0);
        ck_assert_int_eq(options_finish(&options), 0);
        ck_assert_uint_eq(options.limit, 0);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("17", "--json", "--limit", "3"), 0);
        ck_assert_int_eq(options_finish(&options), 0);
        ck_assert_uint_eq(options.limit, 3);
        options_deinit(&options);
}
END_TEST

START_TEST(filters_keep_their_order_and_kind)
{
        ck_assert_int_eq(PARSE("--include", "a", "--exclude", "b:2", "--domain", "0", "--exclude-domain", "mmap"), 0);
        ck_assert_uint_eq(options.n_filters, 4);
        ck_assert(options.filters[0].inclusive && !options.filters[0].domain_only);
        ck_assert(!options.filters[1].inclusive && options.filters[1].lineno == 2);
        ck_assert(options.filters[2].inclusive && options.filters[2].domain_only);
        ck_assert(!options.filters[3].inclusive && options.filters[3].domain_only);
        options_deinit(&options);
}
END_TEST

START_TEST(all_frames_reaches_filters_before_and_behind_it)
{
        ck_assert_int_eq(PARSE("--include", "a", "--all-frames", "--exclude", "b"), 0);
        ck_assert(options.filters[0].all_frames && options.filters[1].all_frames);
        options_deinit(&options);
}
END_TEST

START_TEST(nonsense_is_refused)
{
        static const char *const bad[][2] = {
                {"--pid", "0"},           {"--pid", "-1"},
                {"--pid", "99999999999"}, {"--pid", ""},
                {"--limit", "-1"},        {"--limit", "x"},
                {"--group-by", "line"},   {"--sort", "average"},
                {"--color", "maybe"},     {"--traceback-limit", "x"},
                {"--runtime-dir", ""},    {"--domain", ""},
                {"--frames", "1"},
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                ck_assert_msg(PARSE(bad[i][0], bad[i][1]) == OPTIONS_E_USAGE, "%s %s", bad[i][0], bad[i][1]);
                options_deinit(&options);
        }
        ck_assert_int_eq(PARSE("--limit"), OPTIONS_E_USAGE);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("--json=1"), OPTIONS_E_USAGE);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("-q"), OPTIONS_E_USAGE);
        options_deinit(&options);
}
END_TEST

START_TEST(options_that_contradict_are_refused)
{
        ck_assert_int_eq(PARSE("--system", "--user"), 0);
        ck_assert_int_eq(options_finish(&options), OPTIONS_E_USAGE);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("--cumulative", "--group-by", "traceback"), 0);
        ck_assert_int_eq(options_finish(&options), OPTIONS_E_USAGE);
        options_deinit(&options);
        ck_assert_int_eq(PARSE("--cumulative", "--group-by", "filename"), 0);
        ck_assert_int_eq(options_finish(&options), 0);
        options_deinit(&options);
}
END_TEST

START_TEST(traceback_limit_may_be_negative)
{
        ck_assert_int_eq(PARSE("--traceback-limit", "-2"), 0);
        ck_assert_int_eq(options.traceback_limit, -2);
        options_deinit(&options);
}
END_TEST

START_TEST(since_takes_ages_and_times)
{
        int64_t ns, now = (int64_t)time(NULL);
        ck_assert_int_eq(option_since("2h", &ns), 0);
        ck_assert_int_le(llabs(ns / 1000000000 - (now - 7200)), 2);
        ck_assert_int_eq(option_since("2026-11-22T10:30:00Z", &ns), 0);
        ck_assert_int_eq(ns / 1000000000, 1795343400);
        setenv("TZ", "UTC0", 1);
        tzset();
        ck_assert_int_eq(option_since("2026-11-22 10:30", &ns), 0);
        ck_assert_int_eq(ns / 1000000000, 1795343400);
        ck_assert_int_eq(option_since("2026-11-22", &ns), 0);
        ck_assert_int_eq(ns / 1000000000, 1795305600);
        ck_assert_int_eq(option_since("2026-11-22T10:30:00.670796Z", &ns), 0); /* as JSON has it */
        ck_assert_int_eq(ns, INT64_C(1795343400000000000));
        ck_assert_int_eq(option_since("2999-01-01", &ns), 0); /* not everything */
        ck_assert_int_eq(ns, INT64_MAX);
        ck_assert_int_eq(option_since("1900-01-01", &ns), 0);
        ck_assert_int_eq(ns, 1);
        ck_assert_int_eq(option_since("2026-11-22T10:30:00.", &ns), OPTIONS_E_USAGE);
        ck_assert_int_eq(option_since("2026-11-22.5", &ns), OPTIONS_E_USAGE);
        ck_assert_int_eq(option_since("yesterday", &ns), OPTIONS_E_USAGE);
        ck_assert_int_eq(option_since("2h30", &ns), OPTIONS_E_USAGE);
        ck_assert_int_eq(option_since("", &ns), OPTIONS_E_USAGE);
}
END_TEST

START_TEST(domains_are_words_of_the_agent)
{
        ck_assert_int_eq(option_domains("python"), 0);
        ck_assert_int_eq(option_domains("python,malloc,mmap,other"), 0);
        ck_assert_int_eq(option_domains("python,"), OPTIONS_E_USAGE);
        ck_assert_int_eq(option_domains("raw"), OPTIONS_E_USAGE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("options");
        TCase *tc = check_case("options");
        tcase_add_test(tc, options_stand_anywhere);
        tcase_add_test(tc, a_command_line_of_another_program_is_left_alone);
        tcase_add_test(tc, limit_is_20_for_people_and_none_for_json);
        tcase_add_test(tc, filters_keep_their_order_and_kind);
        tcase_add_test(tc, all_frames_reaches_filters_before_and_behind_it);
        tcase_add_test(tc, nonsense_is_refused);
        tcase_add_test(tc, options_that_contradict_are_refused);
        tcase_add_test(tc, traceback_limit_may_be_negative);
        tcase_add_test(tc, since_takes_ages_and_times);
        tcase_add_test(tc, domains_are_words_of_the_agent);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
