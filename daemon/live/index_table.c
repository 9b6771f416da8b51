/* SPDX-License-Identifier: Apache-2.0 */

/* Hash to index. Any thread, one at a time; called by the snapshot builder and the module map. */

#include "daemon/live/index_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SLOTS_MIN       64
#define SLOTS_MIN_AHEAD 65536 /* fewer are filled in a millisecond or two */

uint64_t index_hash_seed[2];

__attribute__((constructor)) static void make_seed(void) {
        if (getrandom(index_hash_seed, sizeof index_hash_seed, 0) != sizeof index_hash_seed)
                abort(); /* getrandom(2): 16 bytes are never short */
}

void index_table_deinit(struct index_table *t) {
        free(t->slots);
        free(t->next);
        *t = (struct index_table){};
}

static void place(uint32_t *slots, uint32_t mask, uint32_t hash, uint32_t index) {
        uint32_t i = hash;
        while (slots[i & mask])
                i++;
        slots[i & mask] = (hash & ~mask) | (index + 1);
}

void index_table_put(struct index_table *t, uint32_t hash, uint32_t index) {
        place(t->slots, t->mask, hash, index);
        t->n = index + 1;
}

/* At most as full as was found good for probing, and never full: then an index + 1 fits into the bits of the mask. */
static bool has_room(uint64_t n_slots, uint32_t index) {
        return index < n_slots / 32 * 25;
}

/* The old slots go before the new ones are filled. */
int index_table_reserve(struct index_table *t, uint32_t index, index_hash_of *hash_of, const void *owner) {
        uint64_t n_slots = t->slots ? (uint64_t)t->mask + 1 : 0, wanted = n_slots ? n_slots : SLOTS_MIN;
        while (!has_room(wanted, index))
                wanted *= 2;
        if (wanted == n_slots)
                return 0;
        if (wanted > UINT32_MAX)
                return -ENOMEM;
        uint32_t *slots = calloc(wanted, sizeof *slots), n = t->n;
        if (!slots)
                return -ENOMEM;
        free(t->slots);
        free(t->next);
        t->next = NULL;
        t->slots = slots;
        t->mask = (uint32_t)(wanted - 1);
        for (uint32_t i = 0; i < n; i++)
                index_table_put(t, hash_of(owner, i), i);
        return 0;
}

/* So early that what is put until the next piece finds room. */
static bool is_almost_full(const struct index_table *t) {
        uint64_t n_slots = (uint64_t)t->mask + 1;
        return n_slots >= SLOTS_MIN_AHEAD && n_slots * 2 <= UINT32_MAX &&
               !has_room(n_slots, t->n + (uint32_t)(n_slots / 16));
}

bool index_table_grow_ahead(struct index_table *t, uint32_t n_items, index_hash_of *hash_of, const void *owner) {
        if (!t->next && is_almost_full(t)) {
                t->next = calloc(2 * ((size_t)t->mask + 1), sizeof *t->next);
                t->n_next = 0;
        }
        if (!t->next)
                return false;
        uint32_t mask = 2 * t->mask + 1;
        for (; n_items > 0 && t->n_next < t->n; n_items--, t->n_next++)
                place(t->next, mask, hash_of(owner, t->n_next), t->n_next);
        if (t->n_next < t->n)
                return true;
        free(t->slots);
        t->slots = t->next;
        t->mask = mask;
        t->next = NULL;
        return false;
}

uint32_t index_hash_bytes(const void *bytes, uint64_t length) {
        const unsigned char *p = bytes;
        uint64_t hash = length ^ index_hash_seed[0];
        for (; length >= 8; p += 8, length -= 8) {
                uint64_t word;
                memcpy(&word, p, 8);
                hash = (hash ^ word) * (index_hash_seed[1] | 1);
                hash ^= hash >> 29;
        }
        uint64_t word = 0;
        memcpy(&word, p, length);
        return index_hash_words(hash, word);
}
