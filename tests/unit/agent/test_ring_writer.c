/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/ring_writer.h"
#include "tests/support/check_main.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LOG2 16
#define SIZE (1u << LOG2)

static struct ring_writer ring;
static struct ring_control *control;
static void *memory;
static bool reader_lives;
static unsigned n_asked;
static _Atomic unsigned n_slow;

/* By the linker in the place of ring_put_slow(). */
uint64_t __real_ring_put_slow(struct ring_writer *ring_, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                              uint64_t b, uint64_t c);
uint64_t __wrap_ring_put_slow(struct ring_writer *ring_, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                              uint64_t b, uint64_t c);

uint64_t __wrap_ring_put_slow(struct ring_writer *ring_, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                              uint64_t b, uint64_t c) {
        n_slow++;
        return __real_ring_put_slow(ring_, room, n_words, header, a, b, c);
}

static bool stalled(void *context) {
        n_asked++;
        return reader_lives;
}

static void set_up(void) {
        memory = aligned_alloc(4096, RING_HEADER_BYTES + SIZE);
        control = aligned_alloc(4096, CONTROL_BYTES);
        memset(memory, 0, RING_HEADER_BYTES + SIZE);
        memset(control, 0, CONTROL_BYTES);
        atomic_store(&control->fill_mark, UINT64_MAX);
        atomic_store(&control->mode, TRACE_EXACT);
        ring_writer_init(&ring, memory, LOG2, control);
        ring.stalled = stalled;
        reader_lives = true;
        n_asked = 0;
        n_slow = 0;
}

static void tear_down(void) {
        free(memory);
        free(control);
}

static uint64_t word(uint64_t position) {
        return ring.data[position % SIZE / 8];
}

static uint64_t put_free(uint64_t address, unsigned room) {
        return ring_put(&ring, room, 2, record_header(RECORD_FREE, 0, 0, 0), address, 0, 0);
}

static uint64_t put_alloc(uint64_t address, unsigned room) {
        return ring_put(&ring, room | RING_KEEP_RESERVE, 3, record_header(RECORD_ALLOC, 0, 0, 7), address, 10, 0);
}

START_TEST(header_says_what_it_is)
{
        const struct ring_header *header = memory;
        ck_assert_uint_eq(header->magic, RING_MAGIC);
        ck_assert_uint_eq(header->version, RING_VERSION);
        ck_assert_uint_eq(header->log2_size, LOG2);
}
END_TEST

START_TEST(records_lie_back_to_back)
{
        ck_assert_uint_eq(put_alloc(0x1000, 0), 0);
        ck_assert_uint_eq(put_free(0x1000, 0), 24);
        ck_assert_uint_eq(atomic_load(&ring.header->head), 40);
        ck_assert_uint_eq(word(0), record_header(RECORD_ALLOC, 0, 0, 7));
        ck_assert_uint_eq(word(8), 0x1000);
        ck_assert_uint_eq(word(16), 10);
        ck_assert_uint_eq(word(24), record_header(RECORD_FREE, 0, 0, 0));
}
END_TEST

START_TEST(a_record_crosses_the_end_with_the_lap_of_its_beginning)
{
        uint64_t position;
        while ((position = put_alloc(0x1000, 0)) + 24 <= SIZE)
                atomic_store(&control->tail, position);
        ck_assert_uint_lt(position, SIZE); /* 65536 is no multiple of 24 */
        ck_assert_uint_eq(record_lap(word(position)), 0);
        ck_assert_uint_eq(word(position + 16), 10);
        position = put_alloc(0x2000, 0);
        ck_assert_uint_ge(position, SIZE);
        ck_assert_uint_eq(record_lap(word(position)), 1);
}
END_TEST

/* What a record costs rests on it, and nothing else would show that it is not so. */
START_TEST(all_but_one_record_of_a_page_take_the_short_way)
{
        enum { N_RECORDS = 20000, N_PAGES = N_RECORDS * 24 / RING_LOOK_BYTES };

        for (unsigned i = 0; i < N_RECORDS; i++)
                atomic_store(&control->tail, put_alloc(0x1000, 0) + 24);
        ck_assert_uint_eq(atomic_load(&ring.header->head), N_RECORDS * 24);
        ck_assert_uint_ge(n_slow, N_PAGES);
        ck_assert_uint_le(n_slow, N_PAGES + 2);
}
END_TEST

START_TEST(allocations_leave_room_for_frees)
{
        uint64_t n_allocs = 0, n_frees = 0;
        while (put_alloc(0x1000, 0) != RING_NO_POSITION)
                n_allocs++;
        ck_assert_uint_eq(n_allocs, (SIZE - RING_FREE_RESERVE(SIZE)) / 24);
        while (put_free(0x1000, 0) != RING_NO_POSITION)
                n_frees++;
        ck_assert_uint_ge(n_frees, RING_FREE_RESERVE(SIZE) / 16 - 2);
        ck_assert_uint_le(n_allocs * 24 + n_frees * 16, SIZE);
        ck_assert_uint_gt(atomic_load(&ring.header->lost_events), 0);
}
END_TEST

START_TEST(losses_are_told_when_there_is_room)
{
        while (put_free(0x1000, 0) != RING_NO_POSITION)
                ;
        for (int i = 0; i < 4; i++)
                put_free(0x1000, 0);
        atomic_store(&control->tail, atomic_load(&ring.header->head));
        uint64_t position = put_free(0x2000, 0);
        ck_assert_uint_eq(record_type(word(position - 16)), RECORD_LOST);
        ck_assert_uint_eq(word(position - 8), 5);
        ck_assert_uint_eq(atomic_load(&ring.header->lost_events), 5);
        position = put_free(0x2000, 0);
        ck_assert_uint_eq(record_type(word(position - 16)), RECORD_FREE);
}
END_TEST

START_TEST(a_writer_gives_up_after_the_stall_limit_and_then_waits_no_more)
{
        uint64_t stalls;
        atomic_store(&control->stall_limit_us, 1000);
        while (put_free(0x1000, RING_MAY_WAIT) != RING_NO_POSITION)
                ;
        stalls = atomic_load(&ring.header->stalls);
        ck_assert_uint_eq(stalls, 1);
        ck_assert_uint_ge(atomic_load(&ring.header->stall_ns), 1000000);
        ck_assert_uint_eq(atomic_load(&ring.header->waiters), 0);
        ck_assert_uint_eq(n_asked, 1);
        for (int i = 0; i < 100; i++)
                put_free(0x1000, RING_MAY_WAIT);
        ck_assert_uint_eq(atomic_load(&ring.header->stalls), stalls);
        ck_assert_uint_eq(atomic_load(&ring.header->lost_events), 101);
        /* once there was room, waiting begins anew */
        atomic_store(&control->tail, atomic_load(&ring.header->head));
        while (put_free(0x1000, RING_MAY_WAIT) != RING_NO_POSITION)
                ;
        ck_assert_uint_eq(atomic_load(&ring.header->stalls), stalls + 1);
}
END_TEST

/* Once each of them waited anew, as long as the room that is kept for frees lasted: minutes in all. */
START_TEST(allocations_and_frees_behind_a_stopped_reader_wait_once)
{
        uint64_t n_frees = 0;
        atomic_store(&control->stall_limit_us, 1000);
        while (put_alloc(0x1000, RING_MAY_WAIT) != RING_NO_POSITION)
                ;
        for (int i = 0; i < 1000; i++) {
                ck_assert_uint_eq(put_alloc(0x1000, RING_MAY_WAIT), RING_NO_POSITION);
                n_frees += put_free(0x1000, RING_MAY_WAIT) != RING_NO_POSITION;
        }
        ck_assert_uint_eq(atomic_load(&ring.header->stalls), 1);
        ck_assert_uint_ge(n_frees, RING_FREE_RESERVE(SIZE) / 16 - 2); /* no report took their room */
        ck_assert_uint_eq(atomic_load(&ring.header->lost_events), 1 + 2000 - n_frees);
}
END_TEST

START_TEST(nobody_counts_losses_that_nobody_will_read)
{
        reader_lives = false;
        atomic_store(&control->stall_limit_us, 1000);
        while (put_free(0x1000, RING_MAY_WAIT) != RING_NO_POSITION)
                ;
        ck_assert_uint_eq(atomic_load(&ring.header->lost_events), 0);
}
END_TEST

START_TEST(the_end_of_the_daemon_ends_a_wait)
{
        atomic_store(&control->stall_limit_us, 100000000);
        while (put_free(0x1000, 0) != RING_NO_POSITION)
                ;
        atomic_store(&control->mode, TRACE_ENDED);
        ck_assert_uint_eq(put_free(0x1000, RING_MAY_WAIT), RING_NO_POSITION);
}
END_TEST

START_TEST(the_doorbell_rings_when_the_mark_is_passed)
{
        struct doorbell doorbell = {0};
        atomic_store(&ring.doorbell, &doorbell);
        atomic_store(&control->fill_mark, 40);
        put_free(0x1000, 0); /* 0..16 */
        put_free(0x1000, 0); /* ..32 */
        ck_assert_uint_eq(doorbell.word, 0);
        put_free(0x1000, 0); /* ..48 */
        ck_assert_uint_eq(doorbell.word, 1);
        put_free(0x1000, 0);
        ck_assert_uint_eq(doorbell.word, 1);
        atomic_store(&control->fill_mark, 80); /* before < mark <= after: exactly at the end counts */
        put_free(0x1000, 0);                   /* ..80 */
        ck_assert_uint_eq(doorbell.word, 2);
}
END_TEST

START_TEST(a_mark_that_was_passed_unseen_is_seen_a_page_later)
{
        struct doorbell doorbell = {0};
        atomic_store(&ring.doorbell, &doorbell);
        while (atomic_load(&ring.header->head) < 3 * RING_LOOK_BYTES / 2)
                put_free(0x1000, 0);
        ck_assert_uint_eq(doorbell.word, 0);
        atomic_store(&control->fill_mark, atomic_load(&ring.header->head));
        while (atomic_load(&ring.header->head) < 2 * RING_LOOK_BYTES - 16)
                put_free(0x1000, 0);
        ck_assert_uint_eq(doorbell.word, 0);
        put_free(0x1000, 0);
        ck_assert_uint_eq(doorbell.word, 1);
}
END_TEST

#define PER_WRITER 50000
#define N_WRITERS  4

static void *write_many(void *data) {
        for (uint64_t i = 1; i <= PER_WRITER; i++)
                ring_put(&ring, RING_MAY_WAIT, 3, record_header(RECORD_ALLOC, 0, 0, (uint32_t)(uintptr_t)data), i,
                         i * 3, 0);
        return NULL;
}

/* The reader sees every writer's records once, whole, in the writer's order. */
START_TEST(many_writers_one_reader)
{
        pthread_t threads[N_WRITERS];
        uint64_t position = 0, seen[N_WRITERS] = {0};
        atomic_store(&control->stall_limit_us, 100000000);
        for (uintptr_t i = 0; i < N_WRITERS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
        while (position < (uint64_t)N_WRITERS * PER_WRITER * 24) {
                uint64_t header = atomic_load(&ring.data[position % SIZE / 8]);
                if (position >= atomic_load(&ring.header->head) || !(header & RECORD_HEADER_BIT) ||
                    record_lap(header) != (position >> LOG2 & 255)) {
                        sched_yield();
                        continue;
                }
                uint64_t writer = record_argument(header);
                ck_assert_uint_lt(writer, N_WRITERS);
                ck_assert_uint_eq(word(position + 8), ++seen[writer]);
                ck_assert_uint_eq(word(position + 16), seen[writer] * 3);
                position += 24;
                atomic_store(&control->tail, position);
                atomic_fetch_add(&control->tail_wake, 1);
        }
        for (int i = 0; i < N_WRITERS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_uint_eq(atomic_load(&ring.header->lost_events), 0);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* whose runtime cannot be interrupted anywhere */

#define TRAP_FLAG "0x100" /* of the processor's flags: SIGTRAP after each instruction */

static unsigned n_steps, interrupt_at;
static uint64_t position_of_handler;

static void interrupt(int number) {
        if (n_steps++ == interrupt_at)
                position_of_handler = ring_reserve(&ring, 0, 24);
}

/* Reserves, and a signal comes after instruction number @at. Return: false: it would have come later. */
static bool reserve_interrupted(unsigned at, uint64_t *positionp) {
        n_steps = 0;
        interrupt_at = at;
        __asm__ volatile("subq $128, %%rsp; pushfq; orq $" TRAP_FLAG ", (%%rsp); popfq; addq $128, %%rsp" ::
                                 : "memory", "cc");
        *positionp = ring_reserve(&ring, 0, 24);
        __asm__ volatile("subq $128, %%rsp; pushfq; andq $~" TRAP_FLAG ", (%%rsp); popfq; addq $128, %%rsp" ::
                                 : "memory", "cc");
        return n_steps > at;
}

/* Without the lock, too, whatever instruction a signal handler comes after. */
START_TEST(a_lone_thread_and_its_signal_handlers_reserve_for_themselves)
{
        uint64_t position, start = 0;
        unsigned n = 0;
        ring.single_threaded = "1";
        ck_assert(signal(SIGTRAP, interrupt) != SIG_ERR);
        for (; reserve_interrupted(n, &position); n++) {
                ck_assert_uint_eq(position + position_of_handler, start * 2 + 24);
                ck_assert_uint_ne(position, position_of_handler);
                start += 48;
                ck_assert_uint_eq(atomic_load(&ring.header->head), start);
                atomic_store(&control->tail, start);
        }
        ck_assert_uint_gt(n, 10);
}
END_TEST

#endif

int main(void) {
        Suite *suite = suite_create("ring_writer");
        TCase *tcase = check_case("ring_writer");
        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, header_says_what_it_is);
        tcase_add_test(tcase, records_lie_back_to_back);
        tcase_add_test(tcase, a_record_crosses_the_end_with_the_lap_of_its_beginning);
        tcase_add_test(tcase, all_but_one_record_of_a_page_take_the_short_way);
        tcase_add_test(tcase, allocations_leave_room_for_frees);
        tcase_add_test(tcase, losses_are_told_when_there_is_room);
        tcase_add_test(tcase, a_writer_gives_up_after_the_stall_limit_and_then_waits_no_more);
        tcase_add_test(tcase, allocations_and_frees_behind_a_stopped_reader_wait_once);
        tcase_add_test(tcase, nobody_counts_losses_that_nobody_will_read);
        tcase_add_test(tcase, the_end_of_the_daemon_ends_a_wait);
        tcase_add_test(tcase, the_doorbell_rings_when_the_mark_is_passed);
        tcase_add_test(tcase, a_mark_that_was_passed_unseen_is_seen_a_page_later);
        tcase_add_test(tcase, many_writers_one_reader);
#ifndef __SANITIZE_THREAD__
        tcase_add_test(tcase, a_lone_thread_and_its_signal_handlers_reserve_for_themselves);
#endif
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
