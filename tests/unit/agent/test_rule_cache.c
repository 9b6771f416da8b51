/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rule_cache.h"

#include <gnu/libc-version.h>
#include <time.h>

#include "agent/object.h"
#include "tests/support/check_main.h"

#define N_SETS ((size_t)1 << RULE_CACHE_SET_BITS)

static struct object libc;

static void begin(void) {
        object_setup();
        ck_assert(object_find((uintptr_t)gnu_get_libc_version, &libc));
}

/* As rule_cache_find(), but nothing is filled. */
static bool has(uint64_t pc) {
        uint64_t address_mask = (UINT64_C(1) << RULE_CACHE_ADDRESS_BITS) - 1;
        uint64_t mixed = pc * RULE_CACHE_MULTIPLIER & address_mask;
        const struct rule_set *set = &rule_cache_sets[mixed >> RULE_CACHE_TAG_BITS];
        for (unsigned way = 0; way < RULE_CACHE_WAYS; way++) {
                uint64_t entry = set->entries[way];
                if (entry << (64 - UNWIND_RULE_BITS) && (entry ^ mixed << UNWIND_RULE_BITS) >> UNWIND_RULE_BITS == 0)
                        return true;
        }
        return false;
}

START_TEST(rules_of_unloaded_code_are_forgotten_and_no_others)
{
        enum { N = 20000 };
        static bool before[N];
        unsigned n_before = 0;
        begin();
        uint64_t first = (uintptr_t)gnu_get_libc_version & ~UINT64_C(0xffff);
        for (uint64_t i = 0; i < N; i++)
                rule_cache_fill(first + i);
        for (uint64_t i = 0; i < N; i++)
                n_before += before[i] = has(first + i);
        ck_assert_uint_gt(n_before, N / 2);
        rule_cache_forget(first + 1000, first + 9000);
        for (uint64_t i = 0; i < N; i++) /* return addresses: the call is before them */
                ck_assert_msg(has(first + i) == (before[i] && !(i > 1000 && i <= 9000)), "%u", (unsigned)i);
}
END_TEST

/* The least of many: others run on the machine, too. */
static int64_t forget_ns(void) {
        int64_t least = INT64_MAX;
        for (unsigned i = 0; i < 200; i++) {
                struct timespec a, b;
                clock_gettime(CLOCK_MONOTONIC, &a);
                rule_cache_forget(libc.end, libc.end + 4096);
                clock_gettime(CLOCK_MONOTONIC, &b);
                int64_t ns = (b.tv_sec - a.tv_sec) * INT64_C(1000000000) + b.tv_nsec - a.tv_nsec;
                least = ns < least ? ns : least;
        }
        return least;
}

START_TEST(what_an_unload_costs_goes_by_the_rules_that_there_are)
{
        begin();
        for (uint64_t i = 0; i < 100; i++)
                rule_cache_fill((uintptr_t)gnu_get_libc_version + i);
        int64_t few_ns = forget_ns();
        for (uint64_t i = 0; i < N_SETS * RULE_CACHE_WAYS; i++)
                rule_cache_fill(((uintptr_t)gnu_get_libc_version & ~UINT64_C(0xffff)) + i);
        int64_t many_ns = forget_ns();
        ck_assert_msg(few_ns * 10 < many_ns, "%d ns, %d ns", (int)few_ns, (int)many_ns);
}
END_TEST

CHECK_MAIN("rule_cache", rules_of_unloaded_code_are_forgotten_and_no_others,
           what_an_unload_costs_goes_by_the_rules_that_there_are)
