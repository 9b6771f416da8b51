/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The writing end of the ring of proto/ring.h. Any number of threads and signal
 * handlers put records at the same time; nobody holds a lock, and nobody waits
 * while it holds a reservation.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/record.h"
#include "proto/ring.h"

#define RING_NO_POSITION    UINT64_MAX
#define RING_PREFETCH_BYTES 512

#define RING_LOOK_BYTES 4096

enum ring_room {
        RING_KEEP_RESERVE = 1, /* leave RING_FREE_RESERVE alone: allocations */
        RING_MAY_WAIT = 2,     /* wait for room: whoever interrupted nobody of ours */
};

struct ring_writer {
        struct ring_header *header;
        _Atomic uint64_t *data;
        uint64_t word_mask; /* words of data - 1 */
        uint64_t size;      /* bytes of data */
        unsigned log2_size;
        struct ring_control *_Atomic control; /* the private page until the daemon's is there */
        struct doorbell *_Atomic doorbell;    /* NULL: nobody to wake */
        _Atomic uint64_t lost_unreported;     /* to be told in the next LOST record */
        _Atomic uint32_t gave_up;             /* a stall ran out: no more waiting until there is room */
        _Atomic uint64_t populate_at;         /* position from which on more pages are to be had; UINT64_MAX: all are */

        /* called by a waiting writer, with no reservation held; may move control.tail itself (socket way) */
        void (*make_room)(void *context);
        /* when a writer last looked whether the reader comes after, and where the head was then */
        _Atomic uint64_t looked_at_ns, looked_head;

        /* called when a stall ran out, now and then while losses go on, and when the reader did not come after for a
         * second; false: nobody reads any more, a loss is not worth a count */
        bool (*stalled)(void *context);
        void *context;
};

/** ring_writer_init() - lay an empty ring over zeroed memory
 * @memory: RING_HEADER_BYTES + 2^@log2_size bytes, borrowed for the life of @ring
 * @control: the page to begin with, borrowed */
void ring_writer_init(struct ring_writer *ring, void *memory, unsigned log2_size, struct ring_control *control);

/** ring_reserve_slow() - the rest of ring_put(): waits for room if it may, counts a loss
 * Return: true, *positionp is reserved; false: the record is lost and counted. */
bool ring_reserve_slow(struct ring_writer *ring, unsigned room, unsigned length, uint64_t *positionp);

/** ring_report_lost() - put a LOST record if there is room */
void ring_report_lost(struct ring_writer *ring);

/** ring_wake_reader() - ring the doorbell, if there is one */
void ring_wake_reader(struct ring_writer *ring);

/** ring_look() - once in a while: ask whether a reader that did not come after is still there
 * @head: behind the caller's record, which is published; may wait, as ring->stalled() does. */
void ring_look(struct ring_writer *ring, uint64_t head);

/** ring_populate() - have the pages that come next, in the first lap */
void ring_populate(struct ring_writer *ring);

/** ring_stand_back() - a microsecond or two, after another writer was faster */
void ring_stand_back(void);

/* To own a line before it is written to. On plain x86-64 __builtin_prefetch() for writing is one for reading; what a
 * processor without this instruction makes of it is a no-op. */
static inline void ring_fetch_for_write(const void *line) {
        __asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
}

/** ring_try_reserve() - steps 1 and 2 of proto/ring.h; never waits */
static inline bool ring_try_reserve(struct ring_writer *ring, unsigned room, unsigned length, uint64_t *positionp) {
        const struct ring_control *control = atomic_load_explicit(&ring->control, memory_order_acquire);
        uint64_t limit = ring->size - (room & RING_KEEP_RESERVE ? RING_FREE_RESERVE(ring->size) : 0);

        for (;;) {
                uint64_t head = atomic_load_explicit(&ring->header->head, memory_order_relaxed);
                uint64_t tail = atomic_load_explicit(&control->tail, memory_order_acquire);

                /* signed: a tail that overtook this stale head is no lack of room, the swap below will fail */
                if (__builtin_expect((int64_t)(head + length - tail) > (int64_t)limit, 0))
                        return false;
                if (__builtin_expect(atomic_compare_exchange_weak_explicit(&ring->header->head, &head, head + length,
                                                                           memory_order_acq_rel, memory_order_relaxed),
                                     1)) {
                        *positionp = head;
                        return true;
                }
                ring_stand_back();
        }
}

static inline void ring_store(struct ring_writer *ring, uint64_t position, uint64_t word, memory_order order) {
        atomic_store_explicit(&ring->data[(position >> 3) & ring->word_mask], word, order);
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
 * Any thread, signal handlers too. A system call only where the ring is full or the reader asked to be woken.
 * Return: its position; RING_NO_POSITION: no room, counted as lost. */
static inline uint64_t ring_put(struct ring_writer *ring, unsigned room, unsigned n_words, uint64_t header, uint64_t a,
                                uint64_t b, uint64_t c) {
        unsigned length = n_words * 8;
        uint64_t position;

        if (__builtin_expect(atomic_load_explicit(&ring->lost_unreported, memory_order_relaxed) != 0, 0))
                ring_report_lost(ring);
        if (__builtin_expect(!ring_try_reserve(ring, room, length, &position), 0) &&
            !ring_reserve_slow(ring, room, length, &position))
                return RING_NO_POSITION;

        if (n_words > 1)
                ring_store(ring, position + 8, a, memory_order_relaxed);
        if (n_words > 2)
                ring_store(ring, position + 16, b, memory_order_relaxed);
        if (n_words > 3)
                ring_store(ring, position + 24, c, memory_order_relaxed);
        ring_store(ring, position, header | (position >> ring->log2_size & 255) << 50, memory_order_release);
        /* The reader has read these lines in the last lap. Writing to one that is still shared takes a few hundred
         * nanoseconds, for which the next reservation, a locked instruction, would wait. */
        ring_fetch_for_write(&ring->data[((position + RING_PREFETCH_BYTES) >> 3) & ring->word_mask]);

        ring_tell_fill(ring, position, length);
        if (__builtin_expect(position >= atomic_load_explicit(&ring->populate_at, memory_order_relaxed), 0))
                ring_populate(ring);
        /* once in a page of records, so that a program that records little notices its daemon's death, too */
        if (__builtin_expect((position + length) % RING_LOOK_BYTES < length, 0) && (room & RING_MAY_WAIT))
                ring_look(ring, position + length);
        return position;
}
