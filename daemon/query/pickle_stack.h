/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The values that opcodes take and leave, the marks between them, and the memo.
 * Nothing below the last mark can be taken, as in Python. All bounded.
 */

#include "daemon/query/pickle_tables.h"

#include <stdbool.h>
#include <stdint.h>

#define PICKLE_VALUES_MAX (UINT32_C(1) << 20) /* a traceback has no more frames than this; list batches have 1000 */
#define PICKLE_MARKS_MAX  256                 /* what tracemalloc writes has 3; foreign attributes may be nested */

struct pickle_stack {
        struct pickle_memory *memory; /* borrowed */
        struct pickle_value *values;
        uint32_t *memo; /* kind in the top 4 bits, number below */
        uint32_t n_values, values_size, n_memo, memo_size, n_marks;
        uint32_t marks[PICKLE_MARKS_MAX]; /* values below each */
};

/** pickle_stack_init() - empty; @memory: what it takes is accounted there, borrowed */
void pickle_stack_init(struct pickle_stack *s, struct pickle_memory *memory);

/** pickle_stack_deinit() - free all */
void pickle_stack_deinit(struct pickle_stack *s);

/** pickle_stack_grow() - room for one more value. Return: 0; PICKLE_E_REFUSED; -ENOMEM. */
int pickle_stack_grow(struct pickle_stack *s);

/** pickle_stack_memoize() - give the top value the next number of the memo
 * There is one, of a kind that Python memoizes. Return: 0; PICKLE_E_REFUSED; -ENOMEM. */
int pickle_stack_memoize(struct pickle_stack *s);

/** pickle_stack_recall() - a value of the memo
 * @at: where it is asked for
 * Return: false: there is none of that number. */
bool pickle_stack_recall(const struct pickle_stack *s, uint32_t number, uint64_t at, struct pickle_value *valuep);

/** pickle_stack_push() - Return: 0; PICKLE_E_REFUSED; -ENOMEM. */
static inline int pickle_stack_push(struct pickle_stack *s, struct pickle_value value) {
        if (s->n_values == s->values_size) {
                int r = pickle_stack_grow(s);
                if (r != 0)
                        return r;
        }
        s->values[s->n_values++] = value;
        return 0;
}

/** pickle_stack_available() - values above the last mark */
static inline uint32_t pickle_stack_available(const struct pickle_stack *s) {
        return s->n_values - (s->n_marks ? s->marks[s->n_marks - 1] : 0);
}

/** pickle_stack_top() - the value that is @below the top one; @below < n_values */
static inline struct pickle_value *pickle_stack_top(struct pickle_stack *s, uint32_t below) {
        return &s->values[s->n_values - 1 - below];
}
