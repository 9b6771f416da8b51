/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/user_turns.h"
#include "tests/support/check_main.h"

#define N 8

static struct user_turns turns;
static struct user_turn entries[N];
static size_t n_entries;

static void come(uid_t uid) {
        user_turns_add(&turns, &entries[n_entries++], uid);
}

/* Serves one after the other. Return: their users, a digit each. */
static const char *serve_all(size_t n_max) {
        static char order[N * 4];
        struct user_turn *next;
        size_t n = 0;
        for (; n < n_max && (next = user_turns_next(&turns, 1, 1)); n++) {
                user_turns_serve(&turns, next);
                order[n] = (char)('0' + next->uid);
                user_turns_remove(&turns, next);
        }
        order[n] = '\0';
        return order;
}

START_TEST(users_take_turns_however_many_requests_one_has)
{
        come(1);
        come(1);
        come(1);
        come(2);
        come(3);
        ck_assert_str_eq(serve_all(N), "12311");
}
END_TEST

START_TEST(who_comes_late_is_not_owed_the_turns_before)
{
        come(1);
        come(1);
        come(1);
        ck_assert_str_eq(serve_all(2), "11");
        come(2);
        come(2);
        ck_assert_str_eq(serve_all(N), "212");
}
END_TEST

START_TEST(who_has_just_been_served_is_not_new)
{
        come(1);
        ck_assert_str_eq(serve_all(1), "1");
        come(2);
        come(2);
        come(1);
        ck_assert_str_eq(serve_all(N), "221");
}
END_TEST

START_TEST(others_who_are_served_meanwhile_do_not_make_anybody_new)
{
        come(1);
        come(3);
        ck_assert_str_eq(serve_all(2), "13");
        come(2);
        come(2);
        come(1);
        ck_assert_str_eq(serve_all(N), "221");
}
END_TEST

START_TEST(who_leaves_unserved_has_had_no_turn)
{
        come(1);
        user_turns_remove(&turns, &entries[0]);
        come(2);
        come(2);
        come(1);
        ck_assert_str_eq(serve_all(N), "212");
}
END_TEST

START_TEST(no_more_at_once_than_are_allowed_altogether_and_of_one_user)
{
        struct user_turn *next;
        unsigned n = 0;
        come(1);
        come(1);
        come(1);
        come(2);
        come(3);
        for (; (next = user_turns_next(&turns, 3, 2)); n++)
                user_turns_serve(&turns, next);
        ck_assert_uint_eq(n, 3);
        ck_assert(entries[0].served && entries[3].served && entries[4].served);
        user_turns_remove(&turns, &entries[3]);
        user_turns_serve(&turns, user_turns_next(&turns, 3, 2));
        user_turns_remove(&turns, &entries[4]);
        ck_assert_ptr_null(user_turns_next(&turns, 3, 2)); /* the first user's third waits for one of its own */
}
END_TEST

CHECK_MAIN("base/user_turns", users_take_turns_however_many_requests_one_has,
           who_comes_late_is_not_owed_the_turns_before, who_has_just_been_served_is_not_new,
           others_who_are_served_meanwhile_do_not_make_anybody_new, who_leaves_unserved_has_had_no_turn,
           no_more_at_once_than_are_allowed_altogether_and_of_one_user)
