/* SPDX-License-Identifier: Apache-2.0 */

/* client/size_format.c against Python's _format_size: values of its documentation, and what CPython 3.11 printed. */

#include "client/size_format.h"
#include "tests/support/check_main.h"

#include <stdlib.h>

static void expect(double size, bool with_sign, const char *text) {
        char buffer[SIZE_FORMAT_MAX];
        ck_assert_str_eq(size_format(buffer, size, with_sign), text);
}

START_TEST(bytes_go_up_to_ten_kib)
{
        expect(0, false, "0 B");
        expect(99, false, "99 B");
        expect(10239, false, "10239 B");
        expect(10240, false, "10.0 KiB");
}
END_TEST

START_TEST(unit_is_chosen_before_rounding)
{
        expect(99.96 * 1024, false, "100.0 KiB");
        expect(102400, false, "100 KiB");
        expect(10.0 * 1024 * 1024 - 1, false, "10240 KiB");
        expect(10.0 * 1024 * 1024, false, "10.0 MiB");
}
END_TEST

START_TEST(halves_go_to_even)
{
        expect(512.5, false, "512 B");
        expect(513.5, false, "514 B");
        expect(0.5, false, "0 B");
        expect(1.5, false, "2 B");
}
END_TEST

START_TEST(tebibytes_are_the_largest_unit)
{
        expect(10240.0 * 1024 * 1024 * 1024 * 1024, false, "10240 TiB");
        expect(18446744073709551615.0, false, "16777216 TiB");
}
END_TEST

START_TEST(differences_have_a_sign)
{
        expect(512, true, "+512 B");
        expect(0, true, "+0 B");
        expect(-10240, true, "-10.0 KiB");
        expect(-102400, true, "-100 KiB");
        expect(-9223372036854775808.0, true, "-8388608 TiB");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("size_format");
        TCase *tc = check_case("size_format");
        tcase_add_test(tc, bytes_go_up_to_ten_kib);
        tcase_add_test(tc, unit_is_chosen_before_rounding);
        tcase_add_test(tc, halves_go_to_even);
        tcase_add_test(tc, tebibytes_are_the_largest_unit);
        tcase_add_test(tc, differences_have_a_sign);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
