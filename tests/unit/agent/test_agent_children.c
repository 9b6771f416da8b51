/* SPDX-License-Identifier: Apache-2.0 */

/* The whole agent in programs that fork, execute and end, in both ways of streaming. */

#include "proto/record.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/subject_case.h"
#include "tests/unit/agent/traced.h"

#include <signal.h>
#include <stdlib.h>

START_TEST(fork_child_begins_with_the_parents_table)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "fork_child", traced_ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 2);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_FORK], 1);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_FORK_DONE], 1);
        ck_assert_uint_eq(traced.images[1]->kind, 1);
        ck_assert_uint_ne(traced.images[1]->fork_token, 0);
        ck_assert_mem_eq(traced.images[1]->parent_secret, traced.images[0]->secret, 16);
        ck_assert_uint_eq(traced.images[1]->unknown_frees, 0);
        ck_assert_uint_eq(traced.images[1]->count[RECORD_ALLOC], 2);
        ck_assert_uint_eq(traced.images[1]->count[RECORD_FREE], 1);
        ck_assert_int_eq(traced.images[1]->exit_status, 12);
        /* parent: table of "nothing"; child: that and two blocks */
        ck_assert_uint_eq(traced.images[1]->live_count, traced.images[0]->live_count + 2);
        ck_assert_int_eq(subject_case_difference(traced.images[0], "SUBJECT", traced_ways[_i]).live, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(bare_forks_child_is_noticed)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "bare_fork", traced_ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 2);
        ck_assert_uint_eq(traced.images[1]->kind, 1);
        ck_assert_uint_eq(traced.images[1]->fork_token, 0);
        ck_assert_int_eq(traced.images[1]->exit_status, 13);
        ck_assert_int_eq(subject_case_difference(traced.images[0], "SUBJECT", traced_ways[_i]).live, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(grandchildren_of_a_silent_child_begin_with_the_grandparents_table)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "fork_twice", traced_ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 4); /* the second is the silent one: it greets before it forks */
        for (unsigned i = 1; i < 4; i++) {
                ck_assert_uint_eq(traced.images[i]->kind, 1);
                ck_assert_uint_ne(traced.images[i]->fork_token, 0);
                ck_assert_mem_eq(traced.images[i]->parent_secret, traced.images[i == 1 ? 0 : 1]->secret, 16);
                ck_assert_uint_eq(traced.images[i]->unknown_frees, 0);
                ck_assert_int_eq(traced.images[i]->exit_status, i == 1 ? 15 : 14);
                ck_assert_uint_eq(traced.images[i]->live_count, traced.images[0]->live_count);
        }
        traced_close(&traced);
}
END_TEST

START_TEST(vfork_child_writes_to_the_parents_ring_and_does_not_end_it)
{
        struct traced traced;
        struct subject_difference d;
        subject_case_run(&traced, "SUBJECT", "vfork_child", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        const struct fake_image *parent = traced.images[0];
        ck_assert_uint_eq(parent->count[RECORD_EXEC], 0);
        ck_assert_uint_eq(parent->count[RECORD_EXIT], 1);
        ck_assert_int_eq(parent->exit_status, 0);
        ck_assert_uint_eq(traced.n_images, 2); /* and /bin/true */
        ck_assert_str_eq(traced.images[1]->name, "subject");
        d = subject_case_difference(parent, "SUBJECT", traced_ways[_i]);
        ck_assert_int_eq(d.live, 2);
        ck_assert_int_eq(d.live_bytes, 30);
        traced_close(&traced);
}
END_TEST

START_TEST(vfork_child_does_not_greet)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "vfork_first", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.n_images, 1);
        ck_assert_int_eq(traced.images[0]->pid, traced.pid);
        ck_assert_uint_eq(traced.images[0]->live_bytes, 10 + 20); /* the child's too: it is the parent's heap */
        ck_assert_int_eq(traced.images[0]->exit_status, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(forks_of_a_threaded_program_all_end)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "fork_threaded", NULL};
        /* small: every child waits until the daemon has read what the parent wrote */
        const char *environment[] = {"TRACEMALLOCD_RING_SIZE=65536", traced_ways[_i], NULL};

        traced_run(&traced, argv, environment);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 61);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_FORK_DONE], 60);
        for (size_t i = 1; i < traced.n_images; i++)
                ck_assert_int_eq(traced.images[i]->exit_status, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(failed_exec_is_taken_back)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "exec_back", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_EXEC], 3);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_EXEC_BACK], 3);
        ck_assert_int_eq(subject_case_difference(traced.images[0], "SUBJECT", traced_ways[_i]).live, 1);
        traced_close(&traced);
}
END_TEST

START_TEST(all_forms_of_exec_pass_their_arguments)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "exec_forms", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        traced_close(&traced);
}
END_TEST

START_TEST(exec_begins_a_new_image)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "exec_self", traced_ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 2);
        ck_assert_int_eq(traced.images[0]->pid, traced.images[1]->pid);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_EXEC], 1);
        ck_assert_int_eq(traced.images[0]->exit_status, -1);
        ck_assert_uint_eq(traced.images[1]->kind, 0);
        ck_assert_int_eq(traced.images[1]->exit_status, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(exit_status_is_told_where_the_process_ends_itself)
{
        static const struct {
                const char *name;
                int status, told;
        } cases[] = {{"exit_by_exit", 3, 3},
                     {"exit_by_return", 6, 6},
                     {"exit_by_quick_exit", 5, 5},
                     {"exit_by_underscore", 4, 4},
                     {"exit_by_kill", 128 + SIGKILL, -1},
                     {"exit_by_abort", 128 + SIGABRT, -1}};

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct traced traced;
                subject_case_run(&traced, "SUBJECT", cases[i].name, traced_ways[_i]);
                ck_assert_int_eq(traced.status, cases[i].status);
                ck_assert_int_eq(traced.images[0]->exit_status, cases[i].told);
                /* the ring outlives a kill; what was not sent dies with the process */
                if (cases[i].told == -1 && _i == 0)
                        ck_assert_int_eq(subject_case_difference(traced.images[0], "SUBJECT", traced_ways[0]).live, 1);
                traced_close(&traced);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("agent_children");
        TCase *both = check_case("both ways");
#define IN_BOTH(test) tcase_add_loop_test(both, test, 0, 2)
        IN_BOTH(fork_child_begins_with_the_parents_table);
        IN_BOTH(bare_forks_child_is_noticed);
        IN_BOTH(grandchildren_of_a_silent_child_begin_with_the_grandparents_table);
        IN_BOTH(vfork_child_writes_to_the_parents_ring_and_does_not_end_it);
        IN_BOTH(vfork_child_does_not_greet);
        IN_BOTH(forks_of_a_threaded_program_all_end);
        IN_BOTH(failed_exec_is_taken_back);
        IN_BOTH(all_forms_of_exec_pass_their_arguments);
        IN_BOTH(exec_begins_a_new_image);
        IN_BOTH(exit_status_is_told_where_the_process_ends_itself);
        suite_add_tcase(suite, both);
        return check_run(suite);
}
