/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/clock.h"
#include "tests/support/check_main.h"

static int64_t ns(int64_t seconds, long rest) {
        return timespec_ns(&(struct timespec){.tv_sec = seconds, .tv_nsec = rest});
}

START_TEST(seconds_and_their_rest_are_added)
{
        ck_assert_int_eq(ns(0, 0), 0);
        ck_assert_int_eq(ns(3, 7), INT64_C(3000000007));
        ck_assert_int_eq(ns(-1, 999999999), -1);
}
END_TEST

START_TEST(what_is_out_of_range_is_the_end_of_it)
{
        ck_assert_int_eq(ns(INT64_MAX, 0), INT64_MAX);
        ck_assert_int_eq(ns(INT64_MIN, 999999999), INT64_MIN);
        ck_assert_int_eq(ns(INT64_MAX / NS_PER_SECOND, 999999999), INT64_MAX);
        ck_assert_int_eq(ns(INT64_MAX / NS_PER_SECOND, 854775807), INT64_MAX);
        ck_assert_int_eq(ns(INT64_MAX / NS_PER_SECOND, 854775806), INT64_MAX - 1);
}
END_TEST

START_TEST(a_clock_goes_on)
{
        int64_t before = clock_ns(CLOCK_MONOTONIC);
        ck_assert_int_ge(clock_ns(CLOCK_MONOTONIC), before);
}
END_TEST

CHECK_MAIN("base/clock", seconds_and_their_rest_are_added, what_is_out_of_range_is_the_end_of_it, a_clock_goes_on)
