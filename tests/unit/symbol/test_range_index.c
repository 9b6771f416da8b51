/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/symbol/helper/range_index.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>

#define ADDRESSES 200

static uint32_t value_at(const struct range_index *index, uint64_t address) {
        const struct range_segment *segment = range_index_find(index, address);
        return segment ? segment->value : RANGE_NONE;
}

START_TEST(nothing_is_found_in_an_empty_index)
{
        struct range_index index = {0};
        range_index_build(&index);
        ck_assert_ptr_null(range_index_find(&index, 0));
        ck_assert_ptr_null(range_index_find(&index, UINT64_MAX));
        range_index_deinit(&index);
}
END_TEST

START_TEST(the_higher_rank_answers_inside_and_the_lower_around)
{
        struct range_index index = {0};
        range_index_add(&index, &(struct range){.low = 10, .high = 100, .rank = 0, .value = 1});
        range_index_add(&index, &(struct range){.low = 40, .high = 50, .rank = 1, .value = 2});
        range_index_build(&index);
        ck_assert_uint_eq(value_at(&index, 9), RANGE_NONE);
        ck_assert_uint_eq(value_at(&index, 10), 1);
        ck_assert_uint_eq(value_at(&index, 39), 1);
        ck_assert_uint_eq(value_at(&index, 40), 2);
        ck_assert_uint_eq(value_at(&index, 49), 2);
        ck_assert_uint_eq(value_at(&index, 50), 1);
        ck_assert_uint_eq(value_at(&index, 99), 1);
        ck_assert_uint_eq(value_at(&index, 100), RANGE_NONE);
        range_index_deinit(&index);
}
END_TEST

START_TEST(empty_and_backward_ranges_are_passed_over)
{
        struct range_index index = {0};
        range_index_add(&index, &(struct range){.low = 10, .high = 10, .value = 1});
        range_index_add(&index, &(struct range){.low = 20, .high = 10, .value = 2});
        range_index_build(&index);
        ck_assert_uint_eq(index.n_segments, 0);
        range_index_deinit(&index);
}
END_TEST

START_TEST(pieces_of_one_value_join_only_where_they_touch)
{
        struct range_index index = {0};
        range_index_add(&index, &(struct range){.low = 10, .high = 20, .value = 1});
        range_index_add(&index, &(struct range){.low = 20, .high = 30, .value = 1});
        range_index_add(&index, &(struct range){.low = 40, .high = 50, .value = 1});
        range_index_build(&index);
        ck_assert_uint_eq(index.n_segments, 2);
        ck_assert_uint_eq(value_at(&index, 20), 1);
        ck_assert_uint_eq(value_at(&index, 35), RANGE_NONE);
        range_index_deinit(&index);
}
END_TEST

START_TEST(the_last_addresses_can_be_covered)
{
        struct range_index index = {0};
        range_index_add(&index, &(struct range){.low = UINT64_MAX - 5, .high = UINT64_MAX, .value = 7});
        range_index_build(&index);
        ck_assert_uint_eq(value_at(&index, UINT64_MAX - 1), 7);
        ck_assert_uint_eq(value_at(&index, UINT64_MAX), RANGE_NONE);
        range_index_deinit(&index);
}
END_TEST

static int outranks(const struct range *a, const struct range *b) {
        if (a->rank != b->rank)
                return a->rank > b->rank;
        if (a->low != b->low)
                return a->low > b->low;
        if (a->tie != b->tie)
                return a->tie > b->tie;
        return a->value < b->value;
}

static uint32_t model_at(const struct range *ranges, size_t n, uint64_t address) {
        const struct range *best = NULL;
        for (size_t i = 0; i < n; i++)
                if (ranges[i].low <= address && address < ranges[i].high && (!best || outranks(&ranges[i], best)))
                        best = &ranges[i];
        return best ? best->value : RANGE_NONE;
}

static void compare_with_model(unsigned seed) {
        struct range_index index = {0};
        struct range ranges[64];
        size_t n = 1 + (size_t)rand() % 64;
        for (size_t i = 0; i < n; i++) {
                uint64_t low = (uint64_t)rand() % ADDRESSES;
                ranges[i] = (struct range){.low = low,
                                           .high = low + (uint64_t)rand() % 60,
                                           .rank = (uint32_t)rand() % 4,
                                           .tie = (uint32_t)rand() % 2,
                                           .value = (uint32_t)i};
                range_index_add(&index, &ranges[i]);
        }
        range_index_build(&index);
        ck_assert_uint_le(index.n_segments, 2 * n);
        for (uint64_t address = 0; address < ADDRESSES + 61; address++)
                ck_assert_msg(value_at(&index, address) == model_at(ranges, n, address), "seed %u, address %u", seed,
                              (unsigned)address);
        range_index_deinit(&index);
}

START_TEST(it_agrees_with_a_search_through_all_ranges)
{
        for (unsigned seed = 1; seed <= 500; seed++) {
                srand(seed);
                compare_with_model(seed);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("range_index");
        TCase *tcase = check_case("range_index");
        tcase_add_test(tcase, nothing_is_found_in_an_empty_index);
        tcase_add_test(tcase, the_higher_rank_answers_inside_and_the_lower_around);
        tcase_add_test(tcase, empty_and_backward_ranges_are_passed_over);
        tcase_add_test(tcase, pieces_of_one_value_join_only_where_they_touch);
        tcase_add_test(tcase, the_last_addresses_can_be_covered);
        tcase_add_test(tcase, it_agrees_with_a_search_through_all_ranges);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
