/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one image may take of the daemon's memory. Charged before it is
 * allocated. Shared by the parts of an image, some of which a cut keeps alive
 * longer than the image. One thread. What all images of one user take together is
 * a pool, which their charges share; any thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct charge_pool {
        uint64_t limit; /* bytes; UINT64_MAX: none */
        _Atomic uint64_t used;
        atomic_uint refs;
};

struct charge {
        uint64_t limit; /* bytes; UINT64_MAX: none */
        uint64_t used;
        unsigned refs;
        struct charge_pool *pool; /* what is used here is used there, too; NULL: none */
};

/** charge_pool_new() - @limit: bytes. Return: one reference; NULL without memory. */
static inline struct charge_pool *charge_pool_new(uint64_t limit) {
        struct charge_pool *pool = calloc(1, sizeof *pool);
        if (pool) {
                pool->limit = limit;
                atomic_init(&pool->refs, 1);
        }
        return pool;
}

/** charge_pool_ref() - Return: @pool */
static inline struct charge_pool *charge_pool_ref(struct charge_pool *pool) {
        atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
        return pool;
}

/** charge_pool_unref() - the last one frees; NULL is fine. Return: NULL. */
static inline struct charge_pool *charge_pool_unref(struct charge_pool *pool) {
        if (pool && atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) == 1)
                free(pool);
        return NULL;
}

static inline void charge_pool_give(struct charge_pool *pool, uint64_t bytes) {
        if (pool)
                atomic_fetch_sub_explicit(&pool->used, bytes, memory_order_relaxed);
}

/* Two that ask at once may both be told no where one of them would fit: it asks again at its next event. */
static inline bool charge_pool_take(struct charge_pool *pool, uint64_t bytes) {
        if (!pool)
                return true;
        uint64_t before = atomic_fetch_add_explicit(&pool->used, bytes, memory_order_relaxed);
        if (bytes <= pool->limit && before <= pool->limit - bytes)
                return true;
        charge_pool_give(pool, bytes);
        return false;
}

/** charge_new() - @limit: bytes. Return: one reference; NULL without memory. */
static inline struct charge *charge_new(uint64_t limit) {
        struct charge *charge = calloc(1, sizeof *charge);
        if (charge) {
                charge->limit = limit;
                charge->refs = 1;
        }
        return charge;
}

/** charge_ref() - Return: @charge */
static inline struct charge *charge_ref(struct charge *charge) {
        charge->refs++;
        return charge;
}

/** charge_unref() - the last one frees; NULL is fine. Return: NULL. */
static inline struct charge *charge_unref(struct charge *charge) {
        if (charge && --charge->refs == 0) {
                charge_pool_give(charge->pool, charge->used);
                charge_pool_unref(charge->pool);
                free(charge);
        }
        return NULL;
}

/** charge_take() - ask for bytes. Return: false when the limit does not allow it (nothing taken). */
static inline bool charge_take(struct charge *charge, uint64_t bytes) {
        if (bytes > charge->limit || charge->used > charge->limit - bytes)
                return false;
        if (!charge_pool_take(charge->pool, bytes))
                return false;
        charge->used += bytes;
        return true;
}

/** charge_force() - take bytes whatever the limits say: they are there already */
static inline void charge_force(struct charge *charge, uint64_t bytes) {
        charge->used += bytes;
        if (charge->pool)
                atomic_fetch_add_explicit(&charge->pool->used, bytes, memory_order_relaxed);
}

/** charge_give() - bytes taken before are free again */
static inline void charge_give(struct charge *charge, uint64_t bytes) {
        charge->used -= bytes;
        charge_pool_give(charge->pool, bytes);
}

/** charge_join() - share a pool, for good, with what is used already
 * @pool: referenced. Return: false when the pool has no room for that (and is not shared). */
static inline bool charge_join(struct charge *charge, struct charge_pool *pool) {
        if (!charge_pool_take(pool, charge->used))
                return false;
        charge->pool = charge_pool_ref(pool);
        return true;
}

/** charge_join_forced() - the same, whatever the limit says */
static inline void charge_join_forced(struct charge *charge, struct charge_pool *pool) {
        atomic_fetch_add_explicit(&pool->used, charge->used, memory_order_relaxed);
        charge->pool = charge_pool_ref(pool);
}
