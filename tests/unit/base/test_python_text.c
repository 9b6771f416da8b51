/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/python_text.h"
#include "tests/support/check_main.h"

#include <check.h>

#include <string.h>

static void check_name(const char *text, const char *expected) {
        char name[64];
        size_t length = strlen(text);
        ck_assert_uint_eq(python_text_name(text, length, name), strlen(expected));
        ck_assert_mem_eq(name, expected, strlen(expected));
}

static bool valid(const char *text) {
        return python_text_valid(text, strlen(text));
}

static uint32_t decode(const char *bytes, size_t length, size_t taken) {
        uint32_t code_point;
        ck_assert_uint_eq(python_text_decode(bytes, length, &code_point), taken);
        return code_point;
}

START_TEST(each_length_of_a_code_point_is_decoded)
{
        ck_assert_uint_eq(decode("a", 1, 1), 'a');
        ck_assert_uint_eq(decode("\xc2\x80", 2, 2), 0x80);
        ck_assert_uint_eq(decode("\xdf\xbf", 2, 2), 0x7ff);
        ck_assert_uint_eq(decode("\xe0\xa0\x80", 3, 3), 0x800);
        ck_assert_uint_eq(decode("\xef\xbf\xbf", 3, 3), 0xffff);
        ck_assert_uint_eq(decode("\xf0\x90\x80\x80", 4, 4), 0x10000);
        ck_assert_uint_eq(decode("\xf4\x8f\xbf\xbf", 4, 4), 0x10ffff);
}
END_TEST

START_TEST(a_surrogate_in_three_bytes_is_itself)
{ ck_assert_uint_eq(decode("\xed\xa0\x80", 3, 3), 0xd800); }
END_TEST

START_TEST(bytes_of_no_valid_sequence_are_escaped_one_by_one)
{
        ck_assert_uint_eq(decode("\x80", 1, 1), 0xdc80);
        ck_assert_uint_eq(decode("\xff", 1, 1), 0xdcff);
        ck_assert_uint_eq(decode("\xc1\x80", 2, 1), 0xdcc1);         /* overlong */
        ck_assert_uint_eq(decode("\xe0\x9f\xbf", 3, 1), 0xdce0);     /* overlong */
        ck_assert_uint_eq(decode("\xf0\x8f\xbf\xbf", 4, 1), 0xdcf0); /* overlong */
        ck_assert_uint_eq(decode("\xf4\x90\x80\x80", 4, 1), 0xdcf4); /* above U+10FFFF */
        ck_assert_uint_eq(decode("\xf5\x80\x80\x80", 4, 1), 0xdcf5);
        ck_assert_uint_eq(decode("\xe2\x82", 2, 1), 0xdce2); /* cut off */
        ck_assert_uint_eq(decode("\xc3(", 2, 1), 0xdcc3);
}
END_TEST

START_TEST(escapes_become_the_bytes_they_stand_for)
{
        check_name("", "");
        check_name("a\xc3\xa9", "a\xc3\xa9");
        check_name("\xed\xb2\x80", "\x80");
        check_name("caf\xed\xb3\xa9.py", "caf\xe9.py");
        check_name("\xed\xb3\xbf\xed\xb3\xbe", "\xff\xfe");
}
END_TEST

START_TEST(escapes_of_a_character_stay)
{
        check_name("\xed\xb3\x83\xed\xb2\xa9", "\xed\xb3\x83\xed\xb2\xa9");   /* C3 A9 */
        check_name("\xed\xb3\x83\xc2\xa9x\xed\xb2\x80", "\xc3\xc2\xa9x\x80"); /* C3, then a character */
        check_name("\xed\xb3\xad\xed\xb2\xb2\xed\xb2\x80", "\xed\xb3\xad\xed\xb2\xb2\xed\xb2\x80"); /* ED B2 80 */
}
END_TEST

START_TEST(other_surrogates_stay)
{
        check_name("\xed\xa0\x80", "\xed\xa0\x80");
        check_name("\xed\xb1\xbf\xed\xb4\x80", "\xed\xb1\xbf\xed\xb4\x80");
        check_name("\xed\xa0\xbd\xed\xb0\x8d", "\xed\xa0\xbd\xed\xb0\x8d"); /* a pair */
}
END_TEST

START_TEST(only_utf8_is_valid)
{
        ck_assert(valid("") && valid("a\x7f") && valid("\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
        ck_assert(valid("\xed\xa0\x80\xed\xbf\xbf"));
        ck_assert(python_text_valid("\0", 1));
        ck_assert(!valid("\x80") && !valid("\xc1\x81") && !valid("\xe0\x9f\xbf") && !valid("\xf0\x8f\xbf\xbf"));
        ck_assert(!valid("\xf4\x90\x80\x80") && !valid("\xf5\x80\x80\x80") && !valid("\xe2\x82") && !valid("a\xff"));
}
END_TEST

CHECK_MAIN("python_text", each_length_of_a_code_point_is_decoded, a_surrogate_in_three_bytes_is_itself,
           bytes_of_no_valid_sequence_are_escaped_one_by_one, escapes_become_the_bytes_they_stand_for,
           escapes_of_a_character_stay, other_surrogates_stay, only_utf8_is_valid)
