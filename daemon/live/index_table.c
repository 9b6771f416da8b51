/* SPDX-License-Identifier: Apache-2.0 */

/* Hash to index. Any thread, one at a time; called by the snapshot builder and the module map. */

#include "daemon/live/index_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SLOTS_MIN 64

uint64_t index_hash_seed[2];

__attribute__((constructor)) static void make_seed(void) {
        if (getrandom(index_hash_seed, sizeof index_hash_seed, 0) != sizeof index_hash_seed)
                abort(); /* getrandom(2): 16 bytes are never short */
}

void index_table_deinit(struct index_table *t) {
        free(t->slots);
        *t = (struct index_table){};
}

static void place(struct index_slot *slots, uint32_t mask, struct index_slot slot) {
        uint32_t i = slot.hash;
        while (slots[i & mask].index_plus_1)
                i++;
        slots[i & mask] = slot;
}

int index_table_reserve(struct index_table *t) {
        uint64_t n_slots = t->slots ? (uint64_t)t->mask + 1 : 0;
        /* as full as a trace table, whose blocks a snapshot counts: neither has just doubled where the other is full */
        if (n_slots && t->count < n_slots / 32 * 25)
                return 0;
        uint64_t wanted = n_slots ? 2 * n_slots : SLOTS_MIN;
        if (wanted > UINT32_MAX)
                return -ENOMEM;
        struct index_slot *slots = calloc(wanted, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        for (uint64_t i = 0; i < n_slots; i++) {
                if (t->slots[i].index_plus_1)
                        place(slots, (uint32_t)(wanted - 1), t->slots[i]);
        }
        free(t->slots);
        t->slots = slots;
        t->mask = (uint32_t)(wanted - 1);
        return 0;
}

void index_table_put(struct index_table *t, uint32_t hash, uint32_t index) {
        place(t->slots, t->mask, (struct index_slot){.hash = hash, .index_plus_1 = index + 1});
        t->count++;
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
