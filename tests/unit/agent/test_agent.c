/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole agent on a program whose allocations are known, in both ways of
 * streaming: what one process records. Numbers are differences to the case
 * that does nothing.
 */

#include "proto/record.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/subject_case.h"
#include "tests/unit/agent/traced.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(every_allocation_function_is_recorded_with_the_size_asked_for)
{
        struct subject_difference d = subject_case_check("SUBJECT", "kinds", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 10);
        ck_assert_int_eq(d.allocs, 10);
        ck_assert_int_eq(d.live_bytes, 1 + 15 + 7 + 21 + 100 + 128 + 11 + 13 + 17 + 0);
        ck_assert_int_eq(d.complete, 10);
}
END_TEST

/* Debian's true allocates nothing. */
START_TEST(a_program_that_never_allocates_is_known)
{
        const char *argv[] = {"/bin/true", NULL}, *environment[] = {traced_ways[_i], NULL};
        struct traced traced;
        traced_run(&traced, argv, environment);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 1);
        ck_assert_uint_eq(traced.images[0]->lost, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(failed_and_empty_reallocs_leave_nothing)
{
        struct subject_difference d = subject_case_check("SUBJECT", "failures", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 0);
        ck_assert_int_eq(d.live_bytes, 0);
        ck_assert_int_eq(d.allocs, 2);
        ck_assert_int_eq(d.frees, 2);
        ck_assert_int_eq(d.move_ins, 2);
        ck_assert_int_eq(d.move_backs, 1);
}
END_TEST

START_TEST(threads_that_free_all_they_took_leave_only_their_stacks)
{
        struct subject_difference d = subject_case_check("SUBJECT", "threads", traced_ways[_i], 0);
        ck_assert_int_ge(d.allocs, 32 * 5000);
        ck_assert_int_le(d.live, 8); /* dynamic thread vectors of cached stacks */
}
END_TEST

START_TEST(cxx_operators_count_once)
{
        struct subject_difference d = subject_case_check("SUBJECT_CXX", "pairs", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 0);
        ck_assert_int_eq(d.allocs, 12);
        ck_assert_int_eq(d.frees, 12);
}
END_TEST

START_TEST(cxx_operators_record_the_size_asked_for)
{
        struct subject_difference d = subject_case_check("SUBJECT_CXX", "leaks", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 5);
        ck_assert_int_eq(d.live_bytes, 1 + 33 + 128 + 256 + 0);
}
END_TEST

START_TEST(bad_alloc_out_of_operator_new_loses_no_event)
{
        struct subject_difference d = subject_case_check("SUBJECT_CXX", "no_memory", traced_ways[_i], 0);
        ck_assert_int_ge(d.live, 100);
        ck_assert_int_le(d.live, 102); /* the emergency pool of exceptions, stdout */
}
END_TEST

START_TEST(exceptions_are_allocated_and_freed)
{
        struct subject_difference d = subject_case_check("SUBJECT_CXX", "exceptions", traced_ways[_i], 0);
        ck_assert_int_ge(d.live, 1000);
        ck_assert_int_le(d.live, 1002);
        ck_assert_int_ge(d.allocs, 2000);
}
END_TEST

START_TEST(signal_handlers_have_whole_stacks)
{
        struct subject_difference d = subject_case_check("SUBJECT", "handlers", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 2);
        ck_assert_int_eq(d.complete, 2);
}
END_TEST

START_TEST(longjmp_out_of_handlers_leaves_the_agent_working)
{
        struct subject_difference d = subject_case_check("SUBJECT", "longjmps", traced_ways[_i], 0);
        ck_assert_int_eq(d.live, 2000);
}
END_TEST

START_TEST(coroutines_are_recorded)
{ ck_assert_int_eq(subject_case_check("SUBJECT", "coroutine", traced_ways[_i], 0).live, 1); }
END_TEST

START_TEST(a_module_at_the_address_of_another_has_its_own_generation)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "plugins", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_MODULE_UNLOAD], 6);
        ck_assert_uint_eq(traced.images[0]->empty_tracebacks, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(a_module_is_unmapped_while_others_look_for_it)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "plugins_beside_threads", traced_ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        traced_close(&traced);
}
END_TEST

START_TEST(closing_all_descriptors_is_survived)
{
        struct traced traced;
        subject_case_run(&traced, "SUBJECT", "close_all", traced_ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        if (_i == 0)
                ck_assert_int_eq(subject_case_difference(traced.images[0], "SUBJECT", traced_ways[0]).live, 1000);
        traced_close(&traced);
}
END_TEST

START_TEST(deep_stacks_are_cut_and_say_so)
{
        struct traced traced, base;
        subject_case_run(&traced, "SUBJECT", "recursion", traced_ways[_i]);
        subject_case_run(&base, "SUBJECT", "nothing", traced_ways[_i]);
        ck_assert_uint_eq(traced.images[0]->cut_tracebacks, base.images[0]->cut_tracebacks + 2);
        ck_assert_uint_eq(traced.images[0]->live_count, base.images[0]->live_count + 2);
        traced_close(&traced);
        traced_close(&base);
}
END_TEST

START_TEST(domain_mmap_is_recorded_on_request)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "mappings", NULL};
        const char *environment[] = {"TRACEMALLOCD_DOMAINS=malloc,mmap", traced_ways[_i], NULL};
        traced_run(&traced, argv, environment);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->mmap_bytes, 9 * 4096 + 5 * 4096);
        ck_assert_uint_eq(traced.images[0]->bad_records, 0);
        traced_close(&traced);
        subject_case_run(&traced, "SUBJECT", "mappings", traced_ways[_i]);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_MAP], 0);
        traced_close(&traced);
}
END_TEST

START_TEST(a_refused_mremap_leaves_the_account_as_it_was)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "refused_moves", NULL};
        const char *environment[] = {"TRACEMALLOCD_DOMAINS=malloc,mmap", traced_ways[_i], NULL};
        traced_run(&traced, argv, environment);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        /* the 10 pages, and what is left of them after the one that succeeds */
        ck_assert_uint_eq(traced.images[0]->count[RECORD_MAP], 2);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_UNMAP], 2);
        traced_close(&traced);
}
END_TEST

START_TEST(tight_limits_leave_the_program_alone)
{
        static const char *const limits[] = {"as", "fsize", "nofile"};
        for (size_t i = 0; i < 3; i++) {
                struct traced traced;
                const char *argv[] = {getenv("SUBJECT"), "limits", limits[i], NULL};
                const char *environment[] = {_i ? traced_ways[1] : "TRACEMALLOCD_TRANSPORT=auto", NULL};
                traced_run(&traced, argv, environment);
                ck_assert_msg(traced.status == 0, "%s: %d", limits[i], traced.status);
                ck_assert_str_eq(traced.output, "");
                if (i < 2)
                        ck_assert_uint_eq(traced.n_images, 2);
                traced_close(&traced);
        }
}
END_TEST

START_TEST(off_and_childless_processes_are_not_traced)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "fork_child", NULL};
        const char *shell[] = {"sh", "-c", "echo $(echo a); $SUBJECT kinds; exec $SUBJECT exit_by_exit", NULL};
        const char *off[] = {"TRACEMALLOCD_OFF=1", traced_ways[_i], NULL};
        const char *childless[] = {"TRACEMALLOCD_CHILDREN=0", traced_ways[_i], NULL};
        char pid[64];
        const char *of_another[] = {"TRACEMALLOCD_CHILDREN=0", pid, traced_ways[_i], NULL};
        traced_run(&traced, argv, off);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 0);
        traced_close(&traced);

        traced_run(&traced, argv, childless);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 1);
        traced_close(&traced);

        snprintf(pid, sizeof pid, "TRACEMALLOCD_PID=%d", (int)getpid()); /* not the shell's */
        traced_run(&traced, shell, of_another);
        ck_assert_int_eq(traced.status, 3);
        ck_assert_uint_eq(traced.n_images, 0);
        traced_close(&traced);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("agent");
        TCase *both = check_case("both ways");
#define IN_BOTH(test) tcase_add_loop_test(both, test, 0, 2)
        IN_BOTH(every_allocation_function_is_recorded_with_the_size_asked_for);
        IN_BOTH(a_program_that_never_allocates_is_known);
        IN_BOTH(failed_and_empty_reallocs_leave_nothing);
        IN_BOTH(threads_that_free_all_they_took_leave_only_their_stacks);
        IN_BOTH(cxx_operators_count_once);
        IN_BOTH(cxx_operators_record_the_size_asked_for);
        IN_BOTH(bad_alloc_out_of_operator_new_loses_no_event);
        IN_BOTH(exceptions_are_allocated_and_freed);
        IN_BOTH(signal_handlers_have_whole_stacks);
        IN_BOTH(longjmp_out_of_handlers_leaves_the_agent_working);
        IN_BOTH(coroutines_are_recorded);
        IN_BOTH(a_module_at_the_address_of_another_has_its_own_generation);
        IN_BOTH(a_module_is_unmapped_while_others_look_for_it);
        IN_BOTH(closing_all_descriptors_is_survived);
        IN_BOTH(deep_stacks_are_cut_and_say_so);
        IN_BOTH(domain_mmap_is_recorded_on_request);
        IN_BOTH(a_refused_mremap_leaves_the_account_as_it_was);
        IN_BOTH(tight_limits_leave_the_program_alone);
        IN_BOTH(off_and_childless_processes_are_not_traced);
        suite_add_tcase(suite, both);
        return check_run(suite);
}
