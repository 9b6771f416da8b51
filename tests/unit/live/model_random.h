/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Random steps for model tests, from a seed that is printed: TEST_SEED=... repeats a run. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t model_state;

/** model_seed() - begin; prints the seed, so that a failure shows it */
static inline void model_seed(const char *test) {
        const char *given = getenv("TEST_SEED");
        if (given)
                model_state = strtoull(given, NULL, 0);
        else if (getrandom(&model_state, sizeof model_state, 0) != sizeof model_state)
                abort();
        model_state |= 1;
        fprintf(stderr, "%s: TEST_SEED=%#llx\n", test, (unsigned long long)model_state);
}

static inline uint64_t model_random(void) {
        model_state ^= model_state << 13;
        model_state ^= model_state >> 7;
        model_state ^= model_state << 17;
        return model_state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/** model_below() - 0..n-1 */
static inline uint64_t model_below(uint64_t n) {
        return model_random() % n;
}
