/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/uid_count.h"
#include "tests/support/check_main.h"

START_TEST(one_user_at_the_limit_leaves_the_others_alone)
{
        struct uid_count c;
        uid_count_init(&c);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(uid_count_charge(&c, 1000, 3), 0);
        ck_assert_int_eq(uid_count_charge(&c, 1000, 3), UID_COUNT_E_QUOTA);
        ck_assert_int_eq(uid_count_charge(&c, 1001, 3), 0);
        uid_count_release(&c, 1000);
        ck_assert_int_eq(uid_count_charge(&c, 1000, 3), 0);
        uid_count_deinit(&c);
}
END_TEST

START_TEST(root_has_no_limit)
{
        struct uid_count c;
        uid_count_init(&c);
        for (int i = 0; i < 100; i++)
                ck_assert_int_eq(uid_count_charge(&c, 0, 3), 0);
        uid_count_deinit(&c);
}
END_TEST

START_TEST(users_that_hold_nothing_take_no_room)
{
        struct uid_count c;
        uid_count_init(&c);
        for (uid_t uid = 1; uid < 10000; uid++) {
                ck_assert_int_eq(uid_count_charge(&c, uid, 1), 0);
                uid_count_release(&c, uid);
        }
        ck_assert_uint_eq(c.n_entries, 0);
        ck_assert_uint_le(c.size, 16);
        uid_count_deinit(&c);
}
END_TEST

CHECK_MAIN("base/uid_count", one_user_at_the_limit_leaves_the_others_alone, root_has_no_limit,
           users_that_hold_nothing_take_no_room)
