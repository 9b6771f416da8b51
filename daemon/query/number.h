/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sums and order of 64-bit numbers that come from peers and files: nothing here overflows. */

#include <stdint.h>

/** number_add() - the sum; UINT64_MAX where it does not fit */
static inline uint64_t number_add(uint64_t a, uint64_t b) {
        uint64_t sum;
        return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/** number_compare() - Return: -1, 0, 1. */
static inline int number_compare(uint64_t a, uint64_t b) {
        return (a > b) - (a < b);
}
