/* SPDX-License-Identifier: Apache-2.0 */

/* Frames between agent and daemon; what they say is fuzz_agent's and test_agent's. */

#include "agent/wire.h"
#include "tests/support/late_answer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t frame[] = {3, 0, 0, 0, 'a', 'b', 'c'};
static uint8_t buffer[64];
static int ends[2], fds[2];
static size_t length;

static void connect_ends(void) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static void close_ends(void) {
        close(ends[0]);
        close(ends[1]);
}

START_TEST(an_answer_that_never_comes_is_not_waited_for_beyond_the_deadline)
{
        uint64_t deadline = (uint64_t)late_answer_now_ns() + 10000000;
        ck_assert_int_eq(wire_receive(ends[0], buffer, sizeof buffer, &length, fds, deadline), -ETIMEDOUT);
        ck_assert_uint_ge((uint64_t)late_answer_now_ns(), deadline);
        ck_assert_int_eq(wire_receive(ends[0], buffer, sizeof buffer, &length, fds, 0), -ETIMEDOUT);
}
END_TEST

START_TEST(an_answer_that_came_in_time_is_read_after_the_deadline)
{
        uint64_t deadline = (uint64_t)late_answer_expect(ends[1], frame, sizeof frame);
        ck_assert_int_eq(wire_receive(ends[0], buffer, sizeof buffer, &length, fds, deadline), 0);
        ck_assert_uint_eq(length, 3);
        ck_assert_mem_eq(buffer, "abc", 3);
}
END_TEST

START_TEST(half_an_answer_is_none_after_the_deadline)
{
        uint64_t deadline = (uint64_t)late_answer_expect(ends[1], frame, sizeof frame - 1);
        ck_assert_int_eq(wire_receive(ends[0], buffer, sizeof buffer, &length, fds, deadline), -ETIMEDOUT);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wire");
        TCase *tcase = check_case("wire");
        tcase_add_checked_fixture(tcase, connect_ends, close_ends);
        tcase_add_test(tcase, an_answer_that_never_comes_is_not_waited_for_beyond_the_deadline);
        tcase_add_test(tcase, an_answer_that_came_in_time_is_read_after_the_deadline);
        tcase_add_test(tcase, half_an_answer_is_none_after_the_deadline);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
