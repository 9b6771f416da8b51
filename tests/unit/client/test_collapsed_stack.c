/* SPDX-License-Identifier: Apache-2.0 */

/* client/collapsed_stack.c: lines that flamegraph.pl takes apart at the semicolons and at the last blank. */

#include "client/collapsed_stack.h"
#include "client/text_buffer.h"
#include "tests/support/check_main.h"

#include <stdint.h>
#include <string.h>

static ProtobufCBinaryData bytes_of(const char *text) {
        return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

/* @function: NULL: unknown */
static Tracemallocd__Control__Frame frame(const char *path, uint64_t line, const char *function) {
        Tracemallocd__Control__Frame f = TRACEMALLOCD__CONTROL__FRAME__INIT;
        f.filename = bytes_of(path);
        f.lineno = line;
        f.has_function = function != NULL;
        f.function = bytes_of(function ? function : "");
        return f;
}

static void expect(Tracemallocd__Control__Frame **frames, size_t n, const char *line) {
        Tracemallocd__Control__StatisticRow row = TRACEMALLOCD__CONTROL__STATISTIC_ROW__INIT;
        struct text_buffer text = {0};
        row.traceback = frames;
        row.n_traceback = n;
        row.size = 1234;
        collapsed_stack(&text, &row);
        text_buffer_add(&text, "", 1);
        ck_assert_str_eq(text.bytes, line);
        text_buffer_deinit(&text);
}

START_TEST(frames_have_semicolons_between_and_none_inside)
{
        Tracemallocd__Control__Frame outer = frame("/srv/a;b.py", 7, "main;"), inner = frame("/srv/c;d;e", 0, NULL);
        Tracemallocd__Control__Frame *frames[] = {&outer, &inner};
        expect(frames, 2, "main: (/srv/a:b.py:7);/srv/c:d:e 1234\n");
}
END_TEST

START_TEST(without_symbols_a_place_is_its_offset)
{
        Tracemallocd__Control__Frame place = frame("/usr/lib/libx.so", 0, NULL);
        Tracemallocd__Control__Frame *frames[] = {&place};
        place.has_offset = 1;
        place.offset = 0x1f0;
        expect(frames, 1, "/usr/lib/libx.so+0x1f0 1234\n");
        place.function = bytes_of("grow");
        place.has_function = 1;
        expect(frames, 1, "grow (/usr/lib/libx.so) 1234\n");
}
END_TEST

START_TEST(a_name_makes_no_line)
{
        Tracemallocd__Control__Frame place = frame("/srv/two\nlines.py", 1, "f");
        Tracemallocd__Control__Frame *frames[] = {&place};
        expect(frames, 1, "f (/srv/two\\x0alines.py:1) 1234\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("collapsed_stack");
        TCase *tc = check_case("collapsed_stack");
        tcase_add_test(tc, frames_have_semicolons_between_and_none_inside);
        tcase_add_test(tc, without_symbols_a_place_is_its_offset);
        tcase_add_test(tc, a_name_makes_no_line);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
