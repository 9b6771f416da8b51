/* SPDX-License-Identifier: Apache-2.0 */

#include "client/filter.h"
#include "tests/support/check_main.h"

#include <stdlib.h>

static void expect(const char *text, const char *pattern, int64_t lineno, bool all_frames, const char *domain) {
        struct filter filter;
        ck_assert_int_eq(filter_parse(&filter, text, true), 0);
        ck_assert_str_eq(filter.pattern, pattern);
        ck_assert_int_eq(filter.has_lineno, lineno >= 0);
        if (lineno >= 0)
                ck_assert_uint_eq(filter.lineno, (uint64_t)lineno);
        ck_assert_int_eq(filter.all_frames, all_frames);
        if (domain)
                ck_assert_str_eq(filter.domain, domain);
        else
                ck_assert_ptr_null(filter.domain);
        ck_assert(filter.inclusive && !filter.domain_only);
        filter_deinit(&filter);
}

START_TEST(pattern_alone)
{
        expect("a.py", "a.py", -1, false, NULL);
        expect("", "", -1, false, NULL);
        expect("*/a,b.py", "*/a,b.py", -1, false, NULL);
}
END_TEST

START_TEST(line_behind_the_last_colon)
{
        expect("a.py:3", "a.py", 3, false, NULL);
        expect("a.py:0", "a.py", 0, false, NULL);
        expect("a:1:2", "a:1", 2, false, NULL);
        expect("a.py:3x", "a.py:3x", -1, false, NULL);
        expect("a.py:-3", "a.py:-3", -1, false, NULL);
}
END_TEST

START_TEST(suffixes_in_any_order)
{
        expect("a.py:3,all-frames,domain=python", "a.py", 3, true, "python");
        expect("a.py,domain=0,all-frames", "a.py", -1, true, "0");
        expect(",domain=0", "", -1, false, "0");
        expect("a.py,all-framesx", "a.py,all-framesx", -1, false, NULL);
}
END_TEST

START_TEST(final_colon_ends_a_literal_pattern)
{
        expect("a.py:3:", "a.py:3", -1, false, NULL);
        expect("a.py,all-frames:", "a.py,all-frames", -1, false, NULL);
        expect("a.py,domain=0:", "a.py,domain=0", -1, false, NULL);
        expect("a.py,domain=0:,domain=1", "a.py,domain=0", -1, false, "1");
        expect("a.py::", "a.py:", -1, false, NULL);
}
END_TEST

START_TEST(nonsense_is_an_outcome)
{
        struct filter filter = {0};
        ck_assert_int_eq(filter_parse(&filter, "a.py:99999999999999999999999", true), FILTER_E_LINE);
        ck_assert_int_eq(filter_parse(&filter, "a.py,domain=", true), FILTER_E_DOMAIN);
        ck_assert_int_eq(filter_domain(&filter, "", true), FILTER_E_DOMAIN);
        ck_assert_ptr_null(filter.pattern);
}
END_TEST

START_TEST(domain_filter_has_no_pattern)
{
        struct filter filter;
        ck_assert_int_eq(filter_domain(&filter, "malloc", false), 0);
        ck_assert(filter.domain_only && !filter.inclusive);
        ck_assert_str_eq(filter.domain, "malloc");
        filter_deinit(&filter);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("filter");
        TCase *tc = check_case("filter");
        tcase_add_test(tc, pattern_alone);
        tcase_add_test(tc, line_behind_the_last_colon);
        tcase_add_test(tc, suffixes_in_any_order);
        tcase_add_test(tc, final_colon_ends_a_literal_pattern);
        tcase_add_test(tc, nonsense_is_an_outcome);
        tcase_add_test(tc, domain_filter_has_no_pattern);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
