/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/pickle_text.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <string.h>

static void check_name(const char *text, const char *expected) {
        char name[64];
        size_t length = strlen(text);

        ck_assert_uint_eq(pickle_text_name(text, length, name), strlen(expected));
        ck_assert_mem_eq(name, expected, strlen(expected));
}

static bool valid(const char *text) {
        return pickle_text_valid(text, strlen(text));
}

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
        ck_assert(pickle_text_valid("\0", 1));
        ck_assert(!valid("\x80") && !valid("\xc1\x81") && !valid("\xe0\x9f\xbf") && !valid("\xf0\x8f\xbf\xbf"));
        ck_assert(!valid("\xf4\x90\x80\x80") && !valid("\xf5\x80\x80\x80") && !valid("\xe2\x82") && !valid("a\xff"));
}
END_TEST

CHECK_MAIN("pickle_text", escapes_become_the_bytes_they_stand_for, escapes_of_a_character_stay, other_surrogates_stay,
           only_utf8_is_valid)
