/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Filling and emptying. Any thread of the traced process, within a hook; nothing
 * waits. That a rule of an unloaded object comes back is kept out by a version:
 * who forgets raises it and then looks at all entries of used sets; who fills marks the set as used, stores his
 * entry and then looks at the version. In the one order of all these accesses, either the one that forgets sees
 * the entry or the one that fills sees the version.
 */

#include "agent/rule_cache.h"

#include "agent/eh_frame.h"
#include "agent/object.h"
#include "agent/sys.h"

#include <string.h>

#define N_SETS       ((size_t)1 << RULE_CACHE_SET_BITS)
#define ADDRESS_MASK ((UINT64_C(1) << RULE_CACHE_ADDRESS_BITS) - 1)
#define RULE_MASK    ((UINT64_C(1) << UNWIND_RULE_BITS) - 1)

#define USED_BITS 64

struct rule_set *_Atomic rule_cache_sets;
static _Atomic uint32_t version;
/* Sets that ever had an entry. Most programs have hundreds of rules and 16,384 sets: to look at all of these is 100 us,
 * and programs with plugins unload them all the time. */
static _Atomic uint64_t used[N_SETS / USED_BITS];

static struct rule_set *sets_map(void) {
        struct rule_set *sets = sys_map_memory_now(N_SETS * sizeof *sets), *other = NULL;
        if (!sets || atomic_compare_exchange_strong(&rule_cache_sets, &other, sets))
                return sets;
        sys_unmap(sets, N_SETS * sizeof *sets); /* another thread was first */
        return other;
}

/* mov $SYS_rt_sigreturn, %rax; syscall: where a handler returns to whose libc has no tables for it. What is
 * on the stack there is known to the other unwinder. */
static bool is_signal_return(const struct object *object, uint64_t pc) {
        static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
        const uint8_t *start, *end;
        return eh_frame_segment(object, pc, &start, &end) && (uint64_t)(end - (const uint8_t *)pc) >= sizeof code &&
               memcmp((const void *)pc, code, sizeof code) == 0;
}

static uint32_t compile(uint64_t pc) {
        struct object object = {0};
        struct eh_frame eh_frame;
        if (!object_find(pc - 1, &object))
                return UNWIND_OUTSIDE;
        if (!object.eh_frame_hdr)
                return UNWIND_END;
        if (!eh_frame_of(&object, &eh_frame))
                return UNWIND_CANT;
        uint32_t rule = eh_frame_rule(&eh_frame, pc);
        if (rule == UNWIND_NONE)
                rule = is_signal_return(&object, pc) ? UNWIND_CANT : UNWIND_END;
        return rule;
}

static void mark_used(size_t set) {
        uint64_t bit = UINT64_C(1) << set % USED_BITS;
        if (!(atomic_load(&used[set / USED_BITS]) & bit))
                atomic_fetch_or(&used[set / USED_BITS], bit);
}

static void keep(struct rule_set *sets, uint64_t pc, uint32_t rule, uint32_t seen_version) {
        uint64_t mixed = pc * RULE_CACHE_MULTIPLIER & ADDRESS_MASK;
        struct rule_set *set = &sets[mixed >> RULE_CACHE_TAG_BITS];
        uint64_t entry = mixed << UNWIND_RULE_BITS | rule;
        mark_used((size_t)(set - sets)); /* before there is something to be seen */
        for (unsigned way = RULE_CACHE_WAYS - 1; way > 0; way--)
                atomic_store(&set->entries[way], atomic_load(&set->entries[way - 1]));
        atomic_store(&set->entries[0], entry);
        if (atomic_load(&version) == seen_version)
                return;
        for (unsigned way = 0; way < RULE_CACHE_WAYS; way++)
                atomic_store(&set->entries[way], 0);
}

uint32_t rule_cache_fill(uint64_t pc) {
        struct rule_set *sets = atomic_load(&rule_cache_sets);
        uint32_t seen_version = atomic_load(&version);
        if (!sets)
                sets = sets_map();
        uint32_t rule = compile(pc);
        /* what is outside today may be loaded tomorrow, and nobody would tell us */
        if (sets && unwind_rule_kind(rule) != UNWIND_OUTSIDE && pc <= ADDRESS_MASK)
                keep(sets, pc, rule, seen_version);
        return rule;
}

static void forget_in_set(struct rule_set *sets, size_t set, uint64_t start, uint64_t end) {
        for (unsigned way = 0; way < RULE_CACHE_WAYS; way++) {
                uint64_t entry = atomic_load(&sets[set].entries[way]);
                uint64_t mixed = (uint64_t)set << RULE_CACHE_TAG_BITS | entry >> UNWIND_RULE_BITS;
                uint64_t pc = mixed * RULE_CACHE_INVERSE & ADDRESS_MASK;
                if ((entry & RULE_MASK) && pc > start && pc <= end)
                        atomic_store(&sets[set].entries[way], 0);
        }
}

void rule_cache_forget(uint64_t start, uint64_t end) {
        struct rule_set *sets = atomic_load(&rule_cache_sets);
        atomic_fetch_add(&version, 1);
        for (size_t word = 0; sets && word < N_SETS / USED_BITS; word++) {
                for (uint64_t bits = atomic_load(&used[word]); bits != 0; bits &= bits - 1)
                        forget_in_set(sets, word * USED_BITS + (size_t)__builtin_ctzll(bits), start, end);
        }
}
