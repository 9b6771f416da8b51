/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a writer of the ring does when there is no room: wait, give up, count.
 * Runs in whatever thread called a hook; only system calls that leave errno alone.
 */

#include "agent/ring_writer.h"

#include "agent/sys.h"

/* A waiter looks up at least this often, should a wake-up get lost with the daemon that owed it. */
#define WAIT_SLICE_NS UINT64_C(50000000)

/* Events lost between two looks whether the reader still lives. */
#define LOOK_AGAIN_EVENTS 4096

/* Between two looks; a reader that is alive takes at most a tenth of it, or the machine is very busy. */
#define LOOK_NS UINT64_C(1000000000)

/* Pages are had in steps: small ones for the many programs that write little. */
#define POPULATE_FIRST  ((uint64_t)32 << 10)
#define POPULATE_MAX    ((uint64_t)512 << 10)
#define POPULATE_MARGIN ((uint64_t)16 << 10) /* while one thread is at it, the others have this much */

/* 21 ns each on the AMD EPYC that it was measured on; a pause takes 10 to 140 cycles, as the processor has it. 8 saved
 * nothing, 32 less, 200 to 1000 somewhat more (tests/bench/README.md). */
#define STAND_BACK_PAUSES 128

void ring_writer_init(struct ring_writer *ring, void *memory, unsigned log2_size, struct ring_control *control) {
        static const char never;
        *ring = (struct ring_writer){
                .header = memory,
                .data = (_Atomic uint64_t *)((char *)memory + RING_HEADER_BYTES),
                .word_mask = (UINT64_C(1) << log2_size) / 8 - 1,
                .size = UINT64_C(1) << log2_size,
                .log2_size = log2_size,
                .single_threaded = &never,
        };
        atomic_init(&ring->control, control);
        ring->header->magic = RING_MAGIC;
        ring->header->version = RING_VERSION;
        ring->header->log2_size = log2_size;
        sys_populate(memory, RING_HEADER_BYTES + POPULATE_FIRST);
        atomic_init(&ring->populate_at, POPULATE_FIRST - POPULATE_MARGIN);
}

/* The pages that come next, in the first lap. */
static void populate(struct ring_writer *ring, uint64_t head) {
        uint64_t at = atomic_load_explicit(&ring->populate_at, memory_order_relaxed);
        if (head < at)
                return;
        uint64_t start = at + POPULATE_MARGIN;
        uint64_t end = start + (start < POPULATE_MAX ? start : POPULATE_MAX);
        if (end > ring->size)
                end = ring->size;
        /* whoever raises the threshold does it */
        if (atomic_compare_exchange_strong(&ring->populate_at, &at,
                                           end < ring->size ? end - POPULATE_MARGIN : UINT64_MAX))
                sys_populate((char *)ring->data + start, end - start);
}

void ring_wake_reader(struct ring_writer *ring) {
        struct doorbell *doorbell = atomic_load_explicit(&ring->doorbell, memory_order_acquire);
        if (!doorbell)
                return;
        atomic_fetch_add_explicit(&doorbell->word, 1, memory_order_release);
        sys_futex(&doorbell->word, FUTEX_WAKE, 1, NULL);
}

/* Two writers come at the same time and go on doing so: each record then waits for the lines of head and data to come
 * from the other processor, several times as long as the record itself takes. A little apart, each of them writes a
 * few records in a row. */
static void stand_back(void) {
        for (unsigned i = 0; i < STAND_BACK_PAUSES; i++)
                __builtin_ia32_pause();
}

static bool has_room(const struct ring_writer *ring, unsigned room, unsigned length) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t head = atomic_load_explicit(&ring->header->head, memory_order_relaxed);
        return (int64_t)(head + length - atomic_load(&control->tail)) <= (int64_t)ring_limit(ring, room);
}

uint64_t ring_reserve(struct ring_writer *ring, unsigned room, unsigned length) {
        for (;;) {
                uint64_t position = ring_try_reserve(ring, room, length);
                if (position != RING_NO_POSITION || !has_room(ring, room, length))
                        return position;
                stand_back();
        }
}

void ring_report_lost(struct ring_writer *ring) {
        /* Not in what is kept for frees: there would soon be none of it left, and each report ends the giving up, so
         * that the next allocation waits once more. */
        if (!has_room(ring, RING_KEEP_RESERVE, 16 + 8 * RECORD_WORDS_MAX))
                return;
        uint64_t lost = atomic_exchange(&ring->lost_unreported, 0);
        if (!lost)
                return;
        uint64_t position = ring_reserve(ring, 0, 16);
        if (position == RING_NO_POSITION) {
                atomic_fetch_add(&ring->lost_unreported, lost);
                return;
        }
        ring_fill(ring, position, 2, record_header(RECORD_LOST, 0, 0, 0), lost, 0, 0);
        ring_tell_fill(ring, position, 16);
        atomic_store(&ring->gave_up, 0);
}

/* Whether the reader comes after. */
static void look(struct ring_writer *ring, uint64_t head) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t looked = atomic_load_explicit(&ring->looked_at_ns, memory_order_relaxed);
        uint64_t now = sys_clock_ns(true);
        if (now - looked < LOOK_NS || !atomic_compare_exchange_strong(&ring->looked_at_ns, &looked, now))
                return;
        if (ring->stalled && atomic_load(&control->tail) < atomic_load(&ring->looked_head))
                ring->stalled(ring->context);
        atomic_store(&ring->looked_head, head);
}

/* A lone thread's unlocked reservation may pass a mark unseen that is set at that moment. */
static void look_for_mark(struct ring_writer *ring, uint64_t head) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t mark = atomic_load(&control->fill_mark);
        if (mark <= head && head - mark < 2 * RING_LOOK_BYTES)
                ring_wake_reader(ring);
}

/* Once in a page of records, so that a program that records little does it, too: have the pages that come next, in the
 * first lap; wake a reader whose mark was passed unseen; ask, once in a while, whether a reader that did not come after
 * is still there. @head: behind the caller's record, which is published. */
static void look_around(struct ring_writer *ring, unsigned room, uint64_t head) {
        populate(ring, head);
        look_for_mark(ring, head);
        if (room & RING_MAY_WAIT)
                look(ring, head);
}

static void sleep_for_room(const struct ring_control *control, uint32_t wake, uint64_t ns) {
        struct timespec slice = {.tv_nsec = (long)(ns < WAIT_SLICE_NS ? ns : WAIT_SLICE_NS)};
        sys_futex(&control->tail_wake, FUTEX_WAIT, wake, &slice);
}

/* Return: RING_NO_POSITION: there was no room within control.stall_limit_us. */
static uint64_t wait_for_room(struct ring_writer *ring, unsigned room, unsigned length) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t start = sys_clock_ns(false), now = start;
        uint64_t limit = (uint64_t)atomic_load(&control->stall_limit_us) * 1000;
        uint64_t position;
        atomic_fetch_add(&ring->header->stalls, 1);
        atomic_fetch_add(&ring->header->waiters, 1);
        ring_wake_reader(ring); /* it may sleep with its mark behind us */
        for (;;) {
                uint32_t wake = atomic_load(&control->tail_wake);
                position = ring_reserve(ring, room, length);
                if (position != RING_NO_POSITION || now - start >= limit || atomic_load(&control->mode) == TRACE_ENDED)
                        break;
                if (ring->make_room)
                        ring->make_room(ring->context);
                else
                        sleep_for_room(control, wake, start + limit - now);
                now = sys_clock_ns(false);
        }
        atomic_fetch_sub(&ring->header->waiters, 1);
        atomic_fetch_add(&ring->header->stall_ns, now - start);
        return position;
}

/* Waits for room if it may, counts a loss. Return: the position; RING_NO_POSITION: the record is lost and counted. */
static uint64_t reserve_slow(struct ring_writer *ring, unsigned room, unsigned length) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t position, lost;
        bool ask = false;
        if (has_room(ring, room, length)) {
                stand_back();
                position = ring_reserve(ring, room, length);
                if (position != RING_NO_POSITION)
                        return position;
        }
        if ((room & RING_MAY_WAIT) && atomic_load(&control->stall_limit_us)) {
                if (!atomic_load(&ring->gave_up)) {
                        position = wait_for_room(ring, room, length);
                        if (position != RING_NO_POSITION)
                                return position;
                        ask = !atomic_exchange(&ring->gave_up, 1);
                }
                lost = atomic_load_explicit(&ring->lost_unreported, memory_order_relaxed);
                ask = ask || lost % LOOK_AGAIN_EVENTS == LOOK_AGAIN_EVENTS - 1;
                if (ask && ring->stalled && !ring->stalled(ring->context))
                        return RING_NO_POSITION;
        }
        atomic_fetch_add(&ring->header->lost_events, 1);
        atomic_fetch_add(&ring->lost_unreported, 1);
        atomic_store(&ring->plain_end, 0); /* after the count: see set_plain_end() */
        return RING_NO_POSITION;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}

/* How far ring_put() need not look, at a head that is @head or further. */
static void set_plain_end(struct ring_writer *ring, uint64_t head) {
        const struct ring_control *control = atomic_load(&ring->control);
        uint64_t room_end = atomic_load(&control->tail) + ring_limit(ring, RING_KEEP_RESERVE);
        /* not the record that ends a page or a lap */
        uint64_t in_page = head | (RING_LOOK_BYTES - 1), in_lap = head | (ring->size - 1);

        atomic_store(&ring->plain_end, smaller(room_end, smaller(in_page, in_lap)));
        /* one that was counted before is seen here, after it the 0 comes after ours */
        if (atomic_load(&ring->lost_unreported))
                atomic_store(&ring->plain_end, 0);
}

uint64_t ring_put_slow(struct ring_writer *ring, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                       uint64_t b, uint64_t c) {
        unsigned length = n_words * 8;
        uint64_t position = RING_NO_POSITION;
        if (atomic_load_explicit(&ring->lost_unreported, memory_order_relaxed) != 0)
                ring_report_lost(ring);
        if (!(room & RING_BEATEN))
                position = ring_try_reserve(ring, room, length);
        if (position == RING_NO_POSITION)
                position = reserve_slow(ring, room, length);
        if (position == RING_NO_POSITION)
                return RING_NO_POSITION;
        ring_fill(ring, position, n_words, header, a, b, c);
        ring_tell_fill(ring, position, length);
        if ((position + length) % RING_LOOK_BYTES < length)
                look_around(ring, room, position + length);
        set_plain_end(ring, position + length);
        return position;
}
