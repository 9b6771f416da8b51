/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * For each (node, domain): what is alive, what was allocated since the start,
 * and what was alive at the exact peak of the process. And the totals.
 *
 * The peak in O(1) an event: peak_epoch counts the new peaks. A slot whose epoch is
 * that of the sums holds its peak values; any other slot has not changed since the peak, so what is alive there
 * now is what was alive then, and its first change after a peak saves it ("rebase").
 *
 * A slot of 64 bytes for each (node, domain) that had a block; most nodes of a trie are inner ones and never
 * have. An index of 4 bytes a node leads to the first slot of a node, the slots of its other
 * domains are chained. One thread.
 */

#include "daemon/live/charge.h"
#include "daemon/live/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sums_cut;

struct node_sums {
        uint64_t live_size, live_count;
        uint64_t allocated_size, allocated_count;
        uint64_t peak_size, peak_count; /* valid if epoch is the sums' */
        uint64_t epoch;
        uint32_t node_domain; /* as in struct trace_block */
        uint32_t next;        /* slot of the same node and another domain; 0: none */
};

_Static_assert(sizeof(struct node_sums) == 64, "one cache line, for region_save_line()");

#define SUMS_NODE_BITS 24 /* TRACE_NODE_BITS */

static inline unsigned node_sums_domain(const struct node_sums *slot) {
        return slot->node_domain >> SUMS_NODE_BITS;
}

struct sums_total {
        uint64_t live_size, live_count, peak_size;
};

struct traceback_sums {
        struct region index_region, slots_region;
        uint32_t *index;         /* [index_capacity] by node: its first slot; 0: none */
        struct node_sums *slots; /* slot 0 is never used */
        uint32_t index_capacity, n_slots, slots_capacity;
        uint32_t n_uncut; /* index_capacity, or 0 where a cut has to see a slot before it changes: one comparison for
                             both */
        uint64_t peak_epoch;
        struct sums_total total;
        struct sums_total domains[256]; /* each with the peak of its own */
        struct sums_cut *cuts;
        unsigned refs;
        struct charge *charge;
        unsigned n_domains; /* 1 + the highest that has slots */
};

/** traceback_sums_new() - all zero
 * @keep: as trace_table_new(). Return: 0; -ENOMEM (also: the charge does not allow it). */
int traceback_sums_new(struct charge *charge, struct keep *keep, struct traceback_sums **sumsp);

/* What a record says about sums; the totals of each domain follow it there. */
struct kept_sums {
        uint64_t index_offset, slots_offset, peak_epoch;
        uint32_t index_capacity, n_slots, slots_capacity, n_domains;
        struct sums_total total;
};

/** traceback_sums_keep() - for the record. @kept: set. */
void traceback_sums_keep(const struct traceback_sums *s, struct kept_sums *kept);

/** traceback_sums_adopt() - as trace_table_adopt(); @domains: [kept->n_domains]. Return: 0; 1: can't be true; -ENOMEM.
 */
int traceback_sums_adopt(struct charge *charge, struct keep *keep, const struct kept_sums *kept,
                         const struct sums_total *domains, struct traceback_sums **sumsp);

/** traceback_sums_ref(), traceback_sums_unref() - as trace_table_ref() */
struct traceback_sums *traceback_sums_ref(struct traceback_sums *s);
struct traceback_sums *traceback_sums_unref(struct traceback_sums *s);

/** traceback_sums_prefetch_index(), traceback_sums_prefetch_slot() - a while before traceback_sums_slot(), in this
 * order */
__attribute__((always_inline)) static inline void traceback_sums_prefetch_index(const struct traceback_sums *s,
                                                                                uint32_t node) {
        if (node < s->index_capacity)
                __builtin_prefetch(&s->index[node]);
}

__attribute__((always_inline)) static inline void traceback_sums_prefetch_slot(const struct traceback_sums *s,
                                                                               uint32_t node) {
        if (node < s->index_capacity)
                __builtin_prefetch(&s->slots[s->index[node]], 1);
}

/** traceback_sums_slot() - found or made, and saved: the caller may change it; valid until the next call of this
 * function
 * @node: below 2**TRACE_NODE_BITS. Return: the slot; NULL when there is no memory or charge for it. */
struct node_sums *traceback_sums_slot_slow(struct traceback_sums *s, uint32_t node, unsigned domain);
static inline struct node_sums *traceback_sums_slot(struct traceback_sums *s, uint32_t node, unsigned domain) {
        if (__builtin_expect(node < s->n_uncut, 1)) {
                struct node_sums *slot = &s->slots[s->index[node]];
                if (__builtin_expect(slot->node_domain == (node | domain << SUMS_NODE_BITS), 1) &&
                    __builtin_expect(slot != s->slots, 1)) {
                        region_save_line(&s->slots_region, slot);
                        return slot;
                }
        }
        return traceback_sums_slot_slow(s, node, domain);
}

static inline void traceback_sums_rebase(const struct traceback_sums *s, struct node_sums *slot) {
        if (slot->epoch != s->peak_epoch) {
                slot->epoch = s->peak_epoch;
                slot->peak_size = slot->live_size;
                slot->peak_count = slot->live_count;
        }
}

/** traceback_sums_find() - Return: the number of a slot, the same as long as there are sums; 0: there is none. */
uint32_t traceback_sums_find_slow(const struct traceback_sums *s, uint32_t node, unsigned domain);
static inline uint32_t traceback_sums_find(const struct traceback_sums *s, uint32_t node, unsigned domain) {
        uint32_t index = node < s->index_capacity ? s->index[node] : 0;
        if (index == 0 || s->slots[index].node_domain == (node | domain << SUMS_NODE_BITS))
                return index;
        return traceback_sums_find_slow(s, node, domain);
}

/** traceback_sums_add() - a block came alive. @slot: of (node, domain), fresh. */
static inline void traceback_sums_add(struct traceback_sums *s, struct node_sums *slot, uint64_t size) {
        traceback_sums_rebase(s, slot);
        slot->live_size += size;
        slot->live_count++;
        struct sums_total *domain = &s->domains[node_sums_domain(slot)];
        domain->live_size += size;
        domain->live_count++;
        if (domain->live_size > domain->peak_size)
                domain->peak_size = domain->live_size;
        s->total.live_size += size;
        s->total.live_count++;
        if (s->total.live_size > s->total.peak_size) {
                s->total.peak_size = s->total.live_size;
                s->peak_epoch++;
        }
}

/** traceback_sums_sub() - it is alive no more */
static inline void traceback_sums_sub(struct traceback_sums *s, struct node_sums *slot, uint64_t size) {
        traceback_sums_rebase(s, slot);
        slot->live_size -= size;
        slot->live_count--;
        struct sums_total *domain = &s->domains[node_sums_domain(slot)];
        domain->live_size -= size;
        domain->live_count--;
        s->total.live_size -= size;
        s->total.live_count--;
}

/** traceback_sums_allocated() - it counts as allocated here */
static inline void traceback_sums_allocated(struct node_sums *slot, uint64_t size) {
        slot->allocated_size += size;
        slot->allocated_count++;
}

/** traceback_sums_reset_peak() - the peak is now; O(1) */
void traceback_sums_reset_peak(struct traceback_sums *s);

/** traceback_sums_is_sound() - whether the slots add up to the totals and can be found; O(slots), asserts nothing */
bool traceback_sums_is_sound(const struct traceback_sums *s);

/** traceback_sums_check() - abort unless the slots add up to the totals (tests) */
void traceback_sums_check(const struct traceback_sums *s);

/*
 * The sums as they were at one moment, read out in slices while they go on
 * changing: a slot is saved before its first change after the cut.
 */
struct sums_row {
        uint32_t node : SUMS_NODE_BITS, domain : 32 - SUMS_NODE_BITS;
        uint32_t slot;
        uint64_t live_size, live_count, allocated_size, allocated_count, peak_size, peak_count;
};

struct sums_cut {
        struct traceback_sums *sums; /* referenced; NULL: not open */
        struct sums_cut *next;
        uint64_t peak_epoch;
        uint32_t n_slots, cursor;
        uint64_t *saved_slots; /* bitmap [n_slots] */
        struct sums_row *saved;
        size_t n_saved, saved_capacity, n_saved_read;
        bool broken;
        bool twice; /* to be read once more: what was read is saved, too, before it changes */
};

enum {
        SUMS_CUT_END = 1,
        SUMS_CUT_E_BROKEN = 2, /* there was no memory to save a slot */
};

/** sums_cut_open() - O(slots / 64) for the bitmap; may be read twice
 * @cut: caller's memory, does not move. Return: 0; -ENOMEM. */
int sums_cut_open(struct sums_cut *cut, struct traceback_sums *sums);

/** sums_cut_read() - the next slice
 * @rows: [capacity]; @np: set on 0 only, may be 0
 * Return: 0; SUMS_CUT_END; SUMS_CUT_E_BROKEN. */
int sums_cut_read(struct sums_cut *cut, struct sums_row *rows, size_t capacity, size_t *np);

/** sums_cut_rewind() - from the beginning, for the last time
 * Until here a slot that changes after it was read comes again among those that were saved. */
void sums_cut_rewind(struct sums_cut *cut);

/** sums_cut_close() - not open is fine */
void sums_cut_close(struct sums_cut *cut);
