/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Open addressing over pairs of words. Word 0 (parent and node) goes from 0 to
 * its value by compare-and-swap, which claims the slot; then word 1 (the key) is
 * stored. A reader that meets a claimed slot without a key goes on, as if it were
 * another's: it may insert the pair once more. A full table is copied to one
 * twice its size by one thread while the others go on with the old one. Somebody may go on reading that
 * one for ever, so it stays as it was.
 */

#include "agent/trie.h"

#include "agent/sys.h"
#include "proto/ring.h"

#include <errno.h>
#include <stddef.h>

#ifndef FIRST_LOG2 /* a test grows small ones */
#define FIRST_LOG2 12
#endif
#define LAST_LOG2     25
#define KEY_FORGOTTEN UINT64_C(1) /* no program counter */
/* A probe sequence longer than this is a miss: the table is too full or the keys are unlucky. */
#define PROBES_MAX    64

struct entry {
        _Atomic uint64_t link; /* parent << 32 | node; 0: free */
        _Atomic uint64_t key;  /* 0: not stored yet */
};

struct trie_table {
        unsigned log2_size;
        _Atomic uint32_t n_used;
        uint64_t padding[7];
        struct entry entries[]; /* [1 << log2_size]; behind them as many places, 32 bits each, for the next table */
};

static _Atomic uint32_t *places(struct trie_table *table) {
        return (_Atomic uint32_t *)(void *)(table->entries + (UINT64_C(1) << table->log2_size));
}

static size_t bytes_of(unsigned log2_size) {
        return sizeof(struct trie_table) + ((sizeof(struct entry) + sizeof(uint32_t)) << log2_size);
}

static struct trie_table *table_new(unsigned log2_size) {
        struct trie_table *table = sys_map_memory_now(bytes_of(log2_size));
        if (table)
                table->log2_size = log2_size;
        return table;
}

/* The upper half of a place, of which the table takes as many bits as it needs. */
static inline uint32_t place_of(uint64_t path) {
        return (uint32_t)(path >> 32);
}

static inline uint64_t slot_of(const struct trie_table *table, uint32_t place) {
        return place >> (32 - table->log2_size);
}

static void table_insert(struct trie_table *table, uint32_t place, uint32_t parent, uint64_t key, uint32_t node) {
        uint64_t mask = (UINT64_C(1) << table->log2_size) - 1, slot = slot_of(table, place);
        for (unsigned probe = 0; probe < PROBES_MAX; probe++, slot = (slot + 1) & mask) {
                struct entry *entry = &table->entries[slot];
                uint64_t free = 0;
                if (atomic_load_explicit(&entry->link, memory_order_relaxed) != 0)
                        continue;
                if (!atomic_compare_exchange_strong_explicit(&entry->link, &free, (uint64_t)parent << 32 | node,
                                                             memory_order_acq_rel, memory_order_relaxed))
                        continue;
                atomic_store_explicit(&places(table)[slot], place, memory_order_relaxed);
                atomic_store_explicit(&entry->key, key, memory_order_release);
                atomic_fetch_add_explicit(&table->n_used, 1, memory_order_relaxed);
                return;
        }
}

int trie_init(struct trie *trie) {
        *trie = (struct trie){0};
        atomic_store(&trie->table, table_new(FIRST_LOG2));
        return atomic_load(&trie->table) ? 0 : -ENOMEM;
}

void trie_deinit(struct trie *trie) {
        struct trie_table *table = atomic_load(&trie->table);
        if (table)
                sys_unmap(table, bytes_of(table->log2_size));
        atomic_store(&trie->table, NULL);
}

/* Whether a thread was about to forget, or in the middle of it, when the process forked: in the child nobody would
 * finish that. (@busy may be growth as well; then there is a new beginning for nothing.) */
static bool is_forgetting(const struct trie *trie) {
        bool noted = atomic_load(&trie->busy) || atomic_load(&trie->pending) || atomic_load(&trie->forget_all);
        for (unsigned i = 0; i < TRIE_FORGET_MAX && !noted; i++)
                noted = atomic_load(&trie->forget[i].end) != 0;
        return noted;
}

void trie_share(struct trie *trie, const struct trie *parent) {
        *trie = (struct trie){0};
        atomic_store(&trie->table, atomic_load(&parent->table));
        atomic_store(&trie->n_names, atomic_load(&parent->n_names));
        atomic_store(&trie->version, atomic_load(&parent->version) + 1);
        if (is_forgetting(parent)) {
                atomic_store(&trie->forget_all, 1);
                trie_forget(trie, 0, 0);
        }
}

void trie_fetch(const struct trie *trie, uint64_t path) {
        const struct trie_table *table = atomic_load_explicit(&trie->table, memory_order_acquire);
        __builtin_prefetch(&table->entries[slot_of(table, place_of(path))]);
}

uint32_t trie_find_at(const struct trie *trie, uint64_t path, uint32_t parent, uint64_t key) {
        const struct trie_table *table = atomic_load_explicit(&trie->table, memory_order_acquire);
        uint64_t mask = (UINT64_C(1) << table->log2_size) - 1, slot = slot_of(table, place_of(path));
        for (unsigned probe = 0; probe < PROBES_MAX; probe++, slot = (slot + 1) & mask) {
                const struct entry *entry = &table->entries[slot];
                uint64_t link = atomic_load_explicit(&entry->link, memory_order_acquire);
                if (link == 0)
                        return 0;
                if (link >> 32 == parent && atomic_load_explicit(&entry->key, memory_order_acquire) == key)
                        return (uint32_t)link;
        }
        return 0;
}

/* Copies what is not forgotten; @busy is ours. */
static void grow(struct trie *trie, struct trie_table *old, unsigned log2_size) {
        struct trie_table *table = table_new(log2_size);
        uint64_t n_entries = UINT64_C(1) << old->log2_size;
        if (!table)
                return;
        for (uint64_t i = 0; i < n_entries; i++) {
                uint64_t link = atomic_load_explicit(&old->entries[i].link, memory_order_acquire);
                uint64_t key = atomic_load_explicit(&old->entries[i].key, memory_order_acquire);
                uint32_t place = atomic_load_explicit(&places(old)[i], memory_order_relaxed);
                if (link != 0 && key != 0 && key != KEY_FORGOTTEN)
                        table_insert(table, place, (uint32_t)(link >> 32), key, (uint32_t)link);
        }
        atomic_store_explicit(&trie->table, table, memory_order_release);
        /* The old table stays as it is: a thread that still has it may be between its link and its key, and on a page
         * of zeros that key would meet another's link. */
}

static void forget_range(struct trie_table *table, uint64_t start, uint64_t end) {
        uint64_t n_entries = UINT64_C(1) << table->log2_size;
        for (uint64_t i = 0; i < n_entries; i++) {
                uint64_t key = atomic_load_explicit(&table->entries[i].key, memory_order_relaxed);
                key &= ~TRIE_KEY_BEYOND;
                if (key >= start && key < end)
                        atomic_store_explicit(&table->entries[i].key, KEY_FORGOTTEN, memory_order_release);
        }
}

static void forget_pending(struct trie *trie) {
        struct trie_table *table = atomic_load(&trie->table);
        if (atomic_exchange(&trie->forget_all, 0)) {
                struct trie_table *empty = table_new(table->log2_size);
                if (empty)
                        atomic_store_explicit(&trie->table, empty, memory_order_release);
                else
                        forget_range(table, KEY_FORGOTTEN + 1, UINT64_MAX);
                return;
        }
        for (unsigned i = 0; i < TRIE_FORGET_MAX; i++) {
                uint64_t end = atomic_load(&trie->forget[i].end), start = atomic_load(&trie->forget[i].start);
                /* a start of 0 is being filled in: its owner comes back here after that */
                if (end == 0 || start == 0)
                        continue;
                forget_range(table, start, end);
                atomic_store(&trie->forget[i].start, 0);
                atomic_store(&trie->forget[i].end, 0);
        }
}

static bool is_full(const struct trie_table *table) {
        return table->log2_size < LAST_LOG2 && atomic_load(&table->n_used) > (UINT32_C(1) << table->log2_size) / 2;
}

/* Does what is due, or leaves it to the thread that has @busy: that one looks again after letting go. */
static void maintain(struct trie *trie) {
        bool no_memory = false;
        for (;;) {
                struct trie_table *table = atomic_load(&trie->table);
                bool full = !no_memory && is_full(table);
                if ((!full && !atomic_load(&trie->pending)) || atomic_exchange(&trie->busy, 1))
                        return;
                if (atomic_exchange(&trie->pending, 0)) {
                        forget_pending(trie);
                        atomic_fetch_add(&trie->version, 1);
                } else if (full && table == atomic_load(&trie->table)) {
                        grow(trie, table, table->log2_size + 1);
                        no_memory = table == atomic_load(&trie->table);
                }
                atomic_store(&trie->busy, 0);
        }
}

void trie_insert_at(struct trie *trie, uint64_t path, uint32_t parent, uint64_t key, uint32_t node) {
        struct trie_table *table = atomic_load_explicit(&trie->table, memory_order_acquire);
        table_insert(table, place_of(path), parent, key, node);
        if (__builtin_expect(atomic_load_explicit(&table->n_used, memory_order_relaxed) >
                                     (UINT32_C(1) << table->log2_size) / 2,
                             0))
                maintain(trie);
}

uint32_t trie_new_name(struct trie *trie) {
        uint32_t n = atomic_load_explicit(&trie->n_names, memory_order_relaxed);
        do {
                if (n >= UINT32_MAX - NODE_CAPACITY_MAX)
                        return 0;
        } while (!atomic_compare_exchange_weak(&trie->n_names, &n, n + 1));
        return NODE_CAPACITY_MAX + n;
}

void trie_forget(struct trie *trie, uint64_t start, uint64_t end) {
        bool noted = start >= end;
        for (unsigned i = 0; i < TRIE_FORGET_MAX && !noted; i++) {
                uint64_t unused = 0;
                noted = atomic_compare_exchange_strong(&trie->forget[i].end, &unused, end);
                if (noted)
                        atomic_store(&trie->forget[i].start, start);
        }
        if (!noted)
                atomic_store(&trie->forget_all, 1);
        atomic_fetch_add(&trie->version, 1);
        atomic_store(&trie->pending, 1);
        maintain(trie);
}
