/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/id_map.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"

#include <stdint.h>

#define N 20000

static struct id_map map;

static void assert_value(int64_t id, uint32_t value) {
        uint32_t found = UINT32_MAX;
        ck_assert_msg(id_map_find(&map, id, &found) && found == value, "%lld: %u, not %u", (long long)id, found, value);
}

static void assert_absent(int64_t id) {
        uint32_t found;
        ck_assert(!id_map_find(&map, id, &found));
}

START_TEST(an_empty_map_has_nothing)
{
        assert_absent(1);
        assert_absent(INT64_MAX);
        id_map_deinit(&map);
}
END_TEST

/* In both directions, as tracebacks come: a group's from its leaf up, and each further group's behind the one before.
 */
START_TEST(neighbours_share_pages)
{
        for (int64_t id = 1; id <= N; id += 10) {
                for (int64_t i = id + 9; i >= id; i--) {
                        assert_absent(i);
                        ck_assert_int_eq(id_map_add(&map, i, (uint32_t)(7 * i)), 0);
                }
        }
        for (int64_t id = 1; id <= N; id++)
                assert_value(id, (uint32_t)(7 * id));
        assert_absent(N + 1);
        ck_assert_uint_eq(map.n_pages, N / 16 + 1);
        ck_assert_uint_le(map.n_slots, 4 * map.n_pages);
        id_map_deinit(&map);
}
END_TEST

START_TEST(ids_far_apart_are_told_from_each_other_and_from_those_between)
{
        uint64_t state = 1; /* the seed */
        static int64_t ids[N];
        for (uint32_t i = 0; i < N; i++) {
                /* of each two a second one, which shares the low bits of the first */
                ids[i] = i % 2 ? ids[i - 1] ^ INT64_C(1) << 40 : (int64_t)(snapshot_random_next(&state) >> 2) | 1;
                assert_absent(ids[i]);
                ck_assert_int_eq(id_map_add(&map, ids[i], i), 0);
        }
        for (uint32_t i = 0; i < N; i++) {
                assert_value(ids[i], i);
                assert_absent(ids[i] ^ 1);
        }
        id_map_deinit(&map);
}
END_TEST

/* Of a damaged database; they are nobody's, but looked up before that is seen. */
START_TEST(ids_that_no_row_has_do_no_harm)
{
        static const int64_t ids[] = {0, -1, -17, INT64_MIN, INT64_MAX};
        for (uint32_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
                assert_absent(ids[i]);
                ck_assert_int_eq(id_map_add(&map, ids[i], i), 0);
        }
        for (uint32_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
                assert_value(ids[i], i);
        id_map_deinit(&map);
}
END_TEST

CHECK_MAIN("id_map", an_empty_map_has_nothing, neighbours_share_pages,
           ids_far_apart_are_told_from_each_other_and_from_those_between, ids_that_no_row_has_do_no_harm)
