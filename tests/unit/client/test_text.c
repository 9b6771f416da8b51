/* SPDX-License-Identifier: Apache-2.0 */

#include "client/paragraph.h"
#include "client/text.h"
#include "tests/support/check_main.h"

#include <json-c/json.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void expect_json(const char *bytes, size_t length, const char *json) {
        struct json_object *object = text_json(bytes, length);
        ck_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), json);
        json_object_put(object);

        struct text_buffer written = {0};
        text_json_append(&written, bytes, length);
        text_buffer_add(&written, "", 1);
        ck_assert_str_eq(written.bytes, json);
        text_buffer_deinit(&written);
}
#define EXPECT_JSON(bytes, json) expect_json(bytes, sizeof(bytes) - 1, json)

START_TEST(utf8_passes_through)
{
        EXPECT_JSON("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
        EXPECT_JSON("", "\"\"");
        expect_json(NULL, 0, "\"\"");
}
END_TEST

/* json.dumps(os.fsdecode(b"...")) of CPython 3.11 */
START_TEST(other_bytes_become_low_surrogates)
{
        EXPECT_JSON("caf\xe9", "\"caf\\udce9\"");
        EXPECT_JSON("\xff\xfe", "\"\\udcff\\udcfe\"");
        EXPECT_JSON("\xe2\x82", "\"\\udce2\\udc82\"");
        EXPECT_JSON("\xc0\x80", "\"\\udcc0\\udc80\"");
        EXPECT_JSON("\xe0\x80\x80", "\"\\udce0\\udc80\\udc80\"");
        EXPECT_JSON("\xed\xa0\x80", "\"\\ud800\""); /* as tracemalloc's pickles have it */
        EXPECT_JSON("\xed\xbf\xbf", "\"\\udfff\"");
        EXPECT_JSON("\xed\xa0", "\"\\udced\\udca0\"");
        EXPECT_JSON("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"");
        EXPECT_JSON("\x80x", "\"\\udc80x\"");
}
END_TEST

START_TEST(json_escapes_what_json_must)
{
        EXPECT_JSON("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
        EXPECT_JSON("\n\t\r\b\f", "\"\\n\\t\\r\\b\\f\"");
        EXPECT_JSON("\x01\x1f\0x", "\"\\u0001\\u001f\\u0000x\"");
        EXPECT_JSON("\x7f", "\"\x7f\"");
}
END_TEST

static void expect_display(const char *bytes, const char *text) {
        char *display = text_display(bytes, strlen(bytes));
        ck_assert_str_eq(display, text);
        free(display);
}

/* Eight bytes at a time are looked at where they are plain: what is not may stand at any place among them. */
START_TEST(a_byte_is_found_wherever_it_stands)
{
        static const struct {
                char byte;
                const char *json, *display;
        } special[] = {{'"', "\\\"", "\""},
                       {'\\', "\\\\", "\\"},
                       {'\x1f', "\\u001f", "\\x1f"},
                       {'\x7f', "\x7f", "\\x7f"},
                       {'\xe9', "\\udce9", "\\xe9"},
                       {'\0', "\\u0000", "\\x00"},
                       {' ', " ", " "},
                       {'~', "~", "~"}};
        for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
                for (size_t at = 0; at < 20; at++) {
                        char bytes[] = "abcdefghijklmnopqrst", json[64], display[64];
                        bytes[at] = special[i].byte;
                        snprintf(json, sizeof json, "\"%.*s%s%s\"", (int)at, bytes, special[i].json, bytes + at + 1);
                        snprintf(display, sizeof display, "%.*s%s%s", (int)at, bytes, special[i].display,
                                 bytes + at + 1);
                        expect_json(bytes, 20, json);
                        char *text = text_display(bytes, 20);
                        ck_assert_str_eq(text, display);
                        free(text);
                }
        }
}
END_TEST

START_TEST(display_never_drives_a_terminal)
{
        expect_display("a\x1b[31mb", "a\\x1b[31mb");
        expect_display("caf\xc3\xa9", "caf\xc3\xa9");
        expect_display("caf\xe9", "caf\\xe9");
        expect_display("\xc2\x9b"
                       "31m",
                       "\\xc2\\x9b31m");
        expect_display("line\nline", "line\\x0aline");
}
END_TEST

static void expect_short(const char *text, size_t width, const char *expected) {
        char *shorter = text_shorten(text, width);
        ck_assert_str_eq(shorter, expected);
        ck_assert_uint_le(text_width(shorter), width < 8 ? 8 : width);
        free(shorter);
}

START_TEST(cutting_leaves_the_end_away)
{
        char text[] = "caf\xc3\xa9 noir";
        text_cut(text, 9);
        ck_assert_str_eq(text, "caf\xc3\xa9 noir");
        text_cut(text, 7);
        ck_assert_str_eq(text, "caf\xc3\xa9...");
        text_cut(text, 2);
        ck_assert_str_eq(text, "..");
        text_cut(text, 0);
        ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(shortening_keeps_both_ends)
{
        expect_short("/usr/lib/libfoo.so.1", 20, "/usr/lib/libfoo.so.1");
        expect_short("/usr/lib/libfoo.so.1", 15, "/usr...foo.so.1");
        expect_short("/usr/lib/libfoo.so.1", 0, "/u...o.1");
        expect_short("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8,
                     "\xc3\xa9\xc3\xa9...\xc3\xa9\xc3\xa9\xc3\xa9");
}
END_TEST

static void expect_short_path(const char *path, size_t width, const char *expected) {
        char *shorter = text_shorten_path(path, width);
        ck_assert_str_eq(shorter, expected);
        free(shorter);
}

START_TEST(of_a_path_the_file_name_stays)
{
        expect_short_path("/usr/lib/libfoo.so.1", 20, "/usr/lib/libfoo.so.1");
        expect_short_path("/usr/lib/libfoo.so.1", 16, "/.../libfoo.so.1");
        expect_short_path("/usr/lib/libfoo.so.1", 10, "/us...so.1"); /* where it has room */
        expect_short_path("no-folder-at-all.c", 12, "no-...-all.c");
}
END_TEST

/* \u4e2d\u6587 is two columns a character, \u0301 combines with the one before it. */
START_TEST(columns_are_a_terminals)
{
        ck_assert_uint_eq(text_width("\u4e2d\u6587.py"), 7);
        ck_assert_uint_eq(text_width("e\u0301te\u0301"), 3);
        ck_assert_uint_eq(text_width("caf\xe9"), 4); /* no UTF-8 */
        expect_short("\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d", 12, "\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d");
        expect_short("\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d\u4e2d", 11, "\u4e2d...\u4e2d\u4e2d"); /* no halves */
        expect_short("abcde\u0301\u0301fghij", 9, "ab...ghij");
        expect_short("abcdefge\u0301hijk", 9, "ab...hijk"); /* without what combines with what went */
        expect_short("abcdefghe\u0301ijk", 9, "ab...e\u0301ijk");
        char text[] = "\u4e2d\u6587\u4e2d\u6587";
        text_cut(text, 8);
        ck_assert_str_eq(text, "\u4e2d\u6587\u4e2d\u6587");
        text_cut(text, 6);
        ck_assert_str_eq(text, "\u4e2d...");
}
END_TEST

static void expect_paragraph(const char *text, size_t width, const char *expected) {
        char *lines = paragraph_format(text, width, 2);
        ck_assert_str_eq(lines, expected);
        free(lines);
}

START_TEST(sentences_break_between_words)
{
        expect_paragraph("one two three", 0, "one two three");
        expect_paragraph("one two three", 13, "one two three");
        expect_paragraph("one two three", 12, "one two\n  three");
        expect_paragraph("one two three", 1, "one\n  two\n  three");
        expect_paragraph("caf\xc3\xa9 noir", 9, "caf\xc3\xa9 noir");
        expect_paragraph("it doesn't break 'tmctl run a b' here", 20, "it doesn't break\n  'tmctl run a b'\n  here");
        expect_paragraph("an open 'quote is none", 12, "an open\n  'quote is\n  none");
        expect_paragraph("", 5, "");
}
END_TEST

static void expect_fields(size_t width, const char *expected) {
        char first[] = "tmctl ps", second[] = "tmctl list", third[] = "tmctl stats 1";
        char *const fields[] = {first, second, third};
        char *lines = paragraph_fields(fields, 3, width, 5, 2);
        ck_assert_str_eq(lines, expected);
        free(lines);
}

/* Behind five columns that are taken, the first field ends at 14, the second at 26, the last at 40. */
START_TEST(fields_break_behind_commas)
{
        expect_fields(0, "tmctl ps, tmctl list, tmctl stats 1");
        expect_fields(40, "tmctl ps, tmctl list, tmctl stats 1");
        expect_fields(39, "tmctl ps, tmctl list,\n  tmctl stats 1");
        expect_fields(26, "tmctl ps, tmctl list,\n  tmctl stats 1");
        expect_fields(25, "tmctl ps,\n  tmctl list,\n  tmctl stats 1");
        expect_fields(1, "tmctl ps,\n  tmctl list,\n  tmctl stats 1");
}
END_TEST

int main(void) {
        if (!setlocale(LC_CTYPE, "C.UTF-8")) /* as tmctl does */
                return EXIT_FAILURE;
        Suite *suite = suite_create("text");
        TCase *tc = check_case("text");
        tcase_add_test(tc, utf8_passes_through);
        tcase_add_test(tc, other_bytes_become_low_surrogates);
        tcase_add_test(tc, json_escapes_what_json_must);
        tcase_add_test(tc, a_byte_is_found_wherever_it_stands);
        tcase_add_test(tc, display_never_drives_a_terminal);
        tcase_add_test(tc, shortening_keeps_both_ends);
        tcase_add_test(tc, of_a_path_the_file_name_stays);
        tcase_add_test(tc, sentences_break_between_words);
        tcase_add_test(tc, fields_break_behind_commas);
        tcase_add_test(tc, columns_are_a_terminals);
        tcase_add_test(tc, cutting_leaves_the_end_away);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
