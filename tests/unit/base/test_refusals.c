/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/refusals.h"

#include "tests/support/check_main.h"

START_TEST(ten_thousand_make_a_line_a_second)
{
        struct refusals refusals = {0};
        struct credentials who = {.pid = 2, .uid = 1000};
        uint64_t n_lines = 0, n_told = 0;

        for (uint64_t i = 0; i < 10000; i++) {
                uint64_t n = refusals_add(&refusals, i / 4, "clients", &who); /* in two and a half seconds */
                n_lines += n > 0;
                n_told += n;
        }
        ck_assert_uint_eq(n_lines, 3);
        ck_assert_uint_eq(n_told + refusals.n, 10000);
}
END_TEST

CHECK_MAIN("base/refusals", ten_thousand_make_a_line_a_second)
