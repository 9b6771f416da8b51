/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An agent's end of the ring for tests, written from proto/ring.h and nothing
 * else. Any number of threads may write.
 */

#include "proto/agent.pb-c.h"
#include "proto/record.h"
#include "proto/ring.h"

#include <check.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WRITER_NODES 4096
#define WRITER_ITEMS 65536
#define WRITER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

struct ring_writer {
        int ring_fd, definitions_fd; /* handed over by the test */
        unsigned log2_size;
        struct ring_header *header;
        _Atomic uint64_t *data;
        struct definitions_header *definitions;
        struct ring_control *control; /* NULL: never full, no bell */
        struct doorbell *doorbell;
};

static inline int writer_memfd(size_t bytes, int seals, void **memoryp) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
        *memoryp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(*memoryp, MAP_FAILED);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static inline size_t writer_definitions_bytes(void) {
        return DEFINITIONS_HEADER_BYTES + WRITER_NODES * sizeof(struct node_def) + WRITER_ITEMS;
}

static inline void writer_open(struct ring_writer *w, unsigned log2_size) {
        void *memory;
        *w = (struct ring_writer){.log2_size = log2_size};
        w->ring_fd = writer_memfd(RING_HEADER_BYTES + ((size_t)1 << log2_size), WRITER_SEALS, &memory);
        w->header = memory;
        w->data = (_Atomic uint64_t *)((char *)memory + RING_HEADER_BYTES);
        w->header->magic = RING_MAGIC;
        w->header->version = RING_VERSION;
        w->header->log2_size = log2_size;
        w->definitions_fd = writer_memfd(writer_definitions_bytes(), WRITER_SEALS, &memory);
        w->definitions = memory;
        w->definitions->magic = DEFINITIONS_MAGIC;
        w->definitions->version = RING_VERSION;
        w->definitions->node_capacity = WRITER_NODES;
        w->definitions->items_capacity = WRITER_ITEMS;
        atomic_store(&w->definitions->n_nodes, 1);
}

/* After HelloReply. */
static inline void writer_connect(struct ring_writer *w, int control_fd, int doorbell_fd) {
        w->control = mmap(NULL, CONTROL_BYTES, PROT_READ, MAP_SHARED, control_fd, 0);
        ck_assert_ptr_ne(w->control, MAP_FAILED);
        w->doorbell = mmap(NULL, DOORBELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, doorbell_fd, 0);
        ck_assert_ptr_ne(w->doorbell, MAP_FAILED);
}

static inline void writer_close(struct ring_writer *w) {
        munmap(w->header, RING_HEADER_BYTES + ((size_t)1 << w->log2_size));
        munmap(w->definitions, writer_definitions_bytes());
        if (w->control)
                munmap(w->control, CONTROL_BYTES);
        if (w->doorbell)
                munmap(w->doorbell, DOORBELL_BYTES);
}

static inline struct node_def *writer_nodes(struct ring_writer *w) {
        return (struct node_def *)((char *)w->definitions + DEFINITIONS_HEADER_BYTES);
}

static inline uint32_t writer_node(struct ring_writer *w, uint32_t parent, uint32_t unit, uint64_t value) {
        uint32_t node = atomic_fetch_add(&w->definitions->n_nodes, 1);
        writer_nodes(w)[node] = (struct node_def){.parent = parent, .unit = unit, .value = value};
        return node;
}

/* Return: its offset. */
static inline uint64_t writer_item(struct ring_writer *w, const Tracemallocd__Agent__Item *item) {
        uint32_t length = (uint32_t)tracemallocd__agent__item__get_packed_size(item);
        uint64_t offset = atomic_fetch_add(&w->definitions->items_used, (sizeof length + length + 7) / 8 * 8);
        char *at = (char *)(writer_nodes(w) + WRITER_NODES) + offset;
        tracemallocd__agent__item__pack(item, (uint8_t *)at + sizeof length);
        __atomic_store_n((uint32_t *)at, length, __ATOMIC_RELEASE);
        return offset;
}

static inline void writer_store(struct ring_writer *w, uint64_t position, uint64_t word, memory_order order) {
        uint64_t size = UINT64_C(1) << w->log2_size;
        atomic_store_explicit(&w->data[position % size / 8], word, order);
}

static inline bool writer_has_room(struct ring_writer *w, uint64_t bytes, uint64_t reserve) {
        uint64_t head = atomic_load(&w->header->head);
        return head + bytes - atomic_load(&w->control->tail) <= (UINT64_C(1) << w->log2_size) - reserve;
}

/* As a writer that may wait for ever. */
static inline void writer_wait_for_room(struct ring_writer *w, uint64_t bytes, uint64_t reserve) {
        while (!writer_has_room(w, bytes, reserve)) {
                atomic_fetch_add(&w->header->waiters, 1);
                uint32_t wake = atomic_load(&w->control->tail_wake);
                if (!writer_has_room(w, bytes, reserve))
                        syscall(SYS_futex, &w->control->tail_wake, FUTEX_WAIT, wake, NULL, NULL, 0);
                atomic_fetch_sub(&w->header->waiters, 1);
        }
}

/* Return: the position. */
static inline uint64_t writer_reserve(struct ring_writer *w, unsigned type) {
        uint64_t bytes = 8 * record_words(type), size = UINT64_C(1) << w->log2_size;
        if (w->control)
                writer_wait_for_room(w, bytes, type == RECORD_ALLOC ? RING_FREE_RESERVE(size) : 0);
        uint64_t position = atomic_fetch_add(&w->header->head, bytes);
        if (w->control) {
                uint64_t mark = atomic_load(&w->control->fill_mark);
                if (position < mark && mark <= position + bytes) {
                        atomic_fetch_add(&w->doorbell->word, 1);
                        syscall(SYS_futex, &w->doorbell->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
                }
        }
        return position;
}

static inline void writer_fill(struct ring_writer *w, uint64_t position, unsigned type, unsigned domain,
                               uint32_t argument, uint64_t a, uint64_t b, uint64_t c) {
        const uint64_t word[3] = {a, b, c};
        for (unsigned i = 1; i < record_words(type); i++)
                writer_store(w, position + 8 * i, word[i - 1], memory_order_relaxed);
        writer_store(w, position, record_header(type, position >> w->log2_size, domain, argument),
                     memory_order_release);
}

/* One record. Return: its position. */
static inline uint64_t writer_put(struct ring_writer *w, unsigned type, unsigned domain, uint32_t argument, uint64_t a,
                                  uint64_t b, uint64_t c) {
        uint64_t position = writer_reserve(w, type);
        writer_fill(w, position, type, domain, argument, a, b, c);
        return position;
}

/* The same by the only writer there is, so that no reader finds the record reserved and not written, however long this
 * thread loses its processor: what lies behind the head is looked at by nobody. */
static inline void writer_put_whole(struct ring_writer *w, unsigned type, unsigned domain, uint32_t argument,
                                    uint64_t a, uint64_t b, uint64_t c) {
        writer_fill(w, atomic_load(&w->header->head), type, domain, argument, a, b, c);
        writer_reserve(w, type);
}
