/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/pickle_reader.h"
#include "daemon/query/pickle_writer.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_equal.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/query/snapshot_text.h"

#include <check.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct file {
        char *bytes;
        size_t length, n_chunks, largest;
        size_t fail_at; /* this chunk is not taken */
};

static struct file file;
static struct snapshot *text;
static struct symbol_set *symbols;

static void setup(void) {
        file = (struct file){.fail_at = SIZE_MAX};
        text = snapshot_text_new(1);
        ck_assert_int_eq(symbol_set_new(&symbols), 0);
}

static void teardown(void) {
        free(file.bytes);
        snapshot_text_free(text);
        symbols = symbol_set_free(symbols);
}

static int take(void *userdata, const void *bytes, size_t length) {
        if (file.n_chunks++ == file.fail_at)
                return -42;
        file.bytes = realloc(file.bytes, file.length + length);
        ck_assert_ptr_nonnull(file.bytes);
        memcpy(file.bytes + file.length, bytes, length);
        file.length += length;
        file.largest = length > file.largest ? length : file.largest;
        return 0;
}

/* @n: how many; then words of frames, oldest first */
static void blocks(uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count, int n, ...) {
        char *frames[8];
        va_list ap;
        va_start(ap, n);
        for (int i = 0; i < n; i++)
                frames[i] = strdup(va_arg(ap, const char *));
        va_end(ap);
        snapshot_text_blocks(text, domain, total_nframe, size, count, frames, (size_t)n);
        for (int i = 0; i < n; i++)
                free(frames[i]);
}

static int write_snapshot(const struct snapshot *s, enum pickle_shape shape, struct pickle_summary *summaryp) {
        struct pickle_sink sink = {.write = take};
        struct model m;
        free(file.bytes);
        file = (struct file){.fail_at = file.fail_at};
        ck_assert_int_eq(model_init(&m), 0);
        ck_assert_int_eq(model_add(&m, MODEL_NEW, &(struct model_source){s, symbols}), 0);
        int r = pickle_write(&m, shape, 5, &sink, summaryp);
        model_deinit(&m);
        return r;
}

static struct snapshot *read_back(void) {
        struct pickle_reader *reader;
        struct snapshot *s = NULL;
        ck_assert_int_eq(pickle_reader_new(PICKLE_MEMORY_MAX, &reader), 0);
        ck_assert_int_eq(pickle_reader_feed(reader, file.bytes, file.length), 0);
        ck_assert_int_eq(pickle_reader_finish(reader, &s), 0);
        pickle_reader_free(reader);
        return s;
}

static bool holds(const char *bytes, size_t length) {
        return memmem(file.bytes, file.length, bytes, length) != NULL;
}

#define HOLDS(literal) holds(literal, sizeof(literal) - 1)

/* ---- bytes ---- */

START_TEST(one_block_is_these_bytes)
{
        static const char expected[] =
                "\x80\x04\x8c\x0btracemalloc\x8c\x08Snapshot\x93)\x81}(\x8c\x06traces\x8c\x0btracemalloc\x8c\x07_Traces"
                "\x93)\x81}\x8c\x07_traces]((K\x00K\x0a\x8c\x04"
                "a.py\x94K\x03\x86\x94\x85\x94K\x01tesb\x8c\x0ftraceback_limit"
                "K\x05ub.";
        struct pickle_summary summary;
        blocks(0, 1, 10, 1, 1, "s,a.py,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert_uint_eq(file.length, sizeof expected - 1);
        ck_assert_mem_eq(file.bytes, expected, sizeof expected - 1);
        ck_assert_uint_eq(summary.blocks, 1);
        ck_assert(!summary.functions_left_out && !summary.total_nframe_left_out);
}
END_TEST

START_TEST(the_older_shape_has_three)
{
        struct pickle_summary summary;
        blocks(0, 1, 10, 1, 1, "s,a.py,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_8, &summary), 0);
        ck_assert(HOLDS("](K\x00K\x0a\x8c\x04"
                        "a.py\x94K\x03\x86\x94\x85\x94\x87"
                        "esb"));
        ck_assert(!summary.total_nframe_left_out);
        blocks(0, 9, 10, 1, 1, "s,a.py,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_8, &summary), 0);
        ck_assert(summary.total_nframe_left_out);
}
END_TEST

START_TEST(an_empty_snapshot_is_an_empty_list)
{
        struct pickle_summary summary;
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("_traces]sb"));
        ck_assert_uint_eq(summary.blocks, 0);
}
END_TEST

START_TEST(frames_lie_most_recent_first)
{
        struct pickle_summary summary;
        blocks(0, 2, 10, 1, 2, "s,old,1", "s,new,2");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("\x8c\x03new\x94K\x02\x86\x94\x8c\x03old\x94K\x01\x86\x94\x86\x94K\x02t"));
}
END_TEST

START_TEST(what_is_there_already_is_referred_to)
{
        struct pickle_summary summary;
        blocks(0, 1, 10, 3, 1, "s,a.py,3");
        blocks(0, 1, 11, 1, 1, "s,a.py,3");
        blocks(0, 2, 12, 1, 2, "s,a.py,3", "s,a.py,4");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("t22(K\x00K\x0bh\x02K\x01t(K\x00K\x0ch\x00K\x04\x86\x94h\x01\x86\x94K\x02te"));
        ck_assert_uint_eq(summary.blocks, 5);
}
END_TEST

START_TEST(unknown_total_nframe_is_none)
{
        struct pickle_summary summary;
        blocks(0, SNAPSHOT_TOTAL_NFRAME_UNKNOWN, 10, 1, 1, "s,a.py,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("\x85\x94Nte"));
}
END_TEST

START_TEST(numbers_are_as_short_as_they_can_be)
{
        static const struct {
                uint64_t number;
                const char *bytes;
                size_t length;
        } cases[] = {
                {0, "K\x00", 2},
                {255, "K\xff", 2},
                {256, "M\x00\x01", 3},
                {65535, "M\xff\xff", 3},
                {65536, "J\x00\x00\x01\x00", 5},
                {INT32_MAX, "J\xff\xff\xff\x7f", 5},
                {UINT64_C(1) << 31, "\x8a\x05\x00\x00\x00\x80\x00", 7},
                {UINT32_MAX, "\x8a\x05\xff\xff\xff\xff\x00", 7},
                {UINT64_C(1) << 40, "\x8a\x06\x00\x00\x00\x00\x00\x01", 8},
                {UINT64_C(1) << 39, "\x8a\x06\x00\x00\x00\x00\x80\x00", 8},
                {INT64_MAX, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
                {UINT64_MAX, "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00", 11},
        };

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct pickle_summary summary;
                char expected[32] = "((K\x00";
                teardown();
                setup();
                blocks(0, 1, cases[i].number, 1, 1, "s,a.py,3");
                ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
                memcpy(expected + 4, cases[i].bytes, cases[i].length);
                memcpy(expected + 4 + cases[i].length, "\x8c", 1);
                ck_assert(holds(expected, 5 + cases[i].length));
        }
}
END_TEST

START_TEST(bytes_that_are_no_text_are_escaped)
{
        struct pickle_summary summary;
        blocks(0, 1, 10, 1, 1, "s,caf%E9,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("\x8c\x06"
                        "caf\xed\xb3\xa9\x94"));
}
END_TEST

/* ---- frames of native code ---- */

static void symbol(const char *module, uint64_t offset, const char *frame) {
        char *copy = strdup(module), *frames[] = {strdup(frame)};
        snapshot_text_symbol(symbols, copy, offset, frames, 1);
        free(copy);
        free(frames[0]);
}

START_TEST(frames_without_a_line_are_named_by_function_or_offset)
{
        struct pickle_summary summary;
        symbol("/lib/x.so", 16, "s,,0,main");
        symbol("/lib/x.so", 32, "s,x.c,7,main");
        blocks(0, 1, 1, 1, 1, "n,/lib/x.so,16");
        blocks(0, 1, 2, 1, 1, "n,/lib/x.so,32");
        blocks(0, 1, 3, 1, 1, "n,/lib/x.so,48");
        blocks(0, 1, 4, 1, 1, "n");
        blocks(0, 1, 5, 1, 1, "s,y.py,0,f");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("\x8c\x10/lib/x.so (main)\x94K\x00\x86"));
        ck_assert(HOLDS("\x8c\x03x.c\x94K\x07\x86"));
        ck_assert(HOLDS("\x8c\x0e/lib/x.so+0x30\x94K\x00\x86"));
        ck_assert(HOLDS("\x8c\x09<unknown>\x94K\x00\x86"));
        ck_assert(HOLDS("\x8c\x04y.py\x94K\x00\x86"));
        ck_assert(summary.functions_left_out && summary.modules_left_out);
}
END_TEST

/* Their order as locations (by function and number) is not that of their names in a file. */
START_TEST(native_frames_stand_in_the_order_of_their_names)
{
        struct pickle_summary summary;
        symbol("/lib/x.so", 16, "s,,0,main");
        blocks(0, 1, 3, 1, 1, "n,/lib/x.so,9");
        blocks(0, 1, 2, 1, 1, "n,/lib/x.so,256");
        blocks(0, 1, 1, 1, 1, "n,/lib/x.so,16");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("]((K\x00K\x01\x8c\x10/lib/x.so (main)"));
        ck_assert(HOLDS("t(K\x00K\x02\x8c\x0f/lib/x.so+0x100"));
        ck_assert(HOLDS("t(K\x00K\x03\x8c\x0d/lib/x.so+0x9"));
}
END_TEST

START_TEST(functions_and_modules_in_names_are_not_left_out)
{
        struct pickle_summary summary;
        symbol("/lib/x.so", 16, "s,,0,main");
        blocks(0, 1, 1, 1, 1, "n,/lib/x.so,16");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(!summary.functions_left_out && !summary.modules_left_out);
}
END_TEST

START_TEST(frames_that_python_takes_for_one_are_written_as_one)
{
        struct pickle_summary summary;
        blocks(0, 1, 10, 1, 1, "s,a.py,3,f");
        blocks(0, 1, 10, 1, 1, "s,a.py,3,g");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert(HOLDS("\x85\x94K\x01t2e"));
        ck_assert(summary.functions_left_out);
}
END_TEST

/* ---- long ones ---- */

START_TEST(many_blocks_come_in_batches_and_chunks)
{
        struct pickle_summary summary;
        struct snapshot *s;
        blocks(0, 1, 10, 1000, 1, "s,a.py,3");
        blocks(0, 1, 11, 600001, 1, "s,a.py,3");
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), 0);
        ck_assert_uint_eq(summary.blocks, 601001);
        ck_assert_uint_gt(file.n_chunks, 2);
        ck_assert_uint_le(file.largest, PICKLE_CHUNK_BYTES);
        ck_assert(HOLDS("22e((K\x00K\x0bh\x02K\x01t22"));
        ck_assert(HOLDS("22e((K\x00K\x0bh\x02K\x01tesb"));
        s = read_back();
        ck_assert_uint_eq(s->info.size, 10000 + 11 * 600001);
        ck_assert_uint_eq(s->sizes[1].count, 600001);
        snapshot_unref(s);
}
END_TEST

START_TEST(a_sink_may_end_it)
{
        struct pickle_summary summary;
        blocks(0, 1, 10, UINT64_C(1) << 60, 1, "s,a.py,3");
        file.fail_at = 1;
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), -42);
        ck_assert_uint_eq(file.n_chunks, 2);
}
END_TEST

START_TEST(sums_without_sizes_cannot_be_written)
{
        char *frames[] = {strdup("s,a.py,3")};
        struct pickle_summary summary;
        snapshot_text_sum(text, 0, 1, 10, 2, frames, 1);
        free(frames[0]);
        ck_assert_int_eq(write_snapshot(text, PICKLE_SHAPE_3_9, &summary), PICKLE_E_NO_SIZES);
        ck_assert_uint_eq(file.n_chunks, 0);
}
END_TEST

/* ---- there and back ---- */

/* Writes it, reads it, writes that, and compares the two files. Return: what was read. */
static struct snapshot *check_there_and_back(const struct snapshot *s, enum pickle_shape shape, uint64_t seed) {
        struct pickle_summary summary;
        struct snapshot *once;
        struct file first;
        ck_assert_int_eq(write_snapshot(s, shape, &summary), 0);
        ck_assert_uint_eq(summary.blocks, s->info.count);
        once = read_back();
        first = file;
        file = (struct file){.fail_at = SIZE_MAX};
        ck_assert_int_eq(write_snapshot(once, shape, &summary), 0);
        ck_assert(!summary.functions_left_out && !summary.modules_left_out && !summary.total_nframe_left_out);
        ck_assert_msg(file.length == first.length && memcmp(file.bytes, first.bytes, file.length) == 0,
                      "seed %" PRIu64 ": another file, shape %d", seed, shape);
        free(first.bytes);
        return once;
}

START_TEST(what_comes_back_is_equal)
{
        struct snapshot_random_options options = {.n_tracebacks = 60};
        char why[2048];
        for (options.seed = 1; options.seed <= 30; options.seed++) {
                struct snapshot *s = snapshot_random(&options);
                struct snapshot *once = check_there_and_back(s, PICKLE_SHAPE_3_9, options.seed);
                ck_assert_uint_eq(once->info.count, s->info.count);
                ck_assert_uint_eq(once->info.size, s->info.size);
                struct snapshot *twice = check_there_and_back(once, PICKLE_SHAPE_3_9, options.seed);
                ck_assert_msg(snapshot_equal(once, twice, false, why, sizeof why), "seed %" PRIu64 ": %s", options.seed,
                              why);
                struct snapshot *older = check_there_and_back(s, PICKLE_SHAPE_3_8, options.seed);
                ck_assert_uint_eq(older->info.count, s->info.count);
                snapshot_unref(s);
                snapshot_unref(once);
                snapshot_unref(twice);
                snapshot_unref(older);
        }
}
END_TEST

int main(void) {
        const TTest *const cases[] = {one_block_is_these_bytes,
                                      the_older_shape_has_three,
                                      an_empty_snapshot_is_an_empty_list,
                                      frames_lie_most_recent_first,
                                      what_is_there_already_is_referred_to,
                                      unknown_total_nframe_is_none,
                                      numbers_are_as_short_as_they_can_be,
                                      bytes_that_are_no_text_are_escaped,
                                      frames_without_a_line_are_named_by_function_or_offset,
                                      native_frames_stand_in_the_order_of_their_names,
                                      functions_and_modules_in_names_are_not_left_out,
                                      frames_that_python_takes_for_one_are_written_as_one,
                                      many_blocks_come_in_batches_and_chunks,
                                      a_sink_may_end_it,
                                      sums_without_sizes_cannot_be_written,
                                      what_comes_back_is_equal};
        Suite *suite = suite_create("pickle_writer");
        TCase *tcase = check_case("pickle_writer");

        tcase_add_checked_fixture(tcase, setup, teardown);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                tcase_add_test(tcase, cases[i]);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
