/* SPDX-License-Identifier: Apache-2.0 */

/* What a snapshot in the making takes: resident memory at its highest, so without memcheck and sanitizers. */

#include "tests/support/check_main.h"
#include "tests/unit/live/image_fixture.h"

#include <malloc.h>
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

/* A trie as a compiler's: a binary tree, and below each of its leaves a chain of frames that nobody shares. */
#define N_TREE      ((uint32_t)1 << 17)
#define N_CHAINS    (N_TREE / 2)
#define N_CHAIN     7 /* frames */
#define N_TRIE      (N_TREE + N_CHAINS * N_CHAIN)
#define LEAF(chain) (N_TREE + (chain)*N_CHAIN + N_CHAIN - 1)

static uint32_t trie_n_nodes(const struct node_source *source) {
        return N_TRIE;
}

static int trie_node(const struct node_source *source, uint32_t node, struct node_def *defp) {
        uint32_t chain = (node - N_TREE) / N_CHAIN, at = (node - N_TREE) % N_CHAIN;
        if (node < N_TREE)
                *defp = (struct node_def){.parent = node / 2, .value = node % 2};
        else
                *defp = (struct node_def){.parent = at > 0 ? node - 1 : N_CHAINS + chain, .value = 2 + at};
        return node == 0;
}

static const struct fake_nodes trie = {.source = {.n_nodes = trie_n_nodes, .node = trie_node}};

/* Each traceback had a block, one in @live still has. */
static void allocate_by_all(uint32_t live) {
        for (uint32_t chain = 0; chain < N_CHAINS; chain++) {
                uint64_t address = UINT64_C(0x10000) + 16 * chain;
                apply(RECORD_ALLOC, 0, LEAF(chain), address, 1 + chain % 16, 0);
                if (chain % live)
                        apply(RECORD_FREE, 0, 0, address, 0, 0);
        }
}

/* As tmctl ps counts it. */
static uint64_t table_bytes(void) {
        return image.charge->used + N_TRIE * sizeof(struct node_def);
}

START_TEST(tracebacks_that_share_little_take_at_most_what_their_table_takes)
{
        open_image();
        allocate_by_all(_i ? 1 : 10);
        const uint64_t before = most_bytes();
        struct snapshot *s = take_snapshot(SNAPSHOT_REQUEST, &trie);
        uint64_t taken = most_bytes() - before;
        ck_assert_uint_eq(s->n_nodes, N_TRIE);
        ck_assert_uint_eq(s->n_groups, N_CHAINS);
        ck_assert_uint_le(taken, table_bytes());
        snapshot_unref(s);
        close_image();
}
END_TEST

START_TEST(tracebacks_that_are_not_in_it_take_nothing)
{
        open_image();
        apply(RECORD_ALLOC, 0, 1, 0x1000, 1 << 30, 0);
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        allocate_by_all(1);
        const uint64_t before = most_bytes();
        struct snapshot *s = take_snapshot(SNAPSHOT_PEAK, &trie);
        uint64_t taken = most_bytes() - before;
        ck_assert_uint_eq(s->n_groups, 1);
        ck_assert_uint_le(taken, table_bytes() / 20);
        snapshot_unref(s);
        close_image();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/snapshot_memory");
        TCase *tcase = check_case("snapshot_memory");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        /* where huge pages are "always", 2 MiB come for a byte; where memory is filled, as Meson asks for, all that is
         * asked for */
        if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0 || mallopt(M_PERTURB, 0) != 1)
                return 1;
        tcase_add_loop_test(tcase, blocks_that_all_differ_take_at_most_what_their_table_takes, 0, 2);
        tcase_add_loop_test(tcase, tracebacks_that_share_little_take_at_most_what_their_table_takes, 0, 2);
        tcase_add_test(tcase, tracebacks_that_are_not_in_it_take_nothing);
#else
        (void)blocks_that_all_differ_take_at_most_what_their_table_takes;
        (void)tracebacks_that_share_little_take_at_most_what_their_table_takes;
        (void)tracebacks_that_are_not_in_it_take_nothing;
#endif
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
