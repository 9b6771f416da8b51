/* SPDX-License-Identifier: Apache-2.0 */

#include "client/arena.h"
#include "tests/support/check_main.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

static void *get(struct arena *a, size_t size) {
        return a->allocator.alloc(a->allocator.allocator_data, size);
}

START_TEST(pieces_are_aligned_and_do_not_overlap)
{
        struct arena a;
        unsigned char *pieces[1000];
        arena_init(&a);
        for (size_t i = 0; i < 1000; i++) {
                pieces[i] = get(&a, i + 1);
                ck_assert_uint_eq((uintptr_t)pieces[i] % alignof(max_align_t), 0);
                memset(pieces[i], (int)(i % 251), i + 1);
        }
        for (size_t i = 0; i < 1000; i++) {
                for (size_t k = 0; k <= i; k++)
                        ck_assert_uint_eq(pieces[i][k], i % 251);
        }
        arena_deinit(&a);
}
END_TEST

START_TEST(a_piece_may_be_larger_than_any_chunk)
{
        struct arena a;
        arena_init(&a);
        (void)get(&a, 1);
        unsigned char *piece = get(&a, 10 << 20);
        memset(piece, 1, 10 << 20);
        arena_deinit(&a);
}
END_TEST

START_TEST(no_size_wraps_round)
{
        struct arena a;
        arena_init(&a);
        ck_assert_ptr_null(get(&a, SIZE_MAX));
        ck_assert_ptr_null(get(&a, SIZE_MAX - alignof(max_align_t)));
        arena_deinit(&a);
}
END_TEST

START_TEST(memory_is_used_again_after_a_reset)
{
        struct arena a;
        arena_init(&a);
        arena_reset(&a);
        for (size_t i = 0; i < 100; i++)
                (void)get(&a, 10000);
        arena_reset(&a);
        void *first = get(&a, 10000);
        for (size_t i = 0; i < 50; i++)
                (void)get(&a, 10000); /* the largest chunk is half of what there was, and stayed */
        struct arena_chunk *chunk = a.chunk;
        arena_reset(&a);
        ck_assert_ptr_eq(get(&a, 10000), first);
        ck_assert_ptr_eq(a.chunk, chunk);
        arena_deinit(&a);
}
END_TEST

START_TEST(free_leaves_everything)
{
        struct arena a;
        arena_init(&a);
        char *piece = get(&a, 8);
        memcpy(piece, "a piece", 8);
        a.allocator.free(a.allocator.allocator_data, piece);
        (void)get(&a, 8);
        ck_assert_str_eq(piece, "a piece");
        arena_deinit(&a);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("arena");
        TCase *tc = tcase_create("arena");
        tcase_add_test(tc, pieces_are_aligned_and_do_not_overlap);
        tcase_add_test(tc, a_piece_may_be_larger_than_any_chunk);
        tcase_add_test(tc, no_size_wraps_round);
        tcase_add_test(tc, memory_is_used_again_after_a_reset);
        tcase_add_test(tc, free_leaves_everything);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
