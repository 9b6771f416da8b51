/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The live blocks of one image: (key space, address) -> size, node, domain,
 * birth. Domains malloc and python share one key space, every other domain has
 * its own.
 *
 * Open addressing with linear probing, cells of 16 bytes, at most 17/32 full (7/8
 * where the charge forbids growth): 30 bytes a block at its fullest, 60 when it has just doubled. Short runs are what
 * the small cells are for: at the fullest a new block passes 1.8 cells, and four lie in a cache line. A block that does
 * not fit, of 128 KiB and more mostly, has a slot in wide_blocks.h besides. The home of a key is the top of its hash,
 * so the table lies in hash order, and one number, a hash, says how far a migration or the reading of a cut has come:
 * neither growth nor the backward shift of a deletion moves a cell across it. No wrap at the end: TRACE_TABLE_TAIL
 * cells more catch the last runs, and the very last of them stays empty.
 *
 * Growth and shrinking move a few cells with each insertion or removal, from the
 * old array to the new one; pages behind are given back at once. Hashes are seeded from
 * getrandom(2): peers choose addresses. One thread.
 */

#include "daemon/live/charge.h"
#include "daemon/live/region.h"
#include "daemon/live/wide_blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cut;

enum {
        TRACE_TABLE_REPLACED = 1, /* insert: there was a block at that address; it is handed out */
        TRACE_TABLE_E_FULL = 2,   /* insert: no memory or charge to grow; the table is unchanged */
        TRACE_TABLE_E_UNKNOWN = 3,
};

#define TRACE_TABLE_LOG2_MIN                                                                                           \
        9 /* 8 KiB, and as much again that is rarely touched: most processes of a machine are small */
#define TRACE_TABLE_TAIL                                                                                               \
        1024 /* longest run at 25/32 is about 600 cells in 2**24, at 17/32 100; a table with fewer cells has as many   \
                again */
#define TRACE_NODE_BITS 24 /* NODE_CAPACITY_MAX */

struct trace_block {
        uint64_t address, size;
        uint32_t node_domain; /* node below TRACE_NODE_BITS, domain above */
        uint32_t birth;       /* epoch of the table when the block came */
};

/* As it lies in the table. A wide one (trace_cell_is_wide()) has the low bits of its address, and for its node the
 * index of its slot. */
struct trace_cell {
        uint64_t key; /* address above TRACE_SIZE_BITS, size below; 0: empty */
        uint32_t node_domain, birth;
};

#define TRACE_SIZE_BITS    17
#define TRACE_SIZE_WIDE    ((UINT64_C(1) << TRACE_SIZE_BITS) - 1)
#define TRACE_ADDRESS_BITS (64 - TRACE_SIZE_BITS) /* 47, what user space has on x86-64 */

struct trace_array {
        struct region region;
        struct trace_cell *cells;
        unsigned shift; /* home of a hash: hash >> shift */
        size_t n_homes, n_cells;
        const struct trace_cell *last;
};

/* What a change of a cell has to mind besides it. There are functions of their own for nothing, for the undo log alone
 * and for all, which is worth 1 to 3 % of a record's time (tests/bench/README.md). */
#define TRACE_TABLE_MINDS_KEEP 1 /* it lies in a keep, whose undo log wants to see a cell before */
#define TRACE_TABLE_MINDS_REST 2 /* it migrates, or has cuts */

struct trace_table {
        struct trace_array current;
        struct trace_array old; /* cells NULL: no migration */
        uint64_t migrated;      /* hashes below are in current, others in old; meaningless without a migration */
        size_t released;        /* bytes of old that were given back */
        uint64_t seed[2];
        struct wide_blocks wide;
        uint64_t count;      /* blocks */
        uint64_t grow_at;    /* count at which an insertion starts to grow */
        uint64_t shrink_at;  /* count below which a removal starts to shrink */
        uint32_t epoch;      /* birth of what comes now; counts cuts */
        uint32_t newest_cut; /* number of the newest open cut; 0: none open */
        struct cut *cuts;    /* open ones, newest first */
        unsigned minds;      /* TRACE_TABLE_MINDS_KEEP, _REST */
        unsigned refs;
        struct charge *charge;
        struct keep *keep; /* NULL: in private memory */
};

static inline uint32_t trace_block_node(const struct trace_block *block) {
        return block->node_domain & ((UINT32_C(1) << TRACE_NODE_BITS) - 1);
}

static inline unsigned trace_block_domain(const struct trace_block *block) {
        return block->node_domain >> TRACE_NODE_BITS;
}

/** trace_cell_node() - its node, or the index of its slot */
static inline uint32_t trace_cell_node(const struct trace_cell *cell) {
        return cell->node_domain & ((UINT32_C(1) << TRACE_NODE_BITS) - 1);
}

static inline unsigned trace_cell_domain(const struct trace_cell *cell) {
        return cell->node_domain >> TRACE_NODE_BITS;
}

static inline bool trace_cell_is_wide(const struct trace_cell *cell) {
        return (cell->key & TRACE_SIZE_WIDE) == TRACE_SIZE_WIDE;
}

/* Address 0 does not: with size 0 it would be the key of an empty cell. */
static inline bool trace_cell_has_room(uint64_t address, uint64_t size) {
        return address - 1 < (UINT64_C(1) << TRACE_ADDRESS_BITS) - 1 && size < TRACE_SIZE_WIDE;
}

/** trace_key_space() - python (1) lives in the space of malloc (0) */
static inline unsigned trace_key_space(unsigned domain) {
        return domain - (domain == 1);
}

/** trace_table_new() - an empty table
 * @charge: referenced
 * @keep: where it lies, outlives it; NULL: private memory
 * Return: 0; TRACE_TABLE_E_FULL when the charge does not allow even that; -ENOMEM. */
int trace_table_new(struct charge *charge, struct keep *keep, struct trace_table **tablep);

/* What a record says about a table. */
struct kept_array {
        uint64_t offset, n_homes;
};
struct kept_table {
        struct kept_array current, old; /* n_homes 0: there is none */
        struct kept_wide_blocks wide;
        uint64_t migrated, seed[2], count, grow_at, shrink_at;
        uint32_t epoch, zero;
};

/** trace_table_keep() - for the record. @kept: set. */
void trace_table_keep(const struct trace_table *t, struct kept_table *kept);

/** trace_table_adopt() - the table that a record tells of; charged whatever the limit. Without cuts.
 * Return: 0; TRACE_TABLE_E_UNKNOWN: the record can't be true; -ENOMEM. */
int trace_table_adopt(struct charge *charge, struct keep *keep, const struct kept_table *kept,
                      struct trace_table **tablep);

/** trace_table_set_minds() - after each change of its cuts */
void trace_table_set_minds(struct trace_table *t);

/** trace_table_ref() - another holder (a cut keeps the table that it reads). Return: @t. */
struct trace_table *trace_table_ref(struct trace_table *t);

/** trace_table_unref() - the last one frees. NULL is fine. Return: NULL. */
struct trace_table *trace_table_unref(struct trace_table *t);

/** trace_table_hash() - what the functions below want as @hash */
static inline uint64_t trace_table_hash(const struct trace_table *t, unsigned domain, uint64_t address) {
        __uint128_t product =
                (__uint128_t)(address ^ t->seed[0]) * (t->seed[1] ^ (uint64_t)trace_key_space(domain) << 40);
        uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);
        return folded * UINT64_C(0x9e3779b97f4a7c15);
}

/* Which array holds a hash. */
static inline const struct trace_array *trace_table_array(const struct trace_table *t, uint64_t hash) {
        return __builtin_expect(t->old.cells && hash >= t->migrated, 0) ? &t->old : &t->current;
}

/** trace_table_home() - the cell where probing begins, for prefetching */
static inline const struct trace_cell *trace_table_home(const struct trace_table *t, uint64_t hash) {
        const struct trace_array *array = trace_table_array(t, hash);
        return &array->cells[hash >> array->shift];
}

/** trace_table_insert() - a block is born
 * @address: below 2**63; @node: below 2**TRACE_NODE_BITS; @domain: 0..255
 * @replacedp: set on TRACE_TABLE_REPLACED
 * O(1) and at most TRACE_TABLE_STEP cells of migration.
 * Return: 0; TRACE_TABLE_REPLACED; TRACE_TABLE_E_FULL. */
int trace_table_insert(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address, uint64_t size,
                       uint32_t node, struct trace_block *replacedp);
#define TRACE_TABLE_STEP 32

/** trace_table_place() - trace_table_insert() in two steps, without a copy: the cell for that key
 * A new one (trace_cell_is_new()) counts already; any other holds the block that is there. trace_table_fill() follows,
 * with the same address and size before the table is used otherwise. Return: the cell; NULL: no memory or charge to
 * grow; the table is unchanged. */
struct trace_cell *trace_table_place(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address,
                                     uint64_t size);

/* Between trace_table_place() and trace_table_fill(): epochs of tables begin with 1. */
static inline bool trace_cell_is_new(const struct trace_cell *cell) {
        return cell->birth == 0;
}

/** trace_table_fill() - @cell: of trace_table_place(); else as trace_table_insert() */
__attribute__((cold)) void trace_table_fill_wide(struct trace_table *t, struct trace_cell *cell, unsigned domain,
                                                 uint64_t address, uint64_t size, uint32_t node);
static inline void trace_table_fill(struct trace_table *t, struct trace_cell *cell, unsigned domain, uint64_t address,
                                    uint64_t size, uint32_t node) {
        if (__builtin_expect(!trace_cell_has_room(address, size) || trace_cell_is_wide(cell), 0)) {
                trace_table_fill_wide(t, cell, domain, address, size, node);
                return;
        }
        cell->key = address << TRACE_SIZE_BITS | size;
        cell->node_domain = node | domain << TRACE_NODE_BITS;
        cell->birth = t->epoch;
}

/** trace_table_remove() - a block goes
 * @removedp: set on 0 only. Return: 0; TRACE_TABLE_E_UNKNOWN. */
int trace_table_remove(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address,
                       struct trace_block *removedp);

/** trace_table_erase() - trace_table_remove() of a block that trace_table_find() found with that hash
 * @cell: not valid any more afterwards */
void trace_table_erase(struct trace_table *t, uint64_t hash, const struct trace_cell *cell);

/** trace_table_each() - every block, in no order
 * @cb: may not change the table. Return: 0, or what @cb returned, which ends it. */
int trace_table_each(const struct trace_table *t, int (*cb)(void *data, const struct trace_block *block), void *data);

/** trace_table_migrate() - work on a migration ahead of time, for an idle moment
 * @n_cells: how many to look at. Return: whether there is more to do. */
bool trace_table_migrate(struct trace_table *t, size_t n_cells);

/** trace_table_find() - look. Return: the cell, valid until the next change; NULL. */
const struct trace_cell *trace_table_find(const struct trace_table *t, uint64_t hash, unsigned domain,
                                          uint64_t address);

/** trace_table_block() - what is in a cell that trace_table_find() or trace_table_place() found */
__attribute__((cold)) struct trace_block trace_table_wide_block(const struct trace_table *t,
                                                                const struct trace_cell *cell);
static inline struct trace_block trace_table_block(const struct trace_table *t, const struct trace_cell *cell) {
        if (__builtin_expect(trace_cell_is_wide(cell), 0))
                return trace_table_wide_block(t, cell);
        return (struct trace_block){.address = cell->key >> TRACE_SIZE_BITS,
                                    .size = cell->key & TRACE_SIZE_WIDE,
                                    .node_domain = cell->node_domain,
                                    .birth = cell->birth};
}

/** trace_table_scan() - copy blocks with hashes in [from, last]
 * @birth_max: of those born in this epoch or before
 * @blocks: [capacity]
 * Return: number of blocks; SIZE_MAX if there are more than @capacity (contents of @blocks are then undefined). */
size_t trace_table_scan(const struct trace_table *t, uint64_t from, uint64_t last, uint32_t birth_max,
                        struct trace_block *blocks, size_t capacity);

/** trace_table_is_sound() - whether each block lies where it is looked for, and they are as many as is said; O(blocks)
 * For a table that somebody else left: nothing is asserted. */
bool trace_table_is_sound(const struct trace_table *t);

/** trace_table_check() - walk all of it and abort on a broken invariant (tests, after each step) */
void trace_table_check(const struct trace_table *t);
