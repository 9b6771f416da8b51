/* SPDX-License-Identifier: Apache-2.0 */

/* Stack and memo of the pickle reader, in its thread. */

#include "daemon/query/pickle_stack.h"

#include <stdlib.h>

#define MEMO_KIND_SHIFT 28

_Static_assert(PICKLE_IDS_MAX <= UINT32_C(1) << MEMO_KIND_SHIFT, "a number fits beside its kind");
_Static_assert(PICKLE_KIND_OBJECT < 16, "a kind fits beside its number");

void pickle_stack_init(struct pickle_stack *s, struct pickle_memory *memory) {
        *s = (struct pickle_stack){.memory = memory};
}

void pickle_stack_deinit(struct pickle_stack *s) {
        free(s->values);
        free(s->memo);
        *s = (struct pickle_stack){0};
}

int pickle_stack_grow(struct pickle_stack *s) {
        if (s->n_values >= PICKLE_VALUES_MAX)
                return PICKLE_E_REFUSED;
        return pickle_memory_grow(s->memory, (void **)&s->values, &s->values_size, s->n_values, sizeof *s->values);
}

int pickle_stack_memoize(struct pickle_stack *s) {
        const struct pickle_value *top = pickle_stack_top(s, 0);
        int r = pickle_memory_grow(s->memory, (void **)&s->memo, &s->memo_size, s->n_memo, sizeof *s->memo);
        if (r != 0)
                return r;
        s->memo[s->n_memo++] = top->kind << MEMO_KIND_SHIFT | top->id;
        return 0;
}

bool pickle_stack_recall(const struct pickle_stack *s, uint32_t number, uint64_t at, struct pickle_value *valuep) {
        if (number >= s->n_memo)
                return false;
        valuep->kind = s->memo[number] >> MEMO_KIND_SHIFT;
        valuep->id = s->memo[number] & ((UINT32_C(1) << MEMO_KIND_SHIFT) - 1);
        valuep->number = at;
        return true;
}
