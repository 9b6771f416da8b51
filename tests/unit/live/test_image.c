/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/image.h"
#include "daemon/live/image_fork.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_depth.h"
#include "tests/unit/live/image_fixture.h"

#include <stdlib.h>
#include <string.h>

/* Where the block that contains @address begins, 0 for none; between begin and step the table changes by @meanwhile. */
static uint64_t find_block(uint64_t address, uint64_t *sizep, void (*meanwhile)(void)) {
        static const struct node_def defs[] = {{0}, {.unit = 1, .value = 0x10}};
        struct fake_nodes nodes = fake_nodes(defs, 2);
        struct image_snapshot *reading;
        struct snapshot *snapshot;
        ck_assert_int_eq(image_snapshot_begin_block(&image, address, &nodes.source, &reading), 0);
        if (meanwhile)
                meanwhile();
        int r;
        while ((r = image_snapshot_step(reading, 1)) == IMAGE_SNAPSHOT_MORE)
                ;
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(snapshot_builder_finish(image_snapshot_finish(reading), &snapshot), 0);
        ck_assert_uint_le(snapshot->info.count, 1);
        uint64_t start = snapshot->info.block_address;
        *sizep = snapshot->info.size;
        snapshot_unref(snapshot);
        return start;
}

static void free_and_reuse(void) {
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        apply(RECORD_ALLOC, 0, 1, 0x1008, 4, 0);
}

static const char *text(const struct snapshot *s, uint32_t string) {
        return s->strings[string].bytes;
}

static const struct node_sums *slot_of(uint32_t node) {
        return &image.sums->slots[image.sums->index[node]];
}

START_TEST(block_is_found_by_any_address_inside)
{
        uint64_t size;
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        apply(RECORD_ALLOC, 1, 1, 0x2000, 0, 0);
        apply(RECORD_MAP, 2, 1, 0x100000, 0x4000, 0);
        apply(RECORD_ALLOC, 9, 1, 0x100100, 16, 0);
        ck_assert_uint_eq(find_block(0x1000, &size, NULL), 0x1000);
        ck_assert_uint_eq(find_block(0x1063, &size, NULL), 0x1000);
        ck_assert_uint_eq(size, 100);
        ck_assert_uint_eq(find_block(0x1064, &size, NULL), 0);
        ck_assert_uint_eq(find_block(0xfff, &size, NULL), 0);
        ck_assert_uint_eq(find_block(0x2000, &size, NULL), 0x2000); /* a block of no bytes */
        ck_assert_uint_eq(find_block(0x103fff, &size, NULL), 0x100000);
        ck_assert_uint_eq(size, 0x4000);
        ck_assert_uint_eq(find_block(0x10010f, &size, NULL), 0x100100); /* the smallest */
        ck_assert_uint_eq(find_block(0x1008, &size, free_and_reuse), 0x1000);
        ck_assert_uint_eq(size, 100);
        ck_assert_uint_eq(find_block(0x1008, &size, NULL), 0x1008);
        image_check(&image);
}
END_TEST

START_TEST(block_in_realloc_stays_counted_until_the_outcome_is_known)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        uint64_t out = apply(RECORD_MOVE_OUT, 0, 0, 0x1000, 0, 0);
        ck_assert_uint_eq(image.sums->total.live_size, 100);
        ck_assert_uint_eq(image.table->count, 0);
        apply(RECORD_ALLOC, 0, 2, 0x1000, 7, 0); /* the address is free for others at once */
        apply(RECORD_MOVE_IN, 0, 3, 0x2000, 150, out);
        ck_assert_uint_eq(image.sums->total.live_size, 157);
        ck_assert_uint_eq(image.sums->total.live_count, 2);
        ck_assert_uint_eq(slot_of(1)->live_size, 0);
        ck_assert_uint_eq(slot_of(3)->live_size, 150);
        image_check(&image);
}
END_TEST

START_TEST(realloc_makes_no_peak_of_old_and_new_together)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        uint64_t out = apply(RECORD_MOVE_OUT, 0, 0, 0x1000, 0, 0);
        apply(RECORD_MOVE_IN, 0, 1, 0x2000, 120, out);
        ck_assert_uint_eq(image.sums->total.peak_size, 120);
}
END_TEST

START_TEST(failed_realloc_puts_the_block_back)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        uint64_t out = apply(RECORD_MOVE_OUT, 0, 0, 0x1000, 0, 0);
        apply(RECORD_MOVE_BACK, 0, 0, out, 0, 0);
        ck_assert_uint_eq(image.sums->total.live_size, 100);
        ck_assert_uint_eq(slot_of(1)->allocated_count, 1);
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        ck_assert_uint_eq(image.sums->total.live_size, 0);
        ck_assert_uint_eq(image.unknown_frees, 0);
        image_check(&image);
}
END_TEST

START_TEST(realloc_of_an_unknown_block_is_an_allocation)
{
        apply(RECORD_MOVE_OUT, 0, 0, 0x1000, 0, 0);
        apply(RECORD_MOVE_IN, 0, 5, 0x2000, 64, 0);
        ck_assert_uint_eq(image.sums->total.live_size, 64);
        ck_assert_uint_eq(image.unknown_frees, 1);
        ck_assert(image_is_exact(&image));
}
END_TEST

START_TEST(free_of_unknown_address_is_counted_and_ignored)
{
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        ck_assert_uint_eq(image.unknown_frees, 1);
        ck_assert_uint_eq(image.sums->total.live_count, 0);
        ck_assert(image_is_exact(&image));
}
END_TEST

START_TEST(allocation_at_a_live_address_replaces_the_block)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        apply(RECORD_ALLOC, 1, 2, 0x1000, 60, 0);
        ck_assert_uint_eq(image.sums->total.live_size, 60);
        ck_assert_uint_eq(image.sums->total.peak_size, 100);
        ck_assert_uint_eq(image.sums->domains[0].live_count, 0);
        ck_assert_uint_eq(image.sums->domains[1].live_count, 1);
        image_check(&image);
}
END_TEST

START_TEST(relabelled_block_stands_elsewhere_and_is_as_large)
{
        apply(RECORD_ALLOC, 1, 1, 0x1000, 100, 0);
        apply(RECORD_ALLOC, 1, 2, 0x2000, 7, 0);
        apply(RECORD_RELABEL, 1, 3, 0x1000, 0, 0);
        ck_assert_uint_eq(slot_of(1)->live_size, 0);
        ck_assert_uint_eq(slot_of(1)->live_count, 0);
        ck_assert_uint_eq(slot_of(3)->live_size, 100);
        ck_assert_uint_eq(slot_of(3)->live_count, 1);
        ck_assert_uint_eq(slot_of(3)->allocated_size, 100);
        ck_assert_uint_eq(slot_of(2)->live_size, 7);
        ck_assert_uint_eq(image.sums->total.live_size, 107);
        ck_assert_uint_eq(image.sums->total.peak_size, 107);
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        ck_assert_uint_eq(slot_of(3)->live_count, 0);
        traceback_sums_check(image.sums);
}
END_TEST

START_TEST(relabel_where_no_block_of_that_domain_is_changes_nothing)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        apply(RECORD_RELABEL, 1, 3, 0x1000, 0, 0);
        apply(RECORD_RELABEL, 1, 3, 0x2000, 0, 0);
        ck_assert_uint_eq(slot_of(1)->live_size, 100);
        ck_assert_uint_eq(image.sums->total.live_count, 1);
        ck_assert_uint_eq(image_lost(&image), 0);
        traceback_sums_check(image.sums);
}
END_TEST

START_TEST(unmapping_the_middle_leaves_two_pieces_with_their_node)
{
        apply(RECORD_MAP, 2, 4, 0x10000, 0x5000, 0);
        apply(RECORD_UNMAP, 2, 0, 0x12000, 0x1000, 0);
        ck_assert_uint_eq(slot_of(4)->live_size, 0x4000);
        ck_assert_uint_eq(slot_of(4)->live_count, 2);
        ck_assert_uint_eq(slot_of(4)->allocated_count, 1);
        apply(RECORD_MAP, 2, 5, 0x11000, 0x3000, 0); /* MAP_FIXED over both pieces and the gap */
        ck_assert_uint_eq(slot_of(4)->live_size, 0x2000);
        ck_assert_uint_eq(slot_of(5)->live_size, 0x3000);
        ck_assert_uint_eq(image.sums->total.peak_size, 0x5000);
        apply(RECORD_UNMAP, 2, 0, 0, INT64_MAX, 0);
        ck_assert_uint_eq(image.sums->total.live_count, 0);
        image_check(&image);
}
END_TEST

START_TEST(losses_make_it_inexact_until_cleared)
{
        apply(RECORD_LOST, 0, 0, 3, 0, 0);
        ck_assert_uint_eq(image_lost(&image), 3);
        image_lost_told(&image, 5);
        ck_assert_uint_eq(image_lost(&image), 5);
        ck_assert(!image_is_exact(&image));
        ck_assert_int_eq(image_clear(&image), 0);
        ck_assert(image_is_exact(&image));
        image_lose(&image, 1);
        ck_assert_uint_eq(image_lost(&image), 1);
        ck_assert(!image_is_exact(&image));
}
END_TEST

START_TEST(full_image_loses_events_and_says_so)
{
        image_deinit(&image);
        ck_assert_int_eq(image_init(&image, NULL, 64 * 1024), 0);
        for (uint64_t i = 0; i < 10000; i++)
                apply(RECORD_ALLOC, 0, 1, 16 * i, 1, 0);
        ck_assert(!image_is_exact(&image));
        ck_assert_uint_eq(image_lost(&image) + image.table->count, 10000);
        ck_assert_uint_le(image.charge->used, 64 * 1024);
        image_check(&image);
}
END_TEST

START_TEST(images_draw_from_one_pool_and_give_back)
{
        struct charge_pool *pool = charge_pool_new(256 * 1024);
        struct image other;
        ck_assert_ptr_nonnull(pool);
        ck_assert_int_eq(image_init(&other, NULL, 0), 0);
        ck_assert(charge_join(image.charge, pool));
        ck_assert(charge_join(other.charge, pool));
        for (uint64_t i = 0; i < 100000; i++)
                apply(RECORD_ALLOC, 0, 1, 16 * i, 1, 0);
        ck_assert(!image_is_exact(&image)); /* nothing is left of the pool, of which there was enough for some */
        ck_assert_uint_gt(image.table->count, 1000);
        ck_assert_uint_le(atomic_load(&pool->used), 256 * 1024);
        ck_assert_uint_eq(atomic_load(&pool->used), image.charge->used + other.charge->used);
        image_check(&image);
        image_deinit(&image);
        ck_assert_uint_eq(atomic_load(&pool->used), other.charge->used);
        image_deinit(&other);
        ck_assert_uint_eq(atomic_load(&pool->used), 0);
        ck_assert_int_eq(image_init(&image, NULL, 0), 0);
        pool->limit = 100;
        ck_assert(!charge_join(image.charge, pool));
        ck_assert_uint_eq(atomic_load(&pool->used), 0);
        charge_pool_unref(pool);
}
END_TEST

START_TEST(too_small_a_limit_is_refused_at_once)
{
        struct image small;
        ck_assert_int_ne(image_init(&small, NULL, 100), 0);
}
END_TEST

START_TEST(stopped_image_ignores_blocks_until_started)
{
        apply(RECORD_ALLOC, 0, 1, 0x1000, 100, 0);
        ck_assert_int_eq(image_stop(&image), 0);
        apply(RECORD_ALLOC, 0, 1, 0x2000, 100, 0);
        ck_assert_uint_eq(image.table->count, 0);
        image_start(&image);
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        apply(RECORD_ALLOC, 0, 1, 0x3000, 10, 0);
        ck_assert_uint_eq(image.sums->total.peak_size, 10);
        ck_assert(image_is_exact(&image));
}
END_TEST

START_TEST(forks_beyond_the_limit_drop_the_oldest)
{
        for (uint32_t token = 1; token <= IMAGE_FORKS_MAX + 1; token++)
                apply(RECORD_FORK, 0, token, 0, 0, 0);
        ck_assert_uint_eq(image.n_forks, IMAGE_FORKS_MAX);
        ck_assert_uint_eq(image.forks_dropped, 1);
        ck_assert_uint_eq(image.fork_dropped_token, 1);
        ck_assert_ptr_null(image_fork_take(&image, 1));
        struct image_fork *fork = image_fork_take(&image, 2);
        ck_assert_ptr_nonnull(fork);
        image_fork_free(fork);
}
END_TEST

START_TEST(failed_fork_leaves_nothing)
{
        apply(RECORD_FORK, 0, 1, 0, 0, 0);
        apply(RECORD_FORK_DONE, 0, 1, 0, 0, 0);
        ck_assert_uint_eq(image.n_forks, 0);
        ck_assert_uint_eq(image.table->newest_cut, 0);
}
END_TEST

START_TEST(child_begins_with_the_blocks_of_the_fork_and_lives_on_without_its_parent)
{
        image_module_load(&image, 1, "/bin/a", 6, (const uint8_t *)"id", 2);
        apply(RECORD_ALLOC, 0, 1, 0x1000, 10, 0);
        apply(RECORD_ALLOC, 0, 2, 0x2000, 20, 0);
        apply(RECORD_MAP, 2, 3, 0x100000, 0x2000, 0);
        apply(RECORD_MOVE_OUT, 0, 0, 0x2000, 0, 0);
        apply(RECORD_FORK, 0, 77, 0, 0, 0);
        apply(RECORD_FREE, 0, 0, 0x1000, 0, 0);
        apply(RECORD_ALLOC, 0, 9, 0x5000, 1000, 0);
        apply(RECORD_UNMAP, 2, 0, 0x100000, 0x1000, 0);
        struct image_fork *fork = image_fork_take(&image, 77);
        ck_assert_ptr_nonnull(fork);
        image_deinit(&image);
        ck_assert_int_eq(image_init(&image, NULL, 0), 0);
        ck_assert_int_eq(image_fork_begin(&image, fork), 0);
        while (image_fork_step(&image, fork, 1) == IMAGE_FORK_MORE)
                ;
        image_fork_free(fork);
        image_check(&image);
        ck_assert_uint_eq(image.sums->total.live_size, 10 + 20 + 0x2000);
        ck_assert_uint_eq(image.sums->total.peak_size, 10 + 20 + 0x2000);
        ck_assert_ptr_nonnull(module_map_find(image.modules, 1));
        apply(RECORD_UNMAP, 2, 0, 0x100000, 0x1000, 0); /* its mappings are mappings again */
        ck_assert_uint_eq(slot_of(3)->live_size, 0x1000);
        ck_assert(image_is_exact(&image));
}
END_TEST

START_TEST(frames_become_what_their_unit_says)
{
        static const struct node_def defs[] = {
                {},
                {.parent = 0, .unit = 1, .value = 0x100},               /* 1: module 1 */
                {.parent = 1, .unit = 2, .value = 0x200},               /* 2: module 2 */
                {.parent = 0, .unit = 3, .value = 0x100},               /* 3: module 3 is the same file as 1 */
                {.parent = 3, .unit = 2, .value = 0x200},               /* 4: so this is 2 again */
                {.parent = 2, .unit = NODE_UNIT_DEPTH, .value = 500},   /* 5: 2, cut at the limit */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = 11}, /* 6: Python */
                {.parent = 0, .unit = 0, .value = 0xabc},               /* 7: pc in no module */
                {.parent = 0, .unit = NODE_UNIT_DEPTH, .value = 9},     /* 8: no frame at all, cut */
                {.parent = 9, .unit = 1, .value = 1},                   /* 9: its own parent: hostile */
                {.parent = 0, .unit = 99, .value = 5},                  /* 10: module never told of */
                {.parent = 0, .unit = NODE_UNIT_CODE | 8, .value = 0},  /* 11: code never told of */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = 13}, /* 12: another instruction of 6's line */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = 10}, /* 13: another line */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = 0},  /* 14: no instruction yet */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = 99}, /* 15: behind the code */
                {.parent = 0, .unit = NODE_UNIT_CODE | 7, .value = NODE_VALUE_LINE | 55}, /* 16: the line itself */
        };
        struct fake_nodes nodes = fake_nodes(defs, sizeof defs / sizeof defs[0]);
        image_module_load(&image, 1, "/lib/x", 6, (const uint8_t *)"xx", 2);
        image_module_load(&image, 2, "/lib/y", 6, NULL, 0);
        image_module_load(&image, 3, "/lib/x", 6, (const uint8_t *)"xx", 2);
        image_domain(&image, 9, 389047, "numpy", 5);
        for (uint32_t node = 0; node < nodes.n; node++)
                apply(RECORD_ALLOC, 0, node, 0x1000 + 16 * node, node + 1, 0);
        apply(RECORD_ALLOC, 9, 2, 0x1000, 5, 0);
        struct snapshot *s = take_snapshot(SNAPSHOT_REQUEST, &nodes);
        ck_assert_uint_eq(s->info.count, 18);
        ck_assert_uint_eq(s->n_modules, 2);
        ck_assert_uint_eq(s->n_domains, 1);
        ck_assert_uint_eq(s->domains[0].number, 389047);
        /* unknown: 0, 9 and 11; 1 and 3; 2 and 4; 5; 6 and 12; 7; 8; 10; 13; 14; 15; 16; the numpy one */
        ck_assert_uint_eq(s->n_groups, 13);
        unsigned seen = 0;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &s->groups[i];
                const struct snapshot_node *n = &s->nodes[g->node];
                const struct snapshot_location *l = &s->locations[n->location];
                uint64_t size = s->sizes[g->first_size].size;
                if (g->domain == 389047) {
                        ck_assert_uint_eq(g->size, 5);
                } else if (size == 1) { /* nodes 0, 9 and 11 */
                        ck_assert_str_eq(text(s, l->filename), "<unknown>");
                        ck_assert_uint_eq(l->lineno, 0);
                        ck_assert_uint_eq(g->total_nframe, 1);
                        ck_assert_uint_eq(g->count, 3);
                        seen |= 1;
                } else if (size == 2) { /* nodes 1 and 3 */
                        ck_assert_uint_eq(g->count, 2);
                        ck_assert_uint_eq(g->n_sizes, 2);
                        ck_assert_str_eq(text(s, s->modules[l->module].path), "/lib/x");
                        ck_assert_uint_eq(l->offset, 0x100);
                        seen |= 2;
                } else if (size == 3) { /* nodes 2 and 4 */
                        ck_assert_uint_eq(g->count, 2);
                        ck_assert_uint_eq(g->total_nframe, 2);
                        ck_assert_uint_eq(snapshot_depth(s, g->node), 2);
                        seen |= 4;
                } else if (size == 6) {
                        ck_assert_uint_eq(g->total_nframe, 500);
                        ck_assert_uint_eq(snapshot_depth(s, g->node), 2);
                        seen |= 8;
                } else if (size == 7) {
                        ck_assert_uint_eq(l->kind, LOCATION_SOURCE);
                        ck_assert_str_eq(text(s, l->filename), "a.py");
                        ck_assert_str_eq(text(s, l->function), "f");
                        ck_assert_uint_eq(l->lineno, 103);
                        ck_assert_uint_eq(g->count, 2);
                        seen |= 16;
                } else if (size == 8) {
                        ck_assert_uint_eq(l->module, SNAPSHOT_NONE);
                        ck_assert_uint_eq(l->offset, 0xabc);
                        seen |= 32;
                } else if (size == 9) {
                        ck_assert_str_eq(text(s, l->filename), "<unknown>");
                        ck_assert_uint_eq(g->total_nframe, 9);
                        seen |= 64;
                } else if (size >= 14 && size <= 17) {
                        static const uint32_t lines[] = {100, 99, 0, 55};
                        ck_assert_str_eq(text(s, l->filename), "a.py");
                        ck_assert_uint_eq(l->lineno, lines[size - 14]);
                        seen |= 128 << (size - 14);
                }
        }
        ck_assert_uint_eq(seen, 2047);
        snapshot_unref(s);
}
END_TEST

START_TEST(a_cut_leaf_takes_the_most_recent_frames)
{
        static const struct node_def defs[] = {
                {},
                {.parent = 0, .unit = 0, .value = 0x10},
                {.parent = 1, .unit = 0, .value = 0x20},
                {.parent = 2, .unit = 0, .value = 0x30},
                {.parent = 3, .unit = 0, .value = 0x40},
                {.parent = 4, .unit = NODE_UNIT_CUT, .value = UINT64_C(2) << 32 | 4}, /* 5: 0x30, 0x40 */
                {.parent = 2, .unit = 0, .value = 0x40},                              /* 6 */
                {.parent = 6, .unit = NODE_UNIT_CUT, .value = UINT64_C(1) << 32 | 3}, /* 7: 0x40 */
                {.parent = 0, .unit = 0, .value = 0x40},                              /* 8: 0x40, not cut */
                {.parent = 5, .unit = 0, .value = 0x50}, /* 9: on a leaf: hostile, any frames */
                {.parent = 9, .unit = NODE_UNIT_CUT, .value = UINT64_C(9) << 32 | 70000}, /* 10: all of 9 */
                {.parent = 4, .unit = NODE_UNIT_CUT, .value = 4},                         /* 11: limit 0: hostile */
        };
        static const struct {
                uint32_t depth, total_nframe;
        } expected[] = {[5] = {2, 4}, [7] = {1, 3}, [8] = {1, 1}, [10] = {5, 65535}, [11] = {1, 4}};
        struct fake_nodes nodes = fake_nodes(defs, sizeof defs / sizeof defs[0]);
        for (uint32_t node = 5; node < nodes.n; node++)
                apply(RECORD_ALLOC, 0, node, 0x1000 + 16 * node, node, 0);
        struct snapshot *s = take_snapshot(SNAPSHOT_REQUEST, &nodes);
        unsigned seen = 0;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &s->groups[i];
                uint64_t node = s->sizes[g->first_size].size;
                if (node == 6 || node == 9)
                        continue;
                seen++;
                ck_assert_msg(snapshot_depth(s, g->node) == expected[node].depth, "node %d: %u frames", (int)node,
                              snapshot_depth(s, g->node));
                ck_assert_uint_eq(g->total_nframe, expected[node].total_nframe);
                if (node == 5) {
                        ck_assert_uint_eq(s->locations[s->nodes[g->node].location].offset, 0x40);
                        ck_assert_uint_eq(s->locations[s->nodes[s->nodes[g->node].parent].location].offset, 0x30);
                }
        }
        ck_assert_uint_eq(seen, 5);
        snapshot_unref(s);
}
END_TEST

static void check_label(enum snapshot_kind kind, const char *label) {
        static const struct node_def defs[] = {{}};
        struct fake_nodes nodes = fake_nodes(defs, 1);
        struct snapshot *s = take_snapshot(kind, &nodes);
        ck_assert_str_eq(s->info.label, label);
        snapshot_unref(s);
}

START_TEST(a_peak_has_the_phase_it_was_reached_in)
{
        char longest[IMAGE_PHASE_BYTES_MAX + 2];
        memset(longest, 'x', sizeof longest);
        check_label(SNAPSHOT_REQUEST, "");
        image_begin_phase(&image, "one", 3);
        check_label(SNAPSHOT_REQUEST, "one");
        apply(RECORD_ALLOC, 0, 0, 0x1000, 100, 0);
        image_begin_phase(&image, "two", 3);
        check_label(SNAPSHOT_PEAK, "one");
        check_label(SNAPSHOT_REQUEST, "two");
        apply(RECORD_ALLOC, 0, 0, 0x2000, 50, 0);
        apply(RECORD_FREE, 0, 0, 0x2000, 0, 0);
        check_label(SNAPSHOT_PEAK, "two");
        image_begin_phase(&image, NULL, 0);
        apply(RECORD_ALLOC, 0, 0, 0x2000, 50, 0); /* as high, no higher */
        check_label(SNAPSHOT_PEAK, "two");
        check_label(SNAPSHOT_REQUEST, "");
        image_begin_phase(&image, longest, sizeof longest);
        ck_assert_uint_eq(image.phase.length, IMAGE_PHASE_BYTES_MAX);
        image_begin_phase(&image, "three", 5);
        image_reset_peak(&image);
        check_label(SNAPSHOT_PEAK, "three");
        image_begin_phase(&image, "four", 4);
        ck_assert_int_eq(image_clear(&image), 0);
        apply(RECORD_ALLOC, 0, 0, 0x1000, 1, 0);
        check_label(SNAPSHOT_PEAK, "four");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/image");
        TCase *tcase = check_case("image");
        tcase_add_checked_fixture(tcase, open_image, close_image);
        tcase_add_test(tcase, block_is_found_by_any_address_inside);
        tcase_add_test(tcase, block_in_realloc_stays_counted_until_the_outcome_is_known);
        tcase_add_test(tcase, realloc_makes_no_peak_of_old_and_new_together);
        tcase_add_test(tcase, failed_realloc_puts_the_block_back);
        tcase_add_test(tcase, realloc_of_an_unknown_block_is_an_allocation);
        tcase_add_test(tcase, free_of_unknown_address_is_counted_and_ignored);
        tcase_add_test(tcase, allocation_at_a_live_address_replaces_the_block);
        tcase_add_test(tcase, relabelled_block_stands_elsewhere_and_is_as_large);
        tcase_add_test(tcase, relabel_where_no_block_of_that_domain_is_changes_nothing);
        tcase_add_test(tcase, unmapping_the_middle_leaves_two_pieces_with_their_node);
        tcase_add_test(tcase, losses_make_it_inexact_until_cleared);
        tcase_add_test(tcase, full_image_loses_events_and_says_so);
        tcase_add_test(tcase, images_draw_from_one_pool_and_give_back);
        tcase_add_test(tcase, too_small_a_limit_is_refused_at_once);
        tcase_add_test(tcase, stopped_image_ignores_blocks_until_started);
        tcase_add_test(tcase, forks_beyond_the_limit_drop_the_oldest);
        tcase_add_test(tcase, failed_fork_leaves_nothing);
        tcase_add_test(tcase, child_begins_with_the_blocks_of_the_fork_and_lives_on_without_its_parent);
        tcase_add_test(tcase, frames_become_what_their_unit_says);
        tcase_add_test(tcase, a_cut_leaf_takes_the_most_recent_frames);
        tcase_add_test(tcase, a_peak_has_the_phase_it_was_reached_in);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
