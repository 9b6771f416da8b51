/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Return address -> unwind rule, for the whole process. Bounded, without a lock:
 * an entry is one word, so that it is whole or not there. What is not in it is
 * compiled from the object's tables and replaces something older.
 *
 * An entry is a set number and a tag, which together are the return address itself
 * (multiplied by an odd number, which loses nothing), so a rule is never another
 * address's.
 */

#include "agent/unwind_rule.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RULE_CACHE_ADDRESS_BITS 47 /* of user space, but for programs that ask for more (LA57) */
#define RULE_CACHE_SET_BITS     14
#define RULE_CACHE_WAYS         4
#define RULE_CACHE_TAG_BITS     (RULE_CACHE_ADDRESS_BITS - RULE_CACHE_SET_BITS)
#define RULE_CACHE_MULTIPLIER   UINT64_C(0x79b97f4a7c15)
#define RULE_CACHE_INVERSE      UINT64_C(0x3e19937733d) /* modulo 2^47 */

_Static_assert(RULE_CACHE_TAG_BITS + UNWIND_RULE_BITS == 64, "an entry is one word");

struct rule_set {
        _Atomic uint64_t entries[RULE_CACHE_WAYS]; /* tag << UNWIND_RULE_BITS | rule; newest first */
};

/* The sets; NULL until the first rule is needed. */
extern struct rule_set *_Atomic rule_cache_sets;

/** rule_cache_fill() - the rest of rule_cache_find(): asks the object's tables, keeps what they say
 * Return: a rule, never UNWIND_NONE. */
uint32_t rule_cache_fill(uint64_t pc);

/** rule_cache_forget() - forget rules for code in [start, end), which was unloaded
 * A thread that is just reading that code's tables does not put its rule back after this. O(sets that were ever used).
 */
void rule_cache_forget(uint64_t start, uint64_t end);

/** rule_cache_find() - the rule for a return address
 * Safe in a signal handler. Return: a rule, never UNWIND_NONE. */
static inline uint32_t rule_cache_find(uint64_t pc) {
        const struct rule_set *sets = atomic_load_explicit(&rule_cache_sets, memory_order_acquire);
        uint64_t mixed = pc * RULE_CACHE_MULTIPLIER << (64 - RULE_CACHE_ADDRESS_BITS);
        uint64_t tag = mixed << RULE_CACHE_SET_BITS;
        if (__builtin_expect(!sets || pc >> RULE_CACHE_ADDRESS_BITS, 0))
                return rule_cache_fill(pc);
        const struct rule_set *set = &sets[mixed >> (64 - RULE_CACHE_SET_BITS)];
        for (unsigned way = 0; way < RULE_CACHE_WAYS; way++) {
                uint64_t entry = atomic_load_explicit(&set->entries[way], memory_order_relaxed);
                /* the tag is the upper bits of both; a free entry has no rule */
                if ((entry ^ tag) >> UNWIND_RULE_BITS == 0 && (uint32_t)entry << (32 - UNWIND_RULE_BITS) != 0)
                        return (uint32_t)entry & ((UINT32_C(1) << UNWIND_RULE_BITS) - 1);
        }
        return rule_cache_fill(pc);
}
