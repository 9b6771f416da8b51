/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ring's two ends, agent/ring_writer and daemon/ingest/ring_reader as they are, in every order that the scheduler
 * of tests/support/interleave.h finds: several writers, one reader that does what feed_reader.c does, a ring that is
 * full after a few records, processes and daemons killed at any access. In each schedule:
 *
 *   - what is read is what was put, whole, each record once, at the position that its writer was told;
 *   - a writer's records come in its order;
 *   - what was put is read, or counted as lost. Of a killed process at most one record a thread is missing, and then
 * the reader noticed a hole;
 *   - nobody waits for ever, and with a daemon that lives nobody waits until a time limit wakes it;
 *   - the bell rings when the reader's mark is passed while it sleeps;
 *   - a daemon that was killed has a successor, which begins where the last commit was and finds all that came after.
 *
 * That these can fail is seen by mistakes that the scheduler plants.
 */

#include "agent/ring_writer.h"
#include "daemon/ingest/ring_reader.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG2        7 /* five allocations */
#define SIZE        (1u << LOG2)
#define WRITERS_MAX 3
#define PUTS_MAX    8
#define BATCH       2
#define READ_MAX    (WRITERS_MAX * PUTS_MAX * 2)

enum { PROCESS, DAEMON };

struct put {
        uint64_t position; /* RING_NO_POSITION: lost */
        uint64_t address;
        unsigned type;
};

static struct {
        unsigned id, room, n_puts;
        struct put puts[PUTS_MAX]; /* done, that is, returned */
        unsigned n_done;
} writers[WRITERS_MAX];

/* What every schedule of a test begins with. */
static struct {
        unsigned n_writers, n_puts;
        uint64_t start; /* position */
        uint32_t stall_limit_us;
} set_up_with;

static _Alignas(4096) char memory[RING_HEADER_BYTES + SIZE];
static _Alignas(4096) char control_memory[CONTROL_BYTES];
static struct doorbell doorbell;
static struct ring_writer ring;
static struct ring_control *const control = (struct ring_control *)(void *)control_memory;
static struct definitions definitions = {.n_nodes_seen = UINT32_MAX};
static struct ring_reader reader;
static struct event events[READ_MAX]; /* applied */
static unsigned n_events, n_committed, n_holes, n_live_writers;
static uint64_t committed; /* position */
static bool is_dead, was_restarted, at_hole;

void *interleave_memory(size_t length) {
        return calloc(1, length);
}

/* ---- the traced process ---- */

static uint64_t size_of(uint64_t address) {
        return address * 5 + 1;
}

static void write_records(void *argument) {
        __typeof__(&writers[0]) self = argument;

        for (unsigned i = 0; i < self->n_puts; i++) {
                struct put put = {.type = (i + self->id) % 2 ? RECORD_FREE : RECORD_ALLOC};
                unsigned room = self->room | (put.type == RECORD_ALLOC ? RING_KEEP_RESERVE : 0);
                put.address = (uint64_t)(self->id + 1) << 20 | (i + 1) << 4;
                if (put.type == RECORD_ALLOC)
                        put.position = ring_put(&ring, room, 3, record_header(RECORD_ALLOC, 0, 0, self->id),
                                                put.address, size_of(put.address), 0);
                else
                        put.position = ring_put(&ring, room, 2, record_header(RECORD_FREE, 0, 0, 0), put.address, 0, 0);
                self->puts[self->n_done++] = put;
        }
        n_live_writers--;
}

/* ---- the daemon ---- */

/* In one go: what feed_commit() makes of it. */
static void commit(void) {
        n_committed = n_events;
        committed = reader.position;
}

static bool read_batch(uint64_t head) {
        /* as last_look: what a process that dies meanwhile has published is no hole */
        const bool was_dead = is_dead;
        size_t n;
        uint64_t lost;
        bool go_on = true;

        at_hole = false;
        if (n_events + BATCH > READ_MAX)
                interleave_fail("more records read than were put");
        int r = ring_reader_read(&reader, &definitions, head, events + n_events, BATCH, &n);
        n_events += n;
        if (r == RING_READER_E_MALFORMED)
                interleave_fail("a malformed record at %llu", (unsigned long long)reader.position);
        if (r == RING_READER_HOLE) {
                go_on = was_dead && ring_reader_skip(&reader, head, true, &lost);
                n_holes += go_on;
                at_hole = !go_on;
        }
        commit();
        ring_reader_release(&reader);
        return go_on;
}

static void sleep_until_bell(uint32_t heard) {
        bool timed_out = interleave_wait(&doorbell.word, heard, 100000000, true);
        /* then nobody else can run, and memory says what is */
        if (timed_out && !is_dead && !at_hole &&
            *(volatile uint64_t *)&ring.header->head >= *(volatile uint64_t *)&control->fill_mark)
                interleave_fail("the mark was passed without a bell");
}

static void read_records(void *argument) {
        for (;;) {
                /* before the head, as the end of a process is seen before the last look at its ring */
                bool last_look = is_dead || n_live_writers == 0;
                uint32_t heard = atomic_load(&doorbell.word);
                uint64_t head = ring_reader_head(&reader);
                if (!ring_reader_limit(&reader, head))
                        interleave_fail("the head is where it cannot be");
                while (reader.position < head && read_batch(head))
                        ;
                ring_reader_wake(&reader);
                if (last_look)
                        return;
                /* a hole that stays: the real one sleeps a millisecond */
                if ((ring_reader_arm(&reader) || at_hole) && !is_dead && n_live_writers > 0)
                        sleep_until_bell(heard);
        }
}

static void begin_reading(uint64_t position) {
        reader = (struct ring_reader){.header = ring.header,
                                      .data = ring.data,
                                      .control = control,
                                      .control_fd = -1,
                                      .log2_size = LOG2,
                                      .position = position,
                                      .woken_at = position};
        n_events = n_committed;
        interleave_spawn(read_records, NULL, DAEMON);
}

static void on_kill(unsigned group) {
        if (group == PROCESS) {
                is_dead = true;
                interleave_wake(&doorbell.word);
                return;
        }
        was_restarted = true;
        /* as ring_reader_adopt() does */
        atomic_store(&control->tail, committed);
        begin_reading(committed);
}

/* ---- a schedule ---- */

static void set_up(void) {
        memset(memory, 0, sizeof memory);
        memset(control_memory, 0, sizeof control_memory);
        memset(&doorbell, 0, sizeof doorbell);
        control->mode = TRACE_EXACT;
        control->stall_limit_us = set_up_with.stall_limit_us;
        control->tail = committed = set_up_with.start;
        control->fill_mark = set_up_with.start + SIZE / 2;
        ring_writer_init(&ring, memory, LOG2, control);
        ring.doorbell = &doorbell;
        ring.header->head = set_up_with.start;
        ring.populate_at = UINT64_MAX;
        n_committed = n_holes = 0;
        is_dead = was_restarted = false;
        n_live_writers = set_up_with.n_writers;
        begin_reading(set_up_with.start);
        for (unsigned i = 0; i < set_up_with.n_writers; i++) {
                memset(&writers[i], 0, sizeof writers[i]);
                writers[i].id = i;
                writers[i].n_puts = set_up_with.n_puts;
                /* the last one is a signal handler: it never waits */
                writers[i].room = i + 1 == WRITERS_MAX ? 0 : RING_MAY_WAIT;
                interleave_spawn(write_records, &writers[i], PROCESS);
        }
}

/* What was read is what somebody put, in each writer's order. */
static void check_records(void) {
        unsigned next[WRITERS_MAX] = {0};
        uint64_t position = set_up_with.start;
        for (unsigned i = 0; i < n_events; i++) {
                const struct event *event = &events[i];
                uint64_t address = event->word[0], writer = (address >> 20) - 1, n = (address & 0xfffff) >> 4;
                if (event->position < position)
                        interleave_fail("a position was read twice");
                position = event->position + 1;
                if (event->type == RECORD_LOST)
                        continue;
                if (writer >= set_up_with.n_writers || n <= next[writer] || n > set_up_with.n_puts)
                        interleave_fail("a record that nobody put, or in another order: address %llx",
                                        (unsigned long long)address);
                else
                        next[writer] = (unsigned)n;
                if (event->type == RECORD_ALLOC && (event->word[1] != size_of(address) || event->argument != writer))
                        interleave_fail("half a record");
        }
}

static const struct event *find_event(const struct put *put) {
        for (unsigned i = 0; i < n_events; i++)
                if (events[i].type == put->type && events[i].word[0] == put->address)
                        return &events[i];
        return NULL;
}

/* What was put is read, or counted. */
static void check_account(void) {
        uint64_t n_lost = 0, n_told = 0, n_unfinished = 0, n_missing = 0;
        for (unsigned i = 0; i < set_up_with.n_writers; i++) {
                for (unsigned j = 0; j < writers[i].n_done; j++) {
                        const struct put *put = &writers[i].puts[j];
                        const struct event *event = find_event(put);
                        n_lost += put->position == RING_NO_POSITION;
                        if (put->position == RING_NO_POSITION ? event != NULL
                                                              : !event || event->position != put->position)
                                n_missing++;
                }
                n_unfinished += writers[i].n_done < writers[i].n_puts;
        }
        for (unsigned i = 0; i < n_events; i++)
                n_told += events[i].type == RECORD_LOST ? events[i].word[0] : 0;
        uint64_t counted = ring.header->lost_events;
        if (n_missing > 0)
                interleave_fail("%llu records vanished", (unsigned long long)n_missing);
        if (counted < n_lost || counted > n_lost + n_unfinished)
                interleave_fail("%llu were lost, %llu counted", (unsigned long long)n_lost,
                                (unsigned long long)counted);
        if (n_told > counted)
                interleave_fail("more losses told than counted");
        if (n_unfinished > 0 && !is_dead)
                interleave_fail("a writer did not come to its end");
        if (reader.position != ring.header->head)
                interleave_fail("not read to the end");
        if (n_holes > n_unfinished)
                interleave_fail("more holes than writers that died");
}

static void check_waits(const struct interleave_search *search) {
        /* a daemon that dies may owe a wake-up, and so may a process */
        if (search->n_late_wakes > 0 && !was_restarted && !is_dead)
                interleave_fail("a writer was woken by its time limit alone");
        if (ring.header->waiters != 0 && !is_dead)
                interleave_fail("somebody counts as waiting for ever");
}

static void run(struct interleave_search *search) {
        search->killed = on_kill;
        while (interleave_next(search)) {
                set_up();
                interleave_run(search);
                check_records();
                check_account();
                check_waits(search);
        }
}

static void expect_none(struct interleave_search *search) {
        run(search);
        ck_assert_msg(!search->failure[0], "%s", search->failure);
        printf("# %llu schedules\n", (unsigned long long)search->n_done);
}

/* ---- tests ---- */

#define N_RANDOM 10000

/* positions at which laps, also their eight bits, and pages of records end */
static const uint64_t starts[] = {0, SIZE - 8, 256 * SIZE - 40, RING_LOOK_BYTES - 24};
enum { N_STARTS = sizeof starts / sizeof starts[0] };

START_TEST(two_writers_and_a_reader_in_every_order_of_three_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 3};
        set_up_with = (__typeof__(set_up_with)){.n_writers = 2, .n_puts = 1, .start = starts[_i]};
        expect_none(&search);
        ck_assert(search.complete);
}
END_TEST

START_TEST(stores_come_late_in_every_order_of_two_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2, .delays = 2};
        set_up_with = (__typeof__(set_up_with)){.n_writers = 2, .n_puts = 1, .start = starts[_i]};
        expect_none(&search);
        ck_assert(search.complete);
}
END_TEST

START_TEST(a_process_dies_at_every_step)
{
        struct interleave_search search = {
                .exhaustive = true, .switches = 2, .delays = 1, .killable = 1 << PROCESS, .kills = 1};
        set_up_with = (__typeof__(set_up_with)){.n_writers = 2, .n_puts = 1, .start = starts[_i]};
        expect_none(&search);
        ck_assert(search.complete);
}
END_TEST

START_TEST(a_daemon_dies_at_every_step)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2, .killable = 1 << DAEMON, .kills = 1};
        set_up_with = (__typeof__(set_up_with)){.n_writers = 2, .n_puts = 1, .start = starts[_i]};
        expect_none(&search);
        ck_assert(search.complete);
}
END_TEST

START_TEST(a_full_ring_is_waited_for_in_every_order_of_two_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2};
        set_up_with = (__typeof__(set_up_with)){
                .n_writers = 1, .n_puts = PUTS_MAX, .start = starts[_i], .stall_limit_us = 2000000};
        expect_none(&search);
        ck_assert(search.complete);
}
END_TEST

static struct interleave_search random_search(unsigned n) {
        return (struct interleave_search){.seed = 1 + (uint64_t)n * N_RANDOM, .n_schedules = N_RANDOM};
}

START_TEST(three_writers_in_thousands_of_orders)
{
        struct interleave_search search = random_search((unsigned)_i);
        set_up_with = (__typeof__(set_up_with)){
                .n_writers = 3, .n_puts = PUTS_MAX, .start = starts[_i], .stall_limit_us = 2000000};
        expect_none(&search);
}
END_TEST

START_TEST(three_writers_that_never_wait)
{
        struct interleave_search search = random_search((unsigned)_i);
        set_up_with = (__typeof__(set_up_with)){.n_writers = 3, .n_puts = PUTS_MAX, .start = starts[_i]};
        expect_none(&search);
}
END_TEST

START_TEST(processes_and_daemons_die_in_thousands_of_orders)
{
        struct interleave_search search = random_search((unsigned)_i);
        search.killable = 1 << PROCESS | 1 << DAEMON;
        search.kills = 3;
        set_up_with = (__typeof__(set_up_with)){
                .n_writers = 3, .n_puts = PUTS_MAX, .start = starts[_i], .stall_limit_us = 2000000};
        expect_none(&search);
}
END_TEST

static void expect_found(enum interleave_plant plant, bool exhaustive) {
        struct interleave_search search = random_search(0);
        set_up_with = (__typeof__(set_up_with)){.n_writers = 3, .n_puts = PUTS_MAX, .stall_limit_us = 2000000};
        if (exhaustive) {
                search = (struct interleave_search){.exhaustive = true, .switches = 3, .delays = 1};
                set_up_with = (__typeof__(set_up_with)){.n_writers = 2, .n_puts = 1};
        }
        search.plant = plant;
        run(&search);
        ck_assert_msg(search.failure[0], "not found in %llu schedules", (unsigned long long)search.n_done);
        printf("# found: %s\n", search.failure);
}

START_TEST(a_header_published_before_its_payload_is_found)
{ expect_found(INTERLEAVE_PLANT_RELEASE, _i); }
END_TEST

START_TEST(a_reservation_that_is_not_atomic_is_found)
{ expect_found(INTERLEAVE_PLANT_CAS, _i); }
END_TEST

START_TEST(a_wake_up_lost_to_a_late_store_is_found)
{ expect_found(INTERLEAVE_PLANT_SEQ_CST, false); }
END_TEST

int main(void) {
        Suite *suite = suite_create("ring_interleaved");
        TCase *all = check_long_case(suite, "all"), *some = check_long_case(suite, "some"),
              *planted = check_long_case(suite, "planted");
        tcase_add_loop_test(all, two_writers_and_a_reader_in_every_order_of_three_switches, 0, N_STARTS);
        tcase_add_loop_test(all, stores_come_late_in_every_order_of_two_switches, 0, N_STARTS);
        tcase_add_loop_test(all, a_process_dies_at_every_step, 0, 2);
        tcase_add_loop_test(all, a_daemon_dies_at_every_step, 0, N_STARTS);
        tcase_add_loop_test(all, a_full_ring_is_waited_for_in_every_order_of_two_switches, 0, N_STARTS);
        tcase_add_loop_test(some, three_writers_in_thousands_of_orders, 0, N_STARTS);
        tcase_add_loop_test(some, three_writers_that_never_wait, 0, N_STARTS);
        tcase_add_loop_test(some, processes_and_daemons_die_in_thousands_of_orders, 0, N_STARTS);
        tcase_add_loop_test(planted, a_header_published_before_its_payload_is_found, 0, 2);
        tcase_add_loop_test(planted, a_reservation_that_is_not_atomic_is_found, 0, 2);
        tcase_add_test(planted, a_wake_up_lost_to_a_late_store_is_found);
        return check_run(suite);
}
