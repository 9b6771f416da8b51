/* SPDX-License-Identifier: Apache-2.0 */

/* Open addressing with linear probing; never removes. Used by the tables of one query, in its thread. */

#include "daemon/query/intern.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64

void intern_init(struct intern *index) {
        *index = (struct intern){0};
}

void intern_deinit(struct intern *index) {
        free(index->slots);
        *index = (struct intern){0};
}

uint32_t intern_find(const struct intern *index, uint32_t hash, intern_equal_fn equal, const void *owner,
                     const void *key) {
        if (!index->slots)
                return INTERN_NONE;
        for (uint32_t i = hash & index->mask; index->slots[i].next_id; i = (i + 1) & index->mask) {
                const struct intern_slot *slot = &index->slots[i];
                if (slot->hash == hash && equal(owner, slot->next_id - 1, key))
                        return slot->next_id - 1;
        }
        return INTERN_NONE;
}

static void place(struct intern_slot *slots, uint32_t mask, struct intern_slot slot) {
        uint32_t i = slot.hash & mask;
        while (slots[i].next_id)
                i = (i + 1) & mask;
        slots[i] = slot;
}

static int resize(struct intern *index, uint64_t n_slots) {
        struct intern_slot *slots;
        if (n_slots > UINT64_C(1) << 32)
                return -ENOMEM;
        slots = calloc(n_slots, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        if (index->slots)
                for (uint64_t i = 0; i <= index->mask; i++)
                        if (index->slots[i].next_id)
                                place(slots, (uint32_t)(n_slots - 1), index->slots[i]);
        free(index->slots);
        index->slots = slots;
        index->mask = (uint32_t)(n_slots - 1);
        return 0;
}

int intern_reserve(struct intern *index, uint32_t n) {
        uint64_t n_slots = index->slots ? (uint64_t)index->mask + 1 : 0, wanted = n_slots ? n_slots : SLOTS_MIN;
        while ((uint64_t)index->n + n > wanted / 2)
                wanted *= 2;
        return wanted == n_slots ? 0 : resize(index, wanted);
}

void intern_add(struct intern *index, uint32_t hash, uint32_t id) {
        assert(index->slots && id != INTERN_NONE);
        place(index->slots, index->mask, (struct intern_slot){.next_id = id + 1, .hash = hash});
        index->n++;
}

/* The mixing step is the finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x) {
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

uint32_t intern_hash_bytes(const void *bytes, size_t length) {
        const char *p = bytes;
        uint64_t hash = length, word;
        for (; length >= sizeof word; p += sizeof word, length -= sizeof word) {
                memcpy(&word, p, sizeof word);
                hash = mix(hash ^ word);
        }
        word = 0;
        if (length)
                memcpy(&word, p, length);
        return (uint32_t)mix(hash ^ word);
}

uint32_t intern_hash_words(const uint64_t *words, size_t n) {
        uint64_t hash = n;
        for (size_t i = 0; i < n; i++)
                hash = mix(hash ^ words[i]);
        return (uint32_t)hash;
}
