/* SPDX-License-Identifier: Apache-2.0 */

/* What a snapshot in the making takes: resident memory at its highest, so without memcheck and sanitizers. */

#include "daemon/live/snapshot.h"
#include "daemon/live/trace_table.h"
#include "tests/support/check_main.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#define N_BLOCKS    ((uint64_t)131072)
#define TABLE_BYTES (2 * N_BLOCKS * sizeof(struct trace_cell)) /* half full */

static uint64_t most_bytes(void) {
        struct rusage usage;
        ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
        return (uint64_t)usage.ru_maxrss * 1024;
}

/* Each of another size, from @n_groups call stacks, in no order of size. */
static struct snapshot *make(uint32_t n_groups) {
        struct snapshot_builder *builder;
        struct snapshot *s;
        ck_assert_int_eq(snapshot_builder_new(&builder), 0);
        for (uint64_t i = 0; i < N_BLOCKS; i++) {
                uint32_t group;
                int r = snapshot_builder_group(builder, 0, 0, (uint32_t)i % n_groups, &group);
                if (r == 0)
                        r = snapshot_builder_group_block(builder, group, i * 77773 % N_BLOCKS, 1);
                if (r)
                        ck_abort_msg("block %lu: %d", (unsigned long)i, r);
        }
        ck_assert_int_eq(snapshot_builder_finish(builder, &s), 0);
        return s;
}

START_TEST(blocks_that_all_differ_take_at_most_what_their_table_takes)
{
        static const uint32_t n_groups[] = {1, 300};
        ck_assert_int_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0); /* where they are "always", 2 MiB come for a byte */
        const uint64_t before = most_bytes();
        struct snapshot *s = make(n_groups[_i]);
        uint64_t taken = most_bytes() - before;
        ck_assert_uint_eq(s->info.traces, N_BLOCKS);
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &s->groups[i];
                for (uint64_t j = g->first_size + 1; j < g->first_size + g->n_sizes; j++) {
                        if (s->sizes[j - 1].size >= s->sizes[j].size)
                                ck_abort_msg("size %lu is out of order", (unsigned long)j);
                }
        }
        snapshot_unref(s);
        ck_assert_uint_le(taken, TABLE_BYTES);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/snapshot_memory");
        TCase *tcase = check_case("snapshot_memory");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        tcase_add_loop_test(tcase, blocks_that_all_differ_take_at_most_what_their_table_takes, 0, 2);
#else
        (void)blocks_that_all_differ_take_at_most_what_their_table_takes;
#endif
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
