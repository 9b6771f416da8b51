/* SPDX-License-Identifier: Apache-2.0 */

/* Tables by hand; those of every CPython at hand are in tests/system/test_line_tables.py. */

#include "daemon/live/line_table.h"
#include "tests/support/check_main.h"
#include "tests/unit/live/model_random.h"

#include <check.h>

#include <string.h>

static struct line_runs runs;

#define DECODE(format, first, bytes) decode(format, first, bytes, sizeof(bytes) - 1)

static void decode(uint32_t format, int32_t first, const char *bytes, size_t length) {
        runs.n = 0;
        ck_assert_int_eq(line_table_decode(format, first, bytes, length, &runs), 0);
}

static uint32_t line(uint64_t offset) {
        return line_runs_find(runs.runs, runs.n, offset);
}

START_TEST(lnotab_adds_bytes_then_lines)
{
        DECODE(309, 10, "\x00\x01\x08\x02\x04\xff\x06\x00");
        ck_assert_uint_eq(line(0), 11);
        ck_assert_uint_eq(line(7), 11);
        ck_assert_uint_eq(line(8), 13);
        ck_assert_uint_eq(line(12), 12);
        ck_assert_uint_eq(line(18), 12);
        ck_assert_uint_eq(line(1000000), 12); /* the last line has no end */
}
END_TEST

START_TEST(bytes_of_an_lnotab_are_unsigned)
{
        DECODE(309, 1, "\xff\x00\x81\x05"); /* 255 + 129 */
        ck_assert_uint_eq(line(383), 1);
        ck_assert_uint_eq(line(384), 6);
}
END_TEST

START_TEST(an_empty_lnotab_is_the_first_line)
{
        DECODE(309, 42, "");
        ck_assert_uint_eq(line(0), 42);
        ck_assert_uint_eq(line(77), 42);
        decode(309, 42, NULL, 0);
        ck_assert_uint_eq(line(0), 42);
}
END_TEST

START_TEST(no_line_of_3_10_keeps_the_running_one)
{
        DECODE(310, 5, "\x04\x00\x06\x80\x02\x01\x00\x0a\x08\xfe");
        ck_assert_uint_eq(line(3), 5);
        ck_assert_uint_eq(line(4), 0);
        ck_assert_uint_eq(line(9), 0);
        ck_assert_uint_eq(line(10), 6);
        ck_assert_uint_eq(line(12), 14); /* an entry without bytes counts its lines */
        ck_assert_uint_eq(line(19), 14);
        ck_assert_uint_eq(line(20), 0); /* behind the end */
}
END_TEST

START_TEST(locations_know_every_form)
{
        /* 2 units of no columns +3, 1 of none, 1 of one line +2, 1 of short form, 1 long with -100, 8 of one line +0 */
        DECODE(311, 7,
               "\xe9\x06"
               "\xf8"
               "\xe0\x01\x02"
               "\x80\x11"
               "\xf0\x49\x03\x00\x01\x02"
               "\xd7\x01\x02");
        ck_assert_uint_eq(line(3), 10);
        ck_assert_uint_eq(line(4), 0);
        ck_assert_uint_eq(line(6), 12);
        ck_assert_uint_eq(line(8), 12);
        ck_assert_uint_eq(line(10), 0); /* 12 - 100: below 1 is none */
        DECODE(311, 200,
               "\xf0\x49\x03\x00\x01\x02"
               "\xd7\x01\x02");
        ck_assert_uint_eq(line(0), 100);
        ck_assert_uint_eq(line(17), 100);
        ck_assert_uint_eq(line(18), 0);
}
END_TEST

START_TEST(a_cut_off_number_ends_with_its_table)
{
        DECODE(311, 7, "\xe8\x46"); /* a varint that wants to go on */
        ck_assert_uint_eq(line(0), 10);
        DECODE(311, 7, "\x80"); /* nothing follows */
        ck_assert_uint_eq(line(0), 7);
        DECODE(309, 7, "\x04"); /* half a pair */
        ck_assert_uint_eq(line(0), 7);
}
END_TEST

START_TEST(half_a_pair_of_3_10_goes_on_no_line)
{
        DECODE(310, 7, "\x02\x03\x04");
        ck_assert_uint_eq(line(0), 10);
        ck_assert_uint_eq(line(5), 10);
        ck_assert_uint_eq(line(6), 0);
}
END_TEST

START_TEST(another_format_is_told_apart)
{
        runs.n = 0;
        ck_assert_int_eq(line_table_decode(312, 1, "\x80", 1, &runs), LINE_TABLE_E_FORMAT);
        ck_assert_int_eq(line_table_decode(0, 1, "", 0, &runs), LINE_TABLE_E_FORMAT);
        ck_assert_uint_eq(runs.n, 0);
}
END_TEST

START_TEST(neighbours_of_one_line_are_one_run)
{
        DECODE(311, 7, "\xd0\x01\x02\xd0\x01\x02\xd0\x01\x02");
        ck_assert_uint_eq(runs.n, 1);
        ck_assert_uint_eq(runs.runs[0].end, 6);
}
END_TEST

START_TEST(code_objects_lie_behind_each_other)
{
        DECODE(310, 1, "\x04\x00");
        ck_assert_int_eq(line_table_decode(310, 1, "\x06\x00", 2, &runs), 0);
        ck_assert_uint_eq(runs.n, 2); /* one run each, of the same line */
        ck_assert_uint_eq(line_runs_find(runs.runs, 1, 5), 0);
        ck_assert_uint_eq(line_runs_find(runs.runs + 1, 1, 5), 1);
}
END_TEST

START_TEST(more_runs_than_the_limit_are_refused_as_a_whole)
{
        static uint8_t table[1 << 20];
        memset(table, 0xd8, sizeof table); /* a line further, each */
        runs.n = 0;
        uint32_t before = 0;
        int r;
        while ((r = line_table_decode(311, 1, table, sizeof table, &runs)) == 0)
                before = runs.n;
        ck_assert_int_eq(r, LINE_TABLE_E_FULL);
        ck_assert_uint_eq(runs.n, before);
        ck_assert_uint_eq(before, LINE_RUNS_MAX);
        line_runs_deinit(&runs);
}
END_TEST

/* Whatever the bytes are: ascending ends, lines that tracemalloc could have, never more runs than bytes. */
START_TEST(random_bytes_make_runs_in_order)
{
        static const uint32_t formats[] = {309, 310, 311};
        model_seed("line_table");
        for (unsigned i = 0; i < 30000; i++) {
                uint8_t table[64];
                size_t length = model_below(sizeof table + 1);
                for (size_t k = 0; k < length; k++)
                        table[k] = (uint8_t)model_below(256);
                int32_t first = (int32_t)(uint32_t)model_below(UINT64_C(1) << 32);
                runs.n = 0;
                ck_assert_int_eq(line_table_decode(formats[i % 3], first, table, length, &runs), 0);
                ck_assert_uint_le(runs.n, length + 1);
                for (uint32_t k = 0; k < runs.n; k++) {
                        ck_assert_uint_gt(runs.runs[k].end, k ? runs.runs[k - 1].end : 0);
                        ck_assert_uint_le(runs.runs[k].lineno, INT32_MAX);
                }
        }
        line_runs_deinit(&runs);
}
END_TEST

CHECK_MAIN("line_table", lnotab_adds_bytes_then_lines, bytes_of_an_lnotab_are_unsigned,
           an_empty_lnotab_is_the_first_line, no_line_of_3_10_keeps_the_running_one, locations_know_every_form,
           a_cut_off_number_ends_with_its_table, half_a_pair_of_3_10_goes_on_no_line, another_format_is_told_apart,
           neighbours_of_one_line_are_one_run, code_objects_lie_behind_each_other,
           more_runs_than_the_limit_are_refused_as_a_whole, random_bytes_make_runs_in_order)
