/* SPDX-License-Identifier: Apache-2.0 */

/* client/render_place.c, client/source_lines.c, client/reference.c, client/table.c, client/time_format.c: parts of
 * output and input. */

#include "client/reference.h"
#include "client/render.h"
#include "client/table.h"
#include "client/time_format.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Tracemallocd__Control__Frame frame_of(const char *filename, uint64_t lineno, const char *function) {
        Tracemallocd__Control__Frame frame = TRACEMALLOCD__CONTROL__FRAME__INIT;
        frame.filename = (ProtobufCBinaryData){strlen(filename), (uint8_t *)filename};
        frame.lineno = lineno;
        frame.has_function = function != NULL;
        if (function)
                frame.function = (ProtobufCBinaryData){strlen(function), (uint8_t *)function};
        return frame;
}

static void expect_place(const char *filename, uint64_t lineno, const char *function, size_t width, const char *text) {
        Tracemallocd__Control__Frame frame = frame_of(filename, lineno, function);
        char *place = render_place(&frame, width);
        ck_assert_str_eq(place, text);
        free(place);
}

START_TEST(places_are_pythons_where_there_is_a_line)
{
        expect_place("a.py", 3, "f", 0, "a.py:3");
        expect_place("a.py", 0, NULL, 0, "a.py:0");
        expect_place("<unknown>", 0, NULL, 0, "<unknown>:0");
        expect_place("libfoo.so.1", 0, "foo", 0, "libfoo.so.1 (foo)");
}
END_TEST

START_TEST(frames_without_symbols_show_their_offset)
{
        Tracemallocd__Control__Frame frame = frame_of("libfoo.so.1", 0, NULL);
        frame.has_offset = true;
        frame.offset = 0x1234;
        char *place = render_place(&frame, 0);
        ck_assert_str_eq(place, "libfoo.so.1 (+0x1234)");
        free(place);
}
END_TEST

START_TEST(the_path_gives_way_before_the_function)
{
        expect_place("/usr/lib/x86_64-linux-gnu/libfoo.so.1", 0, "some_function", 40,
                     "/usr/li...nu/libfoo.so.1 (some_function)");
}
END_TEST

/* What a terminal of @width columns shows of one frame */
static void expect_traceback(Tracemallocd__Control__Frame frame, size_t width, const char *text) {
        struct options options = {.color = COLOR_NEVER};
        struct render render;
        char *shown;
        size_t length;
        render_init(&render, &options);
        render.terminal.width = width;
        render.out = open_memstream(&shown, &length);
        render_traceback(&render, (Tracemallocd__Control__Frame *[]){&frame}, 1, 0);
        fclose(render.out);
        ck_assert_str_eq(shown, text);
        free(shown);
        render_deinit(&render);
}

START_TEST(a_frame_is_broken_before_its_function_where_little_more_would_be_left)
{
        Tracemallocd__Control__Frame frame = frame_of("/nowhere/examples/session_cache.c", 111, "remember_search");
        expect_traceback(frame, 80, "  File \"/nowhere/examples/session_cache.c\", line 111, in remember_search\n");
        expect_traceback(frame, 60, "  File \"/n.../session_cache.c\", line 111, in remember_search\n");
        expect_traceback(frame, 40, "  File \"/.../session_cache.c\", line 111,\n      in remember_search\n");
}
END_TEST

START_TEST(traceback_ranges_are_those_of_traceback_format)
{
        /* limit, n, first, end: self[-limit:] above 0, else self[:limit] */
        static const int64_t cases[][4] = {{1, 3, 2, 3},  {3, 3, 0, 3},        {9, 3, 0, 3},  {0, 3, 0, 0},
                                           {-1, 3, 0, 2}, {-3, 3, 0, 0},       {-9, 3, 0, 0}, {INT64_MIN + 1, 3, 0, 0},
                                           {1, 0, 0, 0},  {INT64_MAX, 3, 0, 3}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                size_t first, end;
                render_traceback_range((size_t)cases[i][1], cases[i][0], &first, &end);
                ck_assert_int_eq((int64_t)first, cases[i][2]);
                ck_assert_int_eq((int64_t)end, cases[i][3]);
        }
}
END_TEST

static void expect_line(struct source_lines *lines, const char *name, uint64_t lineno, const char *text) {
        const char *found;
        size_t length;
        int r = source_lines_get(lines, name, strlen(name), lineno, &found, &length);
        if (!text) {
                ck_assert_int_eq(r, SOURCE_LINES_E_NONE);
                return;
        }
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert(memcmp(found, text, length) == 0);
}

START_TEST(a_long_label_takes_no_letter_of_a_name)
{
        static const struct table_column columns[] = {{.heading = "NAME", .stretches = 1, .rank = 1},
                                                      {.heading = "SIZE", .right = 1},
                                                      {.heading = "LABEL", .stretches = 1, .rank = 6}};
        const struct terminal terminal = {.width = 50};
        struct table *table = table_new(columns, 3);
        char *shown;
        size_t length;
        FILE *out = open_memstream(&shown, &length);
        table_cell(table, strdup("session_cache_server"));
        table_cell(table, strdup("10 KiB"));
        table_cell(table, strdup("before the cache was warm and after the night's restart"));
        table_print(table, out, &terminal);
        fclose(out);
        ck_assert_str_eq(shown, "NAME                    SIZE  LABEL\n"
                                "session_cache_server  10 KiB  before...t's restart\n");
        free(shown);
        table_free(table);
}
END_TEST

START_TEST(source_lines_are_those_of_linecache)
{
        char dir[] = "/tmp/test_render.XXXXXX", name[64], fifo[64];
        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(name, sizeof name, "%s/a.py", dir);
        snprintf(fifo, sizeof fifo, "%s/fifo", dir);
        FILE *f = fopen(name, "w");
        fputs("first\n  second\tword  \n\n\tlast", f);
        fclose(f);
        ck_assert_int_eq(mkfifo(fifo, 0600), 0);
        struct source_lines *lines = source_lines_new();
        expect_line(lines, name, 1, "first");
        expect_line(lines, name, 2, "second word");
        expect_line(lines, name, 3, NULL);
        expect_line(lines, name, 4, "last");
        expect_line(lines, name, 5, NULL);
        expect_line(lines, name, 0, NULL);
        expect_line(lines, fifo, 1, NULL);
        expect_line(lines, dir, 1, NULL);
        expect_line(lines, "/dev/zero", 1, NULL);
        expect_line(lines, "<string>", 1, NULL);
        expect_line(lines, "", 1, NULL);
        source_lines_free(lines);
        unlink(name);
        unlink(fifo);
        rmdir(dir);
}
END_TEST

START_TEST(references_are_told_from_files)
{
        static const char *const good[] = {"17",        "s3",          "17,18", "last",        "last~1",
                                           "last:exit", "last:peak~2", "@1234", "s1,17,last~1"};
        static const char *const bad[] = {"",     "s", "17,", ",17",    "17x",   "a.pickle", "-",
                                          "./17", "@", "@x",  "latest", "last~", "last:",    "-1"};
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                ck_assert_msg(reference_is_snapshot(good[i]), "%s", good[i]);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                ck_assert_msg(!reference_is_snapshot(bad[i]), "%s", bad[i]);
}
END_TEST

/* Return: the heading, for free(). */
static char *heading_of(const char *old_kind, int64_t old_ns, const char *new_kind, int64_t new_ns, uint32_t new_pid) {
        Tracemallocd__Control__StatisticsHeader header = TRACEMALLOCD__CONTROL__STATISTICS_HEADER__INIT;
        Tracemallocd__Control__SnapshotInfo infos[2] = {TRACEMALLOCD__CONTROL__SNAPSHOT_INFO__INIT,
                                                        TRACEMALLOCD__CONTROL__SNAPSHOT_INFO__INIT};
        struct options options = {0};
        struct render render;
        char *text;
        size_t length;
        infos[0].kind = (char *)old_kind;
        infos[0].taken_at_unix_ns = old_ns;
        infos[1].kind = (char *)new_kind;
        infos[1].taken_at_unix_ns = new_ns;
        infos[0].id = infos[1].id = 17;
        infos[0].pid = 1234;
        infos[1].pid = new_pid;
        header.old = &infos[0];
        header.snapshot = &infos[1];
        render_init(&render, &options);
        render.out = open_memstream(&text, &length);
        render_statistics_heading(&render, &header, "17", "17");
        fclose(render.out);
        render_deinit(&render);
        return text;
}

START_TEST(a_comparison_that_is_turned_round_is_called_so)
{
        char *headings[] = {
                heading_of("request", 2, "exit", 1, 1234), heading_of("live", 2, "request", 1, 1234),
                heading_of("live", 2, "live", 1, 1234),    heading_of("request", 1, "request", 2, 1234),
                heading_of("peak", 2, "exit", 1, 1234),    heading_of("import", 2, "request", 1, 1234),
                heading_of("request", 2, "exit", 1, 1235), heading_of("request", 1, "request", 1, 1234),
        };
        for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++) {
                ck_assert_msg((strstr(headings[i], "Old was taken after New") != NULL) == (i < 2), "%s", headings[i]);
                free(headings[i]);
        }
}
END_TEST

START_TEST(times_are_rfc_3339)
{
        char text[TIME_FORMAT_MAX];
        ck_assert_str_eq(time_format_rfc3339(text, 0), "1970-01-01T00:00:00.000000Z");
        ck_assert_str_eq(time_format_rfc3339(text, INT64_C(1795343400123456789)), "2026-11-22T10:30:00.123456Z");
        ck_assert_str_eq(time_format_rfc3339(text, -1), "1969-12-31T23:59:59.999999Z");
}
END_TEST

START_TEST(spans_have_two_units_at_most)
{
        char text[TIME_FORMAT_MAX];
        const int64_t s = INT64_C(1000000000);
        ck_assert_str_eq(time_format_span(text, -s), "0 ms");
        ck_assert_str_eq(time_format_span(text, s / 2), "500 ms");
        ck_assert_str_eq(time_format_span(text, 12 * s + s / 4), "12.2 s");
        ck_assert_str_eq(time_format_span(text, 250 * s), "4 min 10 s");
        ck_assert_str_eq(time_format_span(text, 11100 * s), "3 h 5 min");
        ck_assert_str_eq(time_format_span(text, 187200 * s), "2 d 4 h");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("render");
        TCase *tc = check_case("render");
        tcase_add_test(tc, places_are_pythons_where_there_is_a_line);
        tcase_add_test(tc, frames_without_symbols_show_their_offset);
        tcase_add_test(tc, the_path_gives_way_before_the_function);
        tcase_add_test(tc, traceback_ranges_are_those_of_traceback_format);
        tcase_add_test(tc, a_frame_is_broken_before_its_function_where_little_more_would_be_left);
        tcase_add_test(tc, a_long_label_takes_no_letter_of_a_name);
        tcase_add_test(tc, source_lines_are_those_of_linecache);
        tcase_add_test(tc, references_are_told_from_files);
        tcase_add_test(tc, a_comparison_that_is_turned_round_is_called_so);
        tcase_add_test(tc, times_are_rfc_3339);
        tcase_add_test(tc, spans_have_two_units_at_most);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
