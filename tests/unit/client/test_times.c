/* SPDX-License-Identifier: Apache-2.0 */

/* Times as users write and read them: client/time_format.c, and option_since(). */

#include "client/option_values.h"
#include "client/time_format.h"
#include "daemon/base/clock.h"
#include "tests/support/check_main.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define NOON_NS (INT64_C(1795348800) * NS_PER_SECOND) /* 2026-11-22 12:00:00 UTC */

static void expect_span(int64_t ns, const char *text) {
        char buffer[TIME_FORMAT_MAX];
        ck_assert_str_eq(time_format_span(buffer, ns), text);
}

static int64_t since(const char *text) {
        int64_t ns = 0;
        ck_assert_int_eq(option_since(text, &ns), 0);
        return ns;
}

/* Five hours east of Greenwich, where @text is a local time. */
static void be_east(void) {
        setenv("TZ", "EAST-5", 1);
        tzset();
}

START_TEST(a_span_has_its_two_largest_units)
{
        expect_span(-1, "0 ms");
        expect_span(NS_PER_SECOND - 1, "999 ms");
        expect_span(NS_PER_SECOND, "1.0 s");
        expect_span(60 * NS_PER_SECOND - 1, "59.9 s");
        expect_span(60 * NS_PER_SECOND, "1 min 0 s");
        expect_span(3600 * NS_PER_SECOND - 1, "59 min 59 s");
        expect_span(3600 * NS_PER_SECOND, "1 h 0 min");
        expect_span(86400 * NS_PER_SECOND - 1, "23 h 59 min");
        expect_span(86400 * NS_PER_SECOND, "1 d 0 h");
        expect_span(INT64_C(49) * 3600 * NS_PER_SECOND, "2 d 1 h");
}
END_TEST

START_TEST(json_has_utc_and_tables_have_local_time)
{
        char text[TIME_FORMAT_MAX];
        be_east();
        ck_assert_str_eq(time_format_rfc3339(text, NOON_NS + 1999), "2026-11-22T12:00:00.000001Z");
        ck_assert_str_eq(time_format_rfc3339(text, -1), "1969-12-31T23:59:59.999999Z");
        ck_assert_str_eq(time_format_local(text, NOON_NS), "2026-11-22 17:00:00");
}
END_TEST

START_TEST(since_takes_local_time_or_utc)
{
        be_east();
        ck_assert_int_eq(since("2026-11-22T12:00:00.000001Z"), NOON_NS);
        ck_assert_int_eq(since("2026-11-22 12:00Z"), NOON_NS);
        ck_assert_int_eq(since("2026-11-22 17:00:00"), NOON_NS);
        ck_assert_int_eq(since("2026-11-22 17:00"), NOON_NS);
        ck_assert_int_eq(since("2026-11-22"), NOON_NS - 17 * 3600 * NS_PER_SECOND);
        ck_assert_int_eq(since("1969-12-31"), 1);
        ck_assert_int_eq(since("2500-01-01"), INT64_MAX);
}
END_TEST

START_TEST(since_takes_an_age)
{
        static const struct {
                const char *text;
                int64_t seconds;
        } ages[] = {{"90s", 90}, {"10m", 600}, {"2h", 7200}, {"3d", 259200}};
        for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
                int64_t before = time(NULL), ns = since(ages[i].text), after = time(NULL);
                ck_assert_int_ge(ns, (before - ages[i].seconds) * NS_PER_SECOND);
                ck_assert_int_le(ns, (after - ages[i].seconds) * NS_PER_SECOND);
        }
}
END_TEST

START_TEST(since_refuses_the_rest)
{
        static const char *const wrong[] = {
                "", "d", "3", "3w", "3dd", "1000000000s", "-3d", "2026-13-01", "2026-11-22 12:00X"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                int64_t ns = 7;
                ck_assert_int_eq(option_since(wrong[i], &ns), OPTIONS_E_USAGE);
                ck_assert_int_eq(ns, 7);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("times");
        TCase *tc = check_case("times");
        tcase_add_test(tc, a_span_has_its_two_largest_units);
        tcase_add_test(tc, json_has_utc_and_tables_have_local_time);
        tcase_add_test(tc, since_takes_local_time_or_utc);
        tcase_add_test(tc, since_takes_an_age);
        tcase_add_test(tc, since_refuses_the_rest);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
