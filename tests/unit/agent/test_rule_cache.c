/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/object.h"
#include "agent/rule_cache.h"
#include "tests/support/check_main.h"

#include <gnu/libc-version.h>
#include <sys/mman.h>
#include <unistd.h>

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

static bool has_entry(const char *page, size_t bytes) {
        const struct rule_set *sets = (const struct rule_set *)page;
        for (size_t i = 0; i < bytes / sizeof *sets; i++)
                for (unsigned way = 0; way < RULE_CACHE_WAYS; way++)
                        if (sets[i].entries[way])
                                return true;
        return false;
}

/* Return: how many pages without a rule are out of reach now. */
static unsigned forbid_empty_pages(void) {
        size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
        char *sets = (char *)rule_cache_sets;
        unsigned n = 0;
        for (size_t at = 0; at < N_SETS * sizeof(struct rule_set); at += bytes)
                if (!has_entry(sets + at, bytes)) {
                        ck_assert_int_eq(mprotect(sets + at, bytes, PROT_NONE), 0);
                        n++;
                }
        return n;
}

/* Programs that load and unload a plug-in over and over have few rules, and room for 65,536. */
START_TEST(an_unload_looks_at_no_set_that_was_never_used)
{
        begin();
        const uint64_t pc = (uintptr_t)gnu_get_libc_version;
        for (uint64_t i = 0; i < 20; i++)
                rule_cache_fill(pc + i);
        ck_assert_uint_ge(forbid_empty_pages(), N_SETS * sizeof(struct rule_set) / 8192 - 20);
        rule_cache_forget(libc.end, libc.end + 4096);
        ck_assert(has(pc));
        rule_cache_forget(libc.start, libc.end);
        ck_assert(!has(pc));
}
END_TEST

CHECK_MAIN("rule_cache", rules_of_unloaded_code_are_forgotten_and_no_others,
           an_unload_looks_at_no_set_that_was_never_used)
