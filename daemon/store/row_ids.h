/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Row ids by index, six bytes each: there may be as many as a snapshot has tracebacks. Writers. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROW_ID_BITS 48
#define ROW_ID_NONE ((INT64_C(1) << ROW_ID_BITS) - 1) /* what each is at first */
#define ROW_ID_MAX  (ROW_ID_NONE - 2)                 /* one below is left to the caller */

struct row_ids {
        uint32_t *low;
        uint16_t *high;
};

static inline void row_ids_deinit(struct row_ids *ids) {
        free(ids->low);
        free(ids->high);
        *ids = (struct row_ids){0};
}

/** row_ids_init() - all of them none. Return: whether there is memory. */
static inline bool row_ids_init(struct row_ids *ids, size_t n) {
        ids->low = malloc((n + 1) * sizeof *ids->low);
        ids->high = malloc((n + 1) * sizeof *ids->high);
        if (!ids->low || !ids->high) {
                row_ids_deinit(ids);
                return false;
        }
        memset(ids->low, 0xff, n * sizeof *ids->low);
        memset(ids->high, 0xff, n * sizeof *ids->high);
        return true;
}

static inline int64_t row_ids_get(const struct row_ids *ids, uint32_t index) {
        return (int64_t)((uint64_t)ids->high[index] << 32 | ids->low[index]);
}

/** row_ids_set() - @id: 0 to ROW_ID_NONE */
static inline void row_ids_set(struct row_ids *ids, uint32_t index, int64_t id) {
        ids->low[index] = (uint32_t)id;
        ids->high[index] = (uint16_t)((uint64_t)id >> 32);
}
