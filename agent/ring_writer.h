/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The writing end of the ring of proto/ring.h. Any number of threads and signal
 * handlers put records at the same time; nobody holds a lock, and nobody waits
 * while it holds a reservation.
 */

#include "proto/record.h"
#include "proto/ring.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_NO_POSITION    UINT64_MAX
#define RING_PREFETCH_BYTES 512

#define RING_LOOK_BYTES 4096

enum ring_room {
        RING_KEEP_RESERVE = 1, /* leave RING_FREE_RESERVE alone: allocations */
        RING_MAY_WAIT = 2,     /* wait for room: whoever interrupted nobody of ours */
        RING_BEATEN = 4,       /* between ring_put() and ring_put_slow() */
};

struct ring_writer {
        struct ring_header *header;
        _Atomic uint64_t *data;
        uint64_t word_mask; /* words of data - 1 */
        uint64_t size;      /* bytes of data */
        unsigned log2_size;
        struct ring_control *_Atomic control; /* the private page until the daemon's is there */
        struct doorbell *_Atomic doorbell;    /* NULL: nobody to wake */
        const volatile char *single_threaded; /* not 0 while no other thread of this process can put a record */
        _Atomic uint64_t lost_unreported;     /* to be told in the next LOST record */
        _Atomic uint32_t gave_up;             /* a stall ran out: no more waiting until there is room */
        _Atomic uint64_t populate_at;         /* position from which on more pages are to be had; UINT64_MAX: all are */
        _Atomic uint64_t plain_end;           /* records that end up to here need nothing but their words: ring_put() */

        /* called by a waiting writer, with no reservation held; may move control.tail itself (socket way) */
        void (*make_room)(void *context);
        /* when a writer last looked whether the reader comes after, and where the head was then */
        _Atomic uint64_t looked_at_ns, looked_head;

        /* called when a stall ran out, now and then while losses go on, and when the reader did not come after for a
         * second; false: nobody reads any more, a loss is not worth a count */
        bool (*stalled)(void *context);
        void *context;
};

/** ring_writer_init() - lay an empty ring over zeroed memory, for any number of threads
 * @memory: RING_HEADER_BYTES + 2^@log2_size bytes, borrowed for the life of @ring
 * @control: the page to begin with, borrowed */
void ring_writer_init(struct ring_writer *ring, void *memory, unsigned log2_size, struct ring_control *control);

/** ring_reserve() - ring_try_reserve() until no other writer is faster; never waits for room
 * Return: the position; RING_NO_POSITION: no room. */
uint64_t ring_reserve(struct ring_writer *ring, unsigned room, unsigned length);

/** ring_put_slow() - the whole of ring_put(), whatever its record meets
 * @room: with RING_BEATEN where another writer was faster */
uint64_t ring_put_slow(struct ring_writer *ring, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                       uint64_t b, uint64_t c);

/** ring_report_lost() - put a LOST record if there is room */
void ring_report_lost(struct ring_writer *ring);

/** ring_wake_reader() - ring the doorbell, if there is one */
void ring_wake_reader(struct ring_writer *ring);

/* To own a line before it is written to. On plain x86-64 __builtin_prefetch() for writing is one for reading; what a
 * processor without this instruction makes of it is a no-op. */
static inline void ring_fetch_for_write(const void *line) {
        __asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
}

/* A lone thread needs one instruction, which no signal handler comes between, but not its lock: that waits for all
 * stores of the record before. */
static inline bool ring_swap_head_alone(_Atomic uint64_t *head, uint64_t *expectedp, uint64_t next) {
        bool swapped;
        __asm__ volatile("cmpxchgq %3, %1" : "=@ccz"(swapped), "+m"(*head), "+a"(*expectedp) : "r"(next) : "memory");
        return swapped;
}

/** ring_limit() - how far before the tail a head may be */
static inline uint64_t ring_limit(const struct ring_writer *ring, unsigned room) {
        return ring->size - (room & RING_KEEP_RESERVE ? RING_FREE_RESERVE(ring->size) : 0);
}

/** ring_swap_head() - step 2 of proto/ring.h; @headp: its head; Return: false: another writer was faster. */
static inline bool ring_swap_head(struct ring_writer *ring, _Atomic uint64_t *headp, uint64_t position,
                                  unsigned length) {
        uint64_t head = position;
        /* two returns, so that neither way has to make a number of its flag */
        if (__builtin_expect(*ring->single_threaded, 1)) {
                if (__builtin_expect(!ring_swap_head_alone(headp, &head, position + length), 0))
                        return false;
                return true;
        }
        return atomic_compare_exchange_weak_explicit(headp, &head, position + length, memory_order_acq_rel,
                                                     memory_order_relaxed);
}

/** ring_try_reserve() - steps 1 and 2 of proto/ring.h, once; never waits
 * Return: the position; RING_NO_POSITION: no room, or another writer was faster. */
static inline uint64_t ring_try_reserve(struct ring_writer *ring, unsigned room, unsigned length) {
        const struct ring_control *control = atomic_load_explicit(&ring->control, memory_order_acquire);
        uint64_t position = atomic_load_explicit(&ring->header->head, memory_order_relaxed);
        uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);
        /* signed: a tail that overtook this stale head is no lack of room, the swap below will fail */
        if (__builtin_expect((int64_t)(position + length - tail) > (int64_t)ring_limit(ring, room), 0) ||
            __builtin_expect(!ring_swap_head(ring, &ring->header->head, position, length), 0))
                return RING_NO_POSITION;
        if (position == RING_NO_POSITION)
                __builtin_unreachable();
        return position;
}

/** ring_fill_at() - step 3 of proto/ring.h, and the lines that come next
 * @header: with lap 0; @n_words: words beyond it are not written; @wrap: word_mask, or UINT64_MAX where the record does
 * not cross the end */
static inline __attribute__((always_inline)) void ring_fill_at(const struct ring_writer *ring, uint64_t position,
                                                               unsigned n_words, uint64_t header, uint64_t a,
                                                               uint64_t b, uint64_t c, uint64_t wrap) {
        _Atomic uint64_t *data = ring->data;
        uint64_t at = position >> 3 & ring->word_mask;
        header |= (position >> ring->log2_size & 255) << 50;
        if (n_words > 1)
                atomic_store_explicit(&data[(at + 1) & wrap], a, memory_order_relaxed);
        if (n_words > 2)
                atomic_store_explicit(&data[(at + 2) & wrap], b, memory_order_relaxed);
        if (n_words > 3)
                atomic_store_explicit(&data[(at + 3) & wrap], c, memory_order_relaxed);
        atomic_store_explicit(&data[at], header, memory_order_release);
        /* The reader has read these lines in the last lap. Writing to one that is still shared takes a few hundred
         * nanoseconds, for which the next reservation, if it is a locked instruction, would wait. Behind the end of
         * the ring it is nobody's line, or not needed. */
        ring_fetch_for_write(&data[at + RING_PREFETCH_BYTES / 8]);
}

/** ring_fill() - ring_fill_at() for any record */
static inline void ring_fill(const struct ring_writer *ring, uint64_t position, unsigned n_words, uint64_t header,
                             uint64_t a, uint64_t b, uint64_t c) {
        ring_fill_at(ring, position, n_words, header, a, b, c, ring->word_mask);
}

/** ring_tell_fill() - after a reservation: wake the reader if it passed its mark */
static inline void ring_tell_fill(struct ring_writer *ring, uint64_t position, unsigned length) {
        const struct ring_control *control = atomic_load_explicit(&ring->control, memory_order_relaxed);
        uint64_t mark = atomic_load_explicit(&control->fill_mark, memory_order_relaxed);
        if (__builtin_expect(mark - position - 1 < length, 0)) /* position < mark <= position + length */
                ring_wake_reader(ring);
}

/** ring_put() - append one record
 * @room: enum ring_room; @header: record_header() with lap 0
 * @n_words: record_words() of its type, a constant; words beyond it are not written
 * Any thread, signal handlers too. A system call only where the ring is full, the reader asked to be woken, or once in
 * RING_LOOK_BYTES.
 *
 * Most records lie before ring->plain_end, and one comparison says all that there is to know of them: there is room,
 * no loss is to be told, and neither a page of RING_LOOK_BYTES nor a lap ends in them. For plain_end was found for a
 * head that was no later than this one (the swap says that this one is still the head), in whose page it lies, and
 * the tail, which it goes by, only rises.
 *
 * Return: its position; RING_NO_POSITION: no room, counted as lost. */
static inline __attribute__((always_inline)) uint64_t ring_put(struct ring_writer *ring, unsigned room,
                                                               unsigned n_words, uint64_t header, uint64_t a,
                                                               uint64_t b, uint64_t c) {
        unsigned length = n_words * 8;
        _Atomic uint64_t *headp = &ring->header->head;
        uint64_t position = atomic_load_explicit(headp, memory_order_relaxed);

        /* acquire: whoever stored it had the tail from the reader */
        if (__builtin_expect(position + length > atomic_load_explicit(&ring->plain_end, memory_order_acquire), 0))
                return ring_put_slow(ring, room, n_words, header, a, b, c);
        if (__builtin_expect(!ring_swap_head(ring, headp, position, length), 0))
                return ring_put_slow(ring, room | RING_BEATEN, n_words, header, a, b, c);
        ring_fill_at(ring, position, n_words, header, a, b, c, UINT64_MAX);
        ring_tell_fill(ring, position, length);
        return position;
}
