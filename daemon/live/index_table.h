/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Hash -> index into an array that the caller keeps: the table knows neither
 * keys nor values. One thread. Never shrinks, nothing is taken out.
 *
 *   uint32_t cursor = hash, index;
 *   while ((index = index_table_next(t, hash, &cursor)) != INDEX_TABLE_NONE)
 *           if (array[index] is the key)
 *                   return index;
 *   index_table_reserve(t, n, ...), append to the array, index_table_put(t, hash, n)
 *
 * Four bytes a slot, since there are as many in a large snapshot as blocks: as many low bits as number
 * the slots hold the index, those above them are the hash's. So growth has to ask for the hashes again.
 */

#include <stdbool.h>
#include <stdint.h>

#define INDEX_TABLE_NONE UINT32_MAX

struct index_table {
        uint32_t *slots; /* 0: empty; else index + 1 below, hash above the bits of mask */
        uint32_t mask;   /* slots - 1; slots is NULL where it is 0 */
        uint32_t n;      /* 1 + the highest index */
        uint32_t *next;  /* twice as many slots, which are being filled; NULL: none are */
        uint32_t n_next; /* of the indexes, that are in next */
};

/** index_table_deinit() - zero memory is an empty table; this frees what grew */
void index_table_deinit(struct index_table *t);

/** index_hash_of - the hash with which an item of the caller's array was put */
typedef uint32_t index_hash_of(const void *owner, uint32_t index);

/** index_table_reserve() - make room for one more, so that the next put cannot fail
 * @index: which that will be; not below those that were put
 * @hash_of: called for all items up to the last that was put when the table grows; @owner: for it
 * Return: 0; -ENOMEM (as it was). */
int index_table_reserve(struct index_table *t, uint32_t index, index_hash_of *hash_of, const void *owner);

/** index_table_grow_ahead() - a piece of the next growth, before index_table_reserve() has to do all of it at once
 * @n_items: of which the hashes are asked for, at most
 * For tables that are large and almost as full as they may be; what is put or looked up meanwhile finds the table as it
 * was. Without memory nothing is done. Return: whether there is more of it. */
bool index_table_grow_ahead(struct index_table *t, uint32_t n_items, index_hash_of *hash_of, const void *owner);

/** index_table_put() - add; index_table_reserve() came before */
void index_table_put(struct index_table *t, uint32_t hash, uint32_t index);

/** index_table_next() - next index with that hash, or one like it
 * @cursor: starts as the hash. Return: the index; INDEX_TABLE_NONE at the end. */
static inline uint32_t index_table_next(const struct index_table *t, uint32_t hash, uint32_t *cursor) {
        if (!t->slots)
                return INDEX_TABLE_NONE;
        for (;;) {
                uint32_t slot = t->slots[(*cursor)++ & t->mask];
                if (!slot)
                        return INDEX_TABLE_NONE;
                if (((slot ^ hash) & ~t->mask) == 0)
                        return (slot & t->mask) - 1;
        }
}

/* Random, set before main(): peers choose the keys. */
extern uint64_t index_hash_seed[2];

/** index_hash_words() - for keys of a few integers */
static inline uint32_t index_hash_words(uint64_t a, uint64_t b) {
        __uint128_t product = (__uint128_t)(a ^ index_hash_seed[0]) * (b ^ index_hash_seed[1]);
        uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);
        return (uint32_t)((folded * UINT64_C(0xff51afd7ed558ccd)) >> 32);
}

/** index_hash_bytes() - for text */
uint32_t index_hash_bytes(const void *bytes, uint64_t length);
