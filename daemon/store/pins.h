/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Snapshots that go after all others where there are too many: those that
 * somebody has just been told of, and is about to look at. The last PINS_MAX of
 * them, in memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PINS_MAX 96 /* of 8 runs of tmctl, each of which names 12 */

/* Zero is empty. */
struct pins {
        int64_t ids[PINS_MAX]; /* the last is the newest */
        size_t n;
};

/** pins_has() - O(PINS_MAX) */
static inline bool pins_has(const struct pins *pins, int64_t id) {
        for (size_t i = pins->n; i > 0; i--) {
                if (pins->ids[i - 1] == id)
                        return true;
        }
        return false;
}

/** pins_add() - as the newest, also where it was there; the oldest goes where there is no room. 0 is no id. */
static inline void pins_add(struct pins *pins, int64_t id) {
        size_t at = 0;
        if (id == 0)
                return;
        while (at < pins->n && pins->ids[at] != id)
                at++;
        if (at == pins->n && pins->n < PINS_MAX) {
                pins->ids[pins->n++] = id;
                return;
        }
        if (at == pins->n)
                at = 0;
        memmove(&pins->ids[at], &pins->ids[at + 1], (pins->n - at - 1) * sizeof pins->ids[0]);
        pins->ids[pins->n - 1] = id;
}
