/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one image may take of the daemon's memory. Charged before it is
 * allocated. Shared by the parts of an image, some of which a cut keeps alive
 * longer than the image. One thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct charge {
        uint64_t limit; /* bytes; UINT64_MAX: none */
        uint64_t used;
        unsigned refs;
};

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
        if (charge && --charge->refs == 0)
                free(charge);
        return NULL;
}

/** charge_take() - ask for bytes. Return: false when the limit does not allow it (nothing taken). */
static inline bool charge_take(struct charge *charge, uint64_t bytes) {
        if (bytes > charge->limit || charge->used > charge->limit - bytes)
                return false;
        charge->used += bytes;
        return true;
}

/** charge_give() - bytes taken before are free again */
static inline void charge_give(struct charge *charge, uint64_t bytes) {
        charge->used -= bytes;
}
