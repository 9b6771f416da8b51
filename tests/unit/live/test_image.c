/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/image.h"
#include "daemon/live/image_snapshot.h"
#include "proto/record.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/live/fake_nodes.h"
#include "tests/unit/live/model_random.h"
#include "tests/support/check_main.h"

static struct image image;
static uint64_t position;

static void open_image(void) {
        ck_assert_int_eq(image_init(&image, NULL, 0), 0);
        position = 0;
}

static void close_image(void) {
        image_deinit(&image);
}

/* Return: position of the event. */
static uint64_t apply(unsigned type, unsigned domain, uint32_t argument, uint64_t a, uint64_t b, uint64_t c) {
        struct event event = {.position = position,
                              .word = {a, b, c},
                              .argument = argument,
                              .type = (uint8_t)type,
                              .domain = (uint8_t)domain};
        size_t done;
        image_apply(&image, &event, 1, &done);
        ck_assert_uint_eq(done, 1);
        uint64_t at = position;
        position += 8 * record_words(type);
        return at;
}

static struct snapshot *take_snapshot(enum snapshot_kind kind, const struct fake_nodes *nodes) {
        struct image_snapshot *reading;
        struct snapshot *snapshot;
        ck_assert_int_eq(image_snapshot_begin(&image, kind, &nodes->source, &reading), 0);
        int r;
        while ((r = image_snapshot_step(reading, 1)) == IMAGE_SNAPSHOT_MORE)
                ;
        ck_assert_int_eq(r, 0);
        ck_assert_int_eq(snapshot_builder_finish(image_snapshot_finish(reading), &snapshot), 0);
        return snapshot;
}

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
        while (image_fork_step(&image, fork, 1) == IMAGE_MORE)
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
                        ck_assert_uint_eq(n->depth, 2);
                        seen |= 4;
                } else if (size == 6) {
                        ck_assert_uint_eq(g->total_nframe, 500);
                        ck_assert_uint_eq(n->depth, 2);
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
                ck_assert_msg(s->nodes[g->node].depth == expected[node].depth, "node %d: %u frames", (int)node,
                              s->nodes[g->node].depth);
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

/* ---- model: every number against brute force ---- */

#define N_NODES     40
#define N_ADDRESSES 400
#define N_PAGES     64
#define N_MOVES     6
#define N_DOMAINS   4

static const uint8_t domain_of[N_DOMAINS] = {DOMAIN_INDEX_MALLOC, DOMAIN_INDEX_PYTHON, DOMAIN_INDEX_MMAP, 9};

struct model_block {
        bool alive;
        uint64_t size;
        uint32_t node;
        uint8_t domain; /* place in domain_of */
};

struct model_sums {
        uint64_t size[N_DOMAINS][N_NODES], count[N_DOMAINS][N_NODES];
        uint64_t total;
};

static struct model {
        struct model_block blocks[2][N_ADDRESSES]; /* malloc and python; custom */
        struct model_block moves[N_MOVES];
        uint64_t move_position[N_MOVES];
        uint32_t page_piece[N_PAGES]; /* 0: not mapped; else number of the piece */
        uint32_t page_node[N_PAGES];
        uint32_t n_pieces;
        uint64_t allocated_size[N_DOMAINS][N_NODES], allocated_count[N_DOMAINS][N_NODES];
        struct model_sums peak;
} model;

static void sum_block(struct model_sums *sums, const struct model_block *block) {
        if (!block->alive)
                return;
        sums->size[block->domain][block->node] += block->size;
        sums->count[block->domain][block->node]++;
        sums->total += block->size;
}

static void model_sum(struct model_sums *sums) {
        memset(sums, 0, sizeof *sums);
        for (unsigned space = 0; space < 2; space++)
                for (unsigned i = 0; i < N_ADDRESSES; i++)
                        sum_block(sums, &model.blocks[space][i]);
        for (unsigned i = 0; i < N_MOVES; i++)
                sum_block(sums, &model.moves[i]);
        for (unsigned i = 0; i < N_PAGES; i++) {
                if (!model.page_piece[i])
                        continue;
                sums->size[2][model.page_node[i]] += 4096;
                sums->total += 4096;
                sums->count[2][model.page_node[i]] += i == 0 || model.page_piece[i - 1] != model.page_piece[i];
        }
}

static uint64_t address_at(uint64_t i) {
        return 0x600000000000 + 32 * i;
}

static void model_allocated(const struct model_block *block) {
        model.allocated_size[block->domain][block->node] += block->size;
        model.allocated_count[block->domain][block->node]++;
}

static struct model_block random_block(unsigned space) {
        return (struct model_block){.alive = true,
                                    .size = model_below(4) ? model_below(200) : model_below(20000),
                                    .node = (uint32_t)model_below(N_NODES),
                                    .domain = (uint8_t)(space ? 3 : model_below(2))};
}

static void step_alloc_or_free(unsigned percent_allocs) {
        unsigned space = (unsigned)model_below(2);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[space][i];
        if (model_below(100) < percent_allocs) {
                *block = random_block(space);
                model_allocated(block);
                apply(RECORD_ALLOC, domain_of[block->domain], block->node, address_at(i), block->size, 0);
        } else {
                block->alive = false;
                apply(RECORD_FREE, space ? 9 : (unsigned)model_below(2), 0, address_at(i), 0, 0);
        }
}

static void step_relabel(void) {
        unsigned space = (unsigned)model_below(2), domain = (unsigned)model_below(3);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[space][i];
        uint32_t node = (uint32_t)model_below(N_NODES);
        unsigned told = space ? 9 : domain_of[domain % 2];
        apply(RECORD_RELABEL, told, node, address_at(i), 0, 0);
        if (!block->alive || domain_of[block->domain] != told)
                return;
        block->node = node;
        model_allocated(block);
}

static void step_move(void) {
        unsigned m = (unsigned)model_below(N_MOVES);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[0][i];
        if (!model.moves[m].alive) {
                for (unsigned other = 0; other < N_MOVES; other++) {
                        if (model.moves[other].alive && model.move_position[other] >> 40 == i)
                                return; /* a child could have only one of them */
                }
                model.moves[m] = *block;
                block->alive = false;
                model.move_position[m] = apply(RECORD_MOVE_OUT, 0, 0, address_at(i), 0, 0);
                model.move_position[m] |= i << 40; /* the address to go back to */
                return;
        }
        uint64_t out = model.move_position[m] & ((UINT64_C(1) << 40) - 1);
        if (model_below(3) == 0) {
                struct model_block *back = &model.blocks[0][model.move_position[m] >> 40];
                if (back->alive)
                        return; /* in a real process nobody else has the address then */
                *back = model.moves[m];
                apply(RECORD_MOVE_BACK, 0, 0, out, 0, 0);
        } else {
                *block = random_block(0);
                model_allocated(block);
                apply(RECORD_MOVE_IN, domain_of[block->domain], block->node, address_at(i), block->size, out);
        }
        model.moves[m].alive = false;
}

/* Cut out pages; what is right of the cut becomes a piece of its own. */
static void model_unmap(unsigned first, unsigned end) {
        for (unsigned i = end;
             i < N_PAGES && first > 0 && model.page_piece[i] && model.page_piece[i] == model.page_piece[first - 1];
             i++) {
                if (i == end)
                        model.n_pieces++;
                model.page_piece[i] = model.n_pieces | 0x80000000;
        }
        for (unsigned i = end; i < N_PAGES && model.page_piece[i] >> 31; i++)
                model.page_piece[i] &= 0x7fffffff;
        for (unsigned i = first; i < end; i++)
                model.page_piece[i] = 0;
}

static void step_map(void) {
        unsigned first = (unsigned)model_below(N_PAGES), end = first + 1 + (unsigned)model_below(N_PAGES - first);
        uint64_t start = 0x700000000000 + 4096 * (uint64_t)first, length = 4096 * (uint64_t)(end - first);
        uint32_t node = (uint32_t)model_below(N_NODES);
        model_unmap(first, end);
        if (model_below(2)) {
                apply(RECORD_UNMAP, 2, 0, start, length, 0);
                return;
        }
        model.n_pieces++;
        for (unsigned i = first; i < end; i++) {
                model.page_piece[i] = model.n_pieces;
                model.page_node[i] = node;
        }
        model.allocated_size[2][node] += length;
        model.allocated_count[2][node]++;
        apply(RECORD_MAP, 2, node, start, length, 0);
}

/* What a snapshot must show. */
struct expectation {
        bool open, peak;
        struct image_snapshot *reading;
        struct model_sums sums;
        uint64_t allocated_size[N_DOMAINS][N_NODES], allocated_count[N_DOMAINS][N_NODES];
};

static struct node_def model_defs[N_NODES];
static struct fake_nodes model_nodes;

static void begin_snapshot(struct expectation *e) {
        e->peak = model_below(2);
        e->open = true;
        if (e->peak)
                e->sums = model.peak;
        else
                model_sum(&e->sums);
        memcpy(e->allocated_size, model.allocated_size, sizeof e->allocated_size);
        memcpy(e->allocated_count, model.allocated_count, sizeof e->allocated_count);
        ck_assert_int_eq(
                image_snapshot_begin(&image, e->peak ? SNAPSHOT_PEAK : SNAPSHOT_LIVE, &model_nodes.source, &e->reading),
                0);
}

static unsigned place_of_domain(uint32_t number) {
        return number == DOMAIN_MALLOC ? 0 : number == DOMAIN_PYTHON ? 1 : number == DOMAIN_MMAP ? 2 : 3;
}

/* The agent's node: its value is in the offset of the newest frame; node 0 has the frame "<unknown>". */
static uint32_t node_of(const struct snapshot *s, const struct snapshot_group *g) {
        const struct snapshot_location *l = &s->locations[s->nodes[g->node].location];
        return l->kind == LOCATION_SOURCE ? 0 : (uint32_t)l->offset;
}

static void check_sizes(const struct snapshot *s, const struct snapshot_group *g) {
        uint64_t size = 0, count = 0;
        for (uint32_t i = 0; i < g->n_sizes; i++) {
                const struct snapshot_size *z = &s->sizes[g->first_size + i];
                ck_assert(i == 0 || z[-1].size < z->size);
                size += z->size * z->count;
                count += z->count;
        }
        ck_assert_uint_eq(size, g->size);
        ck_assert_uint_eq(count, g->count);
}

static void check_snapshot(struct expectation *e, const struct snapshot *s) {
        ck_assert_uint_eq(s->info.size, e->sums.total);
        ck_assert_int_eq(s->info.exact, true);
        ck_assert_int_eq(s->info.sizes_known, !e->peak);
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &s->groups[i];
                unsigned d = place_of_domain(g->domain);
                uint32_t node = node_of(s, g);
                ck_assert_uint_eq(g->size, e->sums.size[d][node]);
                ck_assert_uint_eq(g->count, e->sums.count[d][node]);
                ck_assert_uint_eq(g->total_nframe, s->nodes[g->node].depth);
                e->sums.size[d][node] = e->sums.count[d][node] = 0; /* each comes once */
                if (e->peak) {
                        ck_assert_uint_eq(g->n_sizes, 0);
                        continue;
                }
                check_sizes(s, g);
                ck_assert_uint_eq(g->allocated_size, e->allocated_size[d][node]);
                ck_assert_uint_eq(g->allocated_count, e->allocated_count[d][node]);
                e->allocated_count[d][node] = 0;
        }
        for (unsigned d = 0; d < N_DOMAINS; d++) {
                for (unsigned node = 0; node < N_NODES; node++) {
                        ck_assert_uint_eq(e->sums.count[d][node], 0);
                        ck_assert(e->peak || e->allocated_count[d][node] == 0);
                }
        }
}

static void step_snapshot(struct expectation *e) {
        if (!e->open) {
                begin_snapshot(e);
                return;
        }
        if (image_snapshot_step(e->reading, 1) == IMAGE_SNAPSHOT_MORE)
                return;
        struct snapshot *snapshot;
        ck_assert_int_eq(snapshot_builder_finish(image_snapshot_finish(e->reading), &snapshot), 0);
        check_snapshot(e, snapshot);
        snapshot_unref(snapshot);
        e->open = false;
}

static void check_against_model(void) {
        struct model_sums now;
        model_sum(&now);
        if (now.total > model.peak.total)
                model.peak = now;
        ck_assert_uint_eq(image.sums->total.live_size, now.total);
        ck_assert_uint_eq(image.sums->total.peak_size, model.peak.total);
}

/* A fork whose child comes later. */
struct fork_expectation {
        bool open;
        uint32_t token;
        struct model_sums sums;
};

static void step_fork(struct fork_expectation *f) {
        static uint32_t token;
        if (!f->open) {
                f->open = true;
                f->token = ++token;
                model_sum(&f->sums);
                for (unsigned m = 0; m < N_MOVES; m++) {
                        const struct model_block *moved = &model.moves[m];
                        if (!moved->alive || !model.blocks[0][model.move_position[m] >> 40].alive)
                                continue;
                        /* the address is another block's: the child does not have it */
                        f->sums.size[moved->domain][moved->node] -= moved->size;
                        f->sums.count[moved->domain][moved->node]--;
                        f->sums.total -= moved->size;
                }
                apply(RECORD_FORK, 0, f->token, 0, 0, 0);
                return;
        }
        struct image child;
        struct image_fork *fork = image_fork_take(&image, f->token);
        ck_assert_ptr_nonnull(fork);
        ck_assert_int_eq(image_init(&child, NULL, 0), 0);
        ck_assert_int_eq(image_fork_begin(&child, fork), 0);
        while (image_fork_step(&child, fork, 1) == IMAGE_MORE) {
                step_alloc_or_free(50);
                check_against_model();
        }
        image_fork_free(fork);
        image_check(&child);
        ck_assert_uint_eq(child.sums->total.live_size, f->sums.total);
        for (unsigned d = 0; d < N_DOMAINS; d++) {
                for (uint32_t node = 0; node < N_NODES; node++) {
                        const struct node_sums *slot = traceback_sums_slot(child.sums, node, domain_of[d]);
                        ck_assert_uint_eq(slot->live_size, f->sums.size[d][node]);
                        ck_assert_uint_eq(slot->live_count, f->sums.count[d][node]);
                }
        }
        image_deinit(&child);
        f->open = false;
}

START_TEST(image_agrees_with_brute_force)
{
        model_seed("image_agrees_with_brute_force");
        static struct expectation expectations[3];
        static struct fork_expectation forks[2];
        for (uint32_t node = 1; node < N_NODES; node++)
                model_defs[node] = (struct node_def){.parent = (uint32_t)model_below(node), .unit = 1, .value = node};
        model_nodes = fake_nodes(model_defs, N_NODES);
        unsigned percent_allocs = 50;
        for (unsigned step = 0; step < 8000; step++) {
                if (step % 512 == 0)
                        percent_allocs = 20 + 60 * (unsigned)model_below(2);
                unsigned choice = (unsigned)model_below(22);
                if (choice < 14)
                        step_alloc_or_free(percent_allocs);
                else if (choice < 17)
                        step_move();
                else if (choice < 19)
                        step_relabel();
                else
                        step_map();
                check_against_model();
                image_check(&image);
                if (model_below(4) == 0)
                        step_snapshot(&expectations[model_below(3)]);
                if (model_below(40) == 0)
                        step_fork(&forks[model_below(2)]);
                if (model_below(500) == 0) {
                        image_reset_peak(&image);
                        model_sum(&model.peak);
                }
                if (model_below(3000) == 0) {
                        ck_assert_int_eq(image_clear(&image), 0);
                        memset(&model, 0, sizeof model);
                }
        }
        for (unsigned i = 0; i < 3; i++) {
                if (expectations[i].open)
                        image_snapshot_cancel(expectations[i].reading);
        }
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
        tcase_add_test(tcase, image_agrees_with_brute_force);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
