/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/index_table.h"
#include "tests/support/check_main.h"

#include <stdbool.h>
#include <stdint.h>

#define N     300000 /* so that it grows several times when it is large */
#define PIECE 1000

static struct index_table t;
static uint32_t n_asked; /* hashes, in one call */

static uint32_t hash_of_number(const void *owner, uint32_t index) {
        n_asked++;
        return index_hash_words(index, 0);
}

static bool is_there(uint32_t number) {
        uint32_t hash = index_hash_words(number, 0), cursor = hash, index;
        while ((index = index_table_next(&t, hash, &cursor)) != INDEX_TABLE_NONE)
                if (index == number)
                        return true;
        return false;
}

/* Return: how many hashes that asked for. */
static uint32_t add(uint32_t number) {
        n_asked = 0;
        if (index_table_reserve(&t, number, hash_of_number, NULL))
                ck_abort_msg("no memory"); /* an assertion for each number would take most of the time */
        index_table_put(&t, index_hash_words(number, 0), number);
        return n_asked;
}

static bool grow_ahead(void) {
        n_asked = 0;
        bool more = index_table_grow_ahead(&t, PIECE, hash_of_number, NULL);
        ck_assert_uint_le(n_asked, PIECE);
        return more;
}

static void assert_all_there(uint32_t n) {
        uint32_t n_there = 0;
        for (uint32_t i = 0; i < n; i++)
                n_there += is_there(i);
        ck_assert_uint_eq(n_there, n);
        ck_assert(!is_there(n));
}

START_TEST(a_table_that_grows_ahead_never_grows_all_at_once)
{
        for (uint32_t i = 0; i < N; i++) {
                while (i % PIECE == 0 && grow_ahead())
                        continue;
                uint32_t n = add(i);
                if (n > 0 && i >= 65536)
                        ck_abort_msg("%u hashes for number %u", n, i);
        }
        assert_all_there(N);
        index_table_deinit(&t);
}
END_TEST

START_TEST(what_is_put_and_looked_up_between_two_pieces_is_there)
{
        bool growing = false;
        for (uint32_t i = 0; i < N; i++) {
                add(i);
                if (i % 50 == 0) {
                        bool more = grow_ahead();
                        if (more != growing)
                                assert_all_there(i + 1);
                        growing = more;
                }
        }
        assert_all_there(N);
        index_table_deinit(&t);
}
END_TEST

START_TEST(a_table_that_is_full_before_the_last_piece_grows_at_once)
{
        uint32_t i = 0;
        while (!grow_ahead())
                add(i++);
        uint32_t mask = t.mask;
        while (t.mask == mask)
                add(i++);
        ck_assert_ptr_null(t.next);
        assert_all_there(i);
        index_table_deinit(&t);
}
END_TEST

START_TEST(a_table_that_goes_between_two_pieces_leaves_nothing)
{
        for (uint32_t i = 0; !grow_ahead(); i++)
                add(i);
        index_table_deinit(&t);
        ck_assert_ptr_null(t.next);
}
END_TEST

CHECK_MAIN("index_table", a_table_that_grows_ahead_never_grows_all_at_once,
           what_is_put_and_looked_up_between_two_pieces_is_there,
           a_table_that_is_full_before_the_last_piece_grows_at_once,
           a_table_that_goes_between_two_pieces_leaves_nothing)
