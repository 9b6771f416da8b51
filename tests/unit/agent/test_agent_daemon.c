/* SPDX-License-Identifier: Apache-2.0 */

/* The whole agent and a daemon that is not there, refuses, dies, comes late or does not read, in both ways of
 * streaming. */

#include "proto/record.h"
#include "proto/ring.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/subject_case.h"
#include "tests/unit/agent/traced.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void ends_as_untraced(const char *subject_case, const char *way, const struct fake_daemon_options *options) {
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), subject_case, NULL};
        const char *environment[] = {way, NULL};
        traced_open(&traced, options);
        traced_start(&traced, argv, environment, true);
        traced_finish(&traced);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_str_eq(traced.output, "");
        traced_close(&traced);
}

START_TEST(without_a_daemon_nothing_changes)
{ ends_as_untraced("many", traced_ways[_i], NULL); }
END_TEST

START_TEST(a_daemon_that_refuses_is_no_daemon)
{ ends_as_untraced("kinds", traced_ways[_i], &(struct fake_daemon_options){.refuse = true}); }
END_TEST

/* Its successor may know the ring: nothing is missing then. */
START_TEST(a_daemon_that_dies_while_it_is_greeted_has_a_successor_that_gets_the_same_ring)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "kinds", NULL};
        const char *environment[] = {traced_ways[_i], NULL};
        traced_open(&traced, &(struct fake_daemon_options){.hang_ups = 2});
        traced_start(&traced, argv, environment, true);
        traced_finish(&traced);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_str_eq(traced.output, "");
        ck_assert_uint_eq(traced.n_images, 1);
        ck_assert_uint_eq(traced.images[0]->kind, 0);
        ck_assert_uint_eq(traced.images[0]->n_greetings, _i == 0 ? 3 : 0);
        ck_assert_uint_eq(traced.images[0]->lost_events, 0);
        ck_assert_uint_eq(traced.images[0]->unknown_frees, 0);
        ck_assert_uint_eq(traced.images[0]->bad_records, 0);
        traced_close(&traced);
}
END_TEST

static void expect_second_try(struct traced *traced, bool by_ring) {
        traced_finish(traced);
        ck_assert_int_eq(traced->status, 0);
        ck_assert_str_eq(traced->output, "");
        ck_assert_uint_eq(traced->n_images, 1);
        ck_assert_uint_eq(traced->images[0]->kind, 2);
        ck_assert_uint_eq(traced->images[0]->n_greetings, by_ring ? 1 : 0);
        ck_assert_uint_eq(traced->images[0]->n_rings, by_ring ? 2 : 0);
        ck_assert_uint_eq(traced->images[0]->bad_records, 0);
        ck_assert_int_eq(traced->images[0]->exit_status, 0);
        traced_close(traced);
}

/* _i: whether the greetings are not answered at all. The program has not ended when it greets anew, so it went on; and
 * it does that with another ring, since nobody knows whether the first one is read: with one, however long it was
 * silent. Both ways at once: it takes seconds. */
START_TEST(a_greeting_without_an_answer_is_given_up_and_tried_anew_later)
{
        static const struct fake_daemon_options options[] = {{.hang_ups = 3}, {.silences = 3}};
        struct traced traced[2];
        const char *argv[] = {getenv("SUBJECT"), "until_eof", NULL};
        for (size_t way = 0; way < 2; way++) {
                const char *environment[] = {traced_ways[way], NULL};
                traced_open(&traced[way], &options[_i]);
                traced_start(&traced[way], argv, environment, true);
        }
        for (size_t way = 0; way < 2; way++)
                fake_daemon_wait(traced[way].daemon, 1);
        for (size_t way = 0; way < 2; way++)
                expect_second_try(&traced[way], way == 0);
}
END_TEST

START_TEST(a_daemon_that_comes_late_is_found)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "until_eof", NULL};
        const char *environment[] = {traced_ways[_i], NULL};
        traced_open(&traced, NULL);
        traced_start(&traced, argv, environment, true);
        ck_assert_int_eq(fake_daemon_start(traced.dir, &(struct fake_daemon_options){0}, &traced.daemon), 0);
        fake_daemon_wait(traced.daemon, 1);
        traced_finish(&traced);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 1);
        ck_assert_uint_eq(traced.images[0]->bad_records, 0);
        traced_close(&traced);
}
END_TEST

/* _i: way + 2 * whether the daemon says that it leaves */
START_TEST(the_next_daemon_gets_a_new_epoch)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "until_eof", NULL};
        const char *environment[] = {traced_ways[_i % 2], "TRACEMALLOCD_RING_SIZE=65536", NULL};
        const struct fake_daemon_options options = {.stall_limit_us = 100000};
        traced_open(&traced, &options);
        traced_start(&traced, argv, environment, true);
        fake_daemon_wait(traced.daemon, 1);
        fake_daemon_stop(traced.daemon, _i / 2 == 1);
        ck_assert_int_eq(fake_daemon_start(traced.dir, &options, &traced.daemon), 0);
        fake_daemon_wait(traced.daemon, 1);
        traced_finish(&traced);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 1);
        ck_assert_uint_eq(traced.images[0]->kind, 2);
        ck_assert_uint_eq(traced.images[0]->bad_records, 0);
        ck_assert_int_eq(traced.images[0]->exit_status, 0);
        traced_close(&traced);
}
END_TEST

/* That leaves no sign in the ring way: in this mode nothing waits to be read. Both ways at once, as above. */
START_TEST(a_daemon_that_dies_in_mode_off_has_a_successor_that_gets_a_new_epoch)
{
        static const struct fake_daemon_options options;
        struct traced traced[2];
        const char *argv[] = {getenv("SUBJECT"), "told_until_eof", NULL};
        for (size_t way = 0; way < 2; way++) {
                const char *environment[] = {traced_ways[way], NULL};
                traced_open(&traced[way], &options);
                traced_start(&traced[way], argv, environment, true);
                fake_daemon_wait(traced[way].daemon, 1);
                fake_daemon_set_mode(traced[way].daemon, TRACE_OFF);
                fake_daemon_stop(traced[way].daemon, false);
                ck_assert_int_eq(fake_daemon_start(traced[way].dir, &options, &traced[way].daemon), 0);
                ck_assert_int_eq(write(traced[way].input, "", 1), 1);
        }
        for (size_t way = 0; way < 2; way++)
                fake_daemon_wait(traced[way].daemon, 1);
        for (size_t way = 0; way < 2; way++) {
                traced_finish(&traced[way]);
                ck_assert_int_eq(traced[way].status, 0);
                ck_assert_uint_eq(traced[way].n_images, 1);
                ck_assert_uint_eq(traced[way].images[0]->kind, 2);
                ck_assert_uint_eq(traced[way].images[0]->bad_records, 0);
                traced_close(&traced[way]);
        }
}
END_TEST

START_TEST(a_full_ring_costs_bounded_time_and_counted_records)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "many", NULL};
        const char *environment[] = {"TRACEMALLOCD_RING_SIZE=65536", NULL};
        uint64_t told = 0;
        traced_open(&traced, &(struct fake_daemon_options){.keep_full = true, .stall_limit_us = 100000});
        traced_start(&traced, argv, environment, true);
        traced_finish(&traced);
        ck_assert_int_eq(traced.status, 0);
        const struct fake_image *image = traced.images[0];
        for (int i = 0; i <= RECORD_TYPE_MAX; i++)
                told += i == RECORD_LOST ? 0 : image->count[i];
        ck_assert_uint_eq(image->bad_records, 0);
        ck_assert_uint_gt(image->lost_events, 150000);
        ck_assert_uint_gt(image->count[RECORD_FREE], 0);
        ck_assert_uint_ge(told + image->lost_events, 200000);
        traced_close(&traced);
}
END_TEST

START_TEST(small_rings_lose_nothing)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "threads", NULL};
        const char *environment[] = {"TRACEMALLOCD_RING_SIZE=65536", traced_ways[_i], NULL};
        traced_run(&traced, argv, environment);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.images[0]->lost_events, 0);
        ck_assert_uint_eq(traced.images[0]->unknown_frees, 0);
        ck_assert_uint_eq(traced.images[0]->replaced, 0);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_ALLOC] - traced.images[0]->count[RECORD_FREE],
                          traced.images[0]->live_count);
        traced_close(&traced);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("agent_daemon");
        TCase *both = check_case("both ways"), *once = check_case("one way");
#define IN_BOTH(test) tcase_add_loop_test(both, test, 0, 2)
        IN_BOTH(without_a_daemon_nothing_changes);
        IN_BOTH(a_daemon_that_refuses_is_no_daemon);
        IN_BOTH(a_daemon_that_dies_while_it_is_greeted_has_a_successor_that_gets_the_same_ring);
        tcase_add_loop_test(once, a_greeting_without_an_answer_is_given_up_and_tried_anew_later, 0, 2);
        IN_BOTH(a_daemon_that_comes_late_is_found);
        tcase_add_loop_test(both, the_next_daemon_gets_a_new_epoch, 0, 4);
        tcase_add_test(once, a_daemon_that_dies_in_mode_off_has_a_successor_that_gets_a_new_epoch);
        IN_BOTH(small_rings_lose_nothing);
        tcase_add_test(once, a_full_ring_costs_bounded_time_and_counted_records);
        suite_add_tcase(suite, both);
        suite_add_tcase(suite, once);
        return check_run(suite);
}
