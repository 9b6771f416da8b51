/* SPDX-License-Identifier: Apache-2.0 */

/* Which of the writers that wait for room are woken, and when. */

#include "daemon/ingest/ring_reader.h"
#include "tests/support/check_main.h"
#include "tests/unit/ingest/ring_writer.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>

#define LOG2 RING_LOG2_SIZE_MIN
#define PART ((UINT64_C(1) << LOG2) / 32)

static struct ring_writer writer;
static struct ring_reader reader;
static struct definitions definitions;
static long woken; /* of how many, by the last call; 0: none was made */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...) {
        long a[6];
        va_list arguments;
        va_start(arguments, number);
        for (int i = 0; i < 6; i++)
                a[i] = va_arg(arguments, long);
        va_end(arguments);
        if (number == SYS_futex && (int)a[1] == FUTEX_WAKE && (void *)a[0] == (void *)&reader.control->tail_wake)
                woken = (int)a[2];
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void open_pair(void) {
        const char *reason;
        writer_open(&writer, LOG2);
        ck_assert_int_eq(ring_reader_open(&reader, writer.ring_fd, TRACE_EXACT, 64, 3, 1000, &reason), 0);
        ck_assert_int_eq(definitions_open_ring(&definitions, writer.definitions_fd, &reason), 0);
        atomic_store(&writer.header->waiters, 3);
}

static void close_pair(void) {
        ring_reader_close(&reader);
        definitions_close(&definitions);
        close(writer.ring_fd);
        close(writer.definitions_fd);
        writer_close(&writer);
}

/* Read and release at least @bytes. */
static void make_room(uint64_t bytes) {
        struct event events[EVENT_BATCH_MAX];
        uint64_t end = atomic_load(&writer.header->head) + bytes;
        size_t n;
        woken = 0;
        while (atomic_load(&writer.header->head) < end)
                writer_put(&writer, RECORD_FREE, 0, 0, 0x1000, 0, 0);
        while (reader.position < end)
                ck_assert_int_eq(
                        ring_reader_read(&reader, &definitions, ring_reader_head(&reader), events, EVENT_BATCH_MAX, &n),
                        0);
        ring_reader_release(&reader);
}

START_TEST(one_writer_is_woken_for_each_32nd_of_the_ring)
{
        make_room(PART / 2);
        ck_assert_int_eq(woken, 0);
        for (int i = 0; i < 3; i++) {
                make_room(PART);
                ck_assert_int_eq(woken, 1);
        }
}
END_TEST

START_TEST(a_reader_that_turns_away_wakes_all)
{
        make_room(PART / 2);
        ring_reader_wake(&reader);
        ck_assert_int_eq(woken, INT_MAX);
        woken = 0;
        ring_reader_wake(&reader);
        ck_assert_int_eq(woken, 0);
}
END_TEST

START_TEST(a_mode_that_changes_is_told_to_all)
{
        ring_reader_set_mode(&reader, TRACE_ENDED);
        ck_assert_int_eq(woken, INT_MAX);
}
END_TEST

START_TEST(where_nobody_waits_nobody_is_woken)
{
        atomic_store(&writer.header->waiters, 0);
        make_room(2 * PART);
        ring_reader_wake(&reader);
        ck_assert_int_eq(woken, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest/ring_wake");
        TCase *tcase = check_case("ring_wake");
        tcase_add_checked_fixture(tcase, open_pair, close_pair);
        tcase_add_test(tcase, one_writer_is_woken_for_each_32nd_of_the_ring);
        tcase_add_test(tcase, a_reader_that_turns_away_wakes_all);
        tcase_add_test(tcase, a_mode_that_changes_is_told_to_all);
        tcase_add_test(tcase, where_nobody_waits_nobody_is_woken);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
