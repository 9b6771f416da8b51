/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one image may take of the daemon's memory. Charged before it is
 * allocated. One thread.
 */

#include <stdbool.h>
#include <stdint.h>

struct charge {
        uint64_t limit; /* bytes; UINT64_MAX: none */
        uint64_t used;
};

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
