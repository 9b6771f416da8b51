/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/drops.h"
#include "tests/support/check_main.h"

static const struct credentials alice = {.pid = 2, .uid = 1000}, bob = {.pid = 3, .uid = 1001};

START_TEST(one_users_flood_is_told_every_few_seconds_and_counted_whole)
{
        struct drops drops = {0};
        uint64_t n_lines = 0, now_ms = 1;
        for (int i = 0; i < 10000; i++, now_ms++)
                n_lines += drops_add(&drops, now_ms, "agent", &bob, "garbage");
        ck_assert_uint_eq(drops.n, 10000);
        ck_assert_uint_eq(n_lines, 10000 / DROPS_TOLD_MS);
        /* what the last line did not speak of is told when it is time, once */
        ck_assert_uint_eq(drops_tell(&drops, now_ms - 1), 0);
        ck_assert_uint_eq(drops_tell(&drops, now_ms + DROPS_TOLD_MS), DROPS_TOLD_MS - 1);
        ck_assert_uint_eq(drops_tell(&drops, now_ms + 2 * DROPS_TOLD_MS), 0);
}
END_TEST

START_TEST(another_user_and_another_reason_have_lines_of_their_own)
{
        struct drops drops = {0};
        ck_assert(drops_add(&drops, 1, "agent", &bob, "garbage"));
        ck_assert(!drops_add(&drops, 1, "agent", &bob, "garbage"));
        ck_assert(drops_add(&drops, 1, "agent", &alice, "garbage"));
        ck_assert(drops_add(&drops, 1, "agent", &bob, "half a frame"));
        ck_assert(drops_add(&drops, 1, "client", &bob, "garbage"));
}
END_TEST

START_TEST(thousands_of_users_take_no_more_room_and_nothing_goes_untold)
{
        struct drops drops = {0};
        for (uid_t uid = 0; uid < 5000; uid++) {
                struct credentials who = {.pid = 4, .uid = uid};
                ck_assert(drops_add(&drops, 1 + uid, "agent", &who, "garbage"));
                ck_assert(!drops_add(&drops, 1 + uid, "agent", &who, "garbage"));
        }
        ck_assert_uint_eq(drops.n, 10000);
        ck_assert_uint_eq(drops_tell(&drops, 1000000), DROPS_KIND_MAX); /* the others' were told when they made room */
}
END_TEST

CHECK_MAIN("base/drops", one_users_flood_is_told_every_few_seconds_and_counted_whole,
           another_user_and_another_reason_have_lines_of_their_own,
           thousands_of_users_take_no_more_room_and_nothing_goes_untold)
