/* SPDX-License-Identifier: Apache-2.0 */

/* Deadlines; what else a channel meets is test_symbolizer's and fuzz_symbol's. */

#include "daemon/symbol/symbol_channel.h"
#include "tests/support/late_answer.h"

#include <string.h>
#include <sys/socket.h>

static int ends[2];
static struct symbol_channel channel;
static const uint8_t *payload;
static size_t length;

static void open_channel(void) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        symbol_channel_init(&channel, ends[0], false);
}

static void close_channel(void) {
        symbol_channel_deinit(&channel);
        close(ends[0]);
        close(ends[1]);
}

START_TEST(an_answer_that_never_comes_is_not_waited_for_beyond_the_deadline)
{
        int64_t deadline = late_answer_now_ns() + 10000000;
        ck_assert_int_eq(symbol_channel_receive(&channel, &payload, &length, NULL, deadline), SYMBOL_CHANNEL_E_TIMEOUT);
        ck_assert_int_ge(late_answer_now_ns(), deadline);
        ck_assert_int_eq(symbol_channel_receive(&channel, &payload, &length, NULL, 0), SYMBOL_CHANNEL_E_TIMEOUT);
}
END_TEST

START_TEST(an_answer_that_came_in_time_is_read_after_the_deadline)
{
        uint8_t answer[FRAME_HEADER_BYTES + 3];
        frame_header(answer, 3);
        memcpy(answer + FRAME_HEADER_BYTES, "abc", 3);
        int64_t deadline = late_answer_expect(ends[1], answer, sizeof answer);

        ck_assert_int_eq(symbol_channel_receive(&channel, &payload, &length, NULL, deadline), 0);
        ck_assert_uint_eq(length, 3);
        ck_assert_mem_eq(payload, "abc", 3);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("symbol_channel");
        TCase *tcase = check_case("symbol_channel");
        tcase_add_checked_fixture(tcase, open_channel, close_channel);
        tcase_add_test(tcase, an_answer_that_never_comes_is_not_waited_for_beyond_the_deadline);
        tcase_add_test(tcase, an_answer_that_came_in_time_is_read_after_the_deadline);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
