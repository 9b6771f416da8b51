/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/traceback_table.h"
#include "tests/support/check_main.h"

#include <stdint.h>

#define N_FRAMES 300
#define DEPTH    200

static struct traceback_table t;
static uint32_t frames[N_FRAMES];

static void begin(void) {
        ck_assert_int_eq(traceback_table_init(&t), 0);
        for (uint32_t i = 0; i < N_FRAMES; i++) {
                struct traceback_frame frame = {
                        .filename = 1, .lineno = i + 1, .function = TEXT_NONE, .module = MODULE_NONE};
                ck_assert_int_eq(traceback_table_frame(&t, &frame, &frames[i]), 0);
        }
}

static uint32_t node(uint32_t parent, uint32_t frame) {
        uint32_t id;
        ck_assert_int_eq(traceback_table_node(&t, parent, frames[frame], &id), 0);
        return id;
}

/* From each frame but the first, below the root, one frame again and again. */
static void add_many(void) {
        for (uint32_t i = 1; i < N_FRAMES; i++) {
                uint32_t id = TRACEBACK_ROOT;
                for (uint32_t depth = 0; depth < DEPTH; depth++)
                        id = node(id, i);
                ck_assert_uint_eq(t.nodes[id].depth, DEPTH);
        }
}

START_TEST(nodes_are_found_again_after_the_index_has_grown)
{
        begin();
        add_many();
        uint32_t n = t.n_nodes;
        ck_assert_uint_eq(n, 1 + (N_FRAMES - 1) * DEPTH);
        add_many();
        ck_assert_uint_eq(t.n_nodes, n);
        traceback_table_deinit(&t);
}
END_TEST

/* Whose fields say that it is its own child, by the first frame. */
START_TEST(the_root_is_nobodys_child)
{
        begin();
        add_many();
        uint32_t id = node(TRACEBACK_ROOT, 0);
        ck_assert_uint_ne(id, TRACEBACK_ROOT);
        ck_assert_uint_eq(t.nodes[id].depth, 1);
        ck_assert_uint_eq(node(TRACEBACK_ROOT, 0), id);
        traceback_table_deinit(&t);
}
END_TEST

/* Of four bytes a slot. */
START_TEST(index_of_nodes_has_at_most_three_slots_a_node_also_for_the_other_side_of_a_comparison)
{
        begin();
        add_many();
        ck_assert_int_eq(traceback_table_reserve(&t, N_FRAMES, t.n_nodes), 0);
        add_many();
        ck_assert_uint_le(t.node_index.mask, 3 * t.n_nodes);
        traceback_table_deinit(&t);
}
END_TEST

CHECK_MAIN("traceback_table", nodes_are_found_again_after_the_index_has_grown, the_root_is_nobodys_child,
           index_of_nodes_has_at_most_three_slots_a_node_also_for_the_other_side_of_a_comparison)
