/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole agent on a program whose allocations are known, in both ways of
 * streaming. Numbers are differences to the case that does nothing.
 */

#include "proto/record.h"
#include "proto/ring.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/traced.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ways[] = {"TRACEMALLOCD_TRANSPORT=ring", "TRACEMALLOCD_TRANSPORT=socket"};

static void run_subject(struct traced *traced, const char *program, const char *name, const char *environment) {
        const char *argv[] = {getenv(program), name, getenv("PLUGIN2"), getenv("PLUGIN3"), NULL};
        const char *environ_[] = {environment, NULL};
        traced_run(traced, argv, environ_);
        ck_assert_uint_ge(traced->n_images, 1);
        for (size_t i = 0; i < traced->n_images; i++) {
                ck_assert_uint_eq(traced->images[i]->bad_records, 0);
                ck_assert_uint_eq(traced->images[i]->unknown_moves, 0);
                ck_assert_uint_eq(traced->images[i]->lost, 0);
                ck_assert_uint_eq(traced->images[i]->lost_events, 0);
        }
}

/* What one image of a case did beyond what a program does anyway. */
struct difference {
        int64_t live, live_bytes, allocs, frees, move_ins, move_backs, empty, complete;
};

static struct difference difference(const struct fake_image *image, const char *program, const char *environment) {
        struct traced base;
        struct difference d;
        const struct fake_image *plain;
        run_subject(&base, program, "nothing", environment);
        ck_assert_int_eq(base.status, 0);
        plain = base.images[0];
        d = (struct difference){
                .live = (int64_t)(image->live_count - plain->live_count),
                .live_bytes = (int64_t)(image->live_bytes - plain->live_bytes),
                .allocs = (int64_t)(image->count[RECORD_ALLOC] - plain->count[RECORD_ALLOC]),
                .frees = (int64_t)(image->count[RECORD_FREE] - plain->count[RECORD_FREE]),
                .move_ins = (int64_t)(image->count[RECORD_MOVE_IN] - plain->count[RECORD_MOVE_IN]),
                .move_backs = (int64_t)(image->count[RECORD_MOVE_BACK] - plain->count[RECORD_MOVE_BACK]),
                .empty = (int64_t)(image->empty_tracebacks - plain->empty_tracebacks),
                .complete = (int64_t)(image->complete_tracebacks - plain->complete_tracebacks),
        };
        traced_close(&base);
        return d;
}

static struct difference run_case(const char *program, const char *name, const char *environment, int status) {
        struct traced traced;
        struct difference d;
        run_subject(&traced, program, name, environment);
        ck_assert_msg(traced.status == status, "%s: status %d, output: %s", name, traced.status, traced.output);
        d = difference(traced.images[0], program, environment);
        ck_assert_int_eq(d.empty, 0);
        ck_assert_int_eq((int64_t)traced.images[0]->unknown_frees, 0);
        traced_close(&traced);
        return d;
}

START_TEST(every_allocation_function_is_recorded_with_the_size_asked_for)
{
        struct difference d = run_case("SUBJECT", "kinds", ways[_i], 0);
        ck_assert_int_eq(d.live, 10);
        ck_assert_int_eq(d.allocs, 10);
        ck_assert_int_eq(d.live_bytes, 1 + 15 + 7 + 21 + 100 + 128 + 11 + 13 + 17 + 0);
        ck_assert_int_eq(d.complete, 10);
}
END_TEST

/* Debian's true allocates nothing. */
START_TEST(a_program_that_never_allocates_is_known)
{
        const char *argv[] = {"/bin/true", NULL}, *environment[] = {ways[_i], NULL};
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
        struct difference d = run_case("SUBJECT", "failures", ways[_i], 0);
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
        struct difference d = run_case("SUBJECT", "threads", ways[_i], 0);
        ck_assert_int_ge(d.allocs, 32 * 5000);
        ck_assert_int_le(d.live, 8); /* dynamic thread vectors of cached stacks */
}
END_TEST

START_TEST(cxx_operators_count_once)
{
        struct difference d = run_case("SUBJECT_CXX", "pairs", ways[_i], 0);
        ck_assert_int_eq(d.live, 0);
        ck_assert_int_eq(d.allocs, 12);
        ck_assert_int_eq(d.frees, 12);
}
END_TEST

START_TEST(cxx_operators_record_the_size_asked_for)
{
        struct difference d = run_case("SUBJECT_CXX", "leaks", ways[_i], 0);
        ck_assert_int_eq(d.live, 5);
        ck_assert_int_eq(d.live_bytes, 1 + 33 + 128 + 256 + 0);
}
END_TEST

START_TEST(bad_alloc_out_of_operator_new_loses_no_event)
{
        struct difference d = run_case("SUBJECT_CXX", "no_memory", ways[_i], 0);
        ck_assert_int_ge(d.live, 100);
        ck_assert_int_le(d.live, 102); /* the emergency pool of exceptions, stdout */
}
END_TEST

START_TEST(exceptions_are_allocated_and_freed)
{
        struct difference d = run_case("SUBJECT_CXX", "exceptions", ways[_i], 0);
        ck_assert_int_ge(d.live, 1000);
        ck_assert_int_le(d.live, 1002);
        ck_assert_int_ge(d.allocs, 2000);
}
END_TEST

START_TEST(fork_child_begins_with_the_parents_table)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "fork_child", ways[_i]);
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
        ck_assert_int_eq(difference(traced.images[0], "SUBJECT", ways[_i]).live, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(bare_forks_child_is_noticed)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "bare_fork", ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        ck_assert_uint_eq(traced.n_images, 2);
        ck_assert_uint_eq(traced.images[1]->kind, 1);
        ck_assert_uint_eq(traced.images[1]->fork_token, 0);
        ck_assert_int_eq(traced.images[1]->exit_status, 13);
        ck_assert_int_eq(difference(traced.images[0], "SUBJECT", ways[_i]).live, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(grandchildren_of_a_silent_child_begin_with_the_grandparents_table)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "fork_twice", ways[_i]);
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
        struct difference d;
        run_subject(&traced, "SUBJECT", "vfork_child", ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        const struct fake_image *parent = traced.images[0];
        ck_assert_uint_eq(parent->count[RECORD_EXEC], 0);
        ck_assert_uint_eq(parent->count[RECORD_EXIT], 1);
        ck_assert_int_eq(parent->exit_status, 0);
        ck_assert_uint_eq(traced.n_images, 2); /* and /bin/true */
        ck_assert_str_eq(traced.images[1]->name, "subject");
        d = difference(parent, "SUBJECT", ways[_i]);
        ck_assert_int_eq(d.live, 2);
        ck_assert_int_eq(d.live_bytes, 30);
        traced_close(&traced);
}
END_TEST

START_TEST(vfork_child_does_not_greet)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "vfork_first", ways[_i]);
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
        const char *environment[] = {"TRACEMALLOCD_RING_SIZE=65536", ways[_i], NULL};

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
        run_subject(&traced, "SUBJECT", "exec_back", ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_EXEC], 3);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_EXEC_BACK], 3);
        ck_assert_int_eq(difference(traced.images[0], "SUBJECT", ways[_i]).live, 1);
        traced_close(&traced);
}
END_TEST

START_TEST(all_forms_of_exec_pass_their_arguments)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "exec_forms", ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        traced_close(&traced);
}
END_TEST

START_TEST(exec_begins_a_new_image)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "exec_self", ways[_i]);
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
                run_subject(&traced, "SUBJECT", cases[i].name, ways[_i]);
                ck_assert_int_eq(traced.status, cases[i].status);
                ck_assert_int_eq(traced.images[0]->exit_status, cases[i].told);
                /* the ring outlives a kill; what was not sent dies with the process */
                if (cases[i].told == -1 && _i == 0)
                        ck_assert_int_eq(difference(traced.images[0], "SUBJECT", ways[0]).live, 1);
                traced_close(&traced);
        }
}
END_TEST

START_TEST(signal_handlers_have_whole_stacks)
{
        struct difference d = run_case("SUBJECT", "handlers", ways[_i], 0);
        ck_assert_int_eq(d.live, 2);
        ck_assert_int_eq(d.complete, 2);
}
END_TEST

START_TEST(longjmp_out_of_handlers_leaves_the_agent_working)
{
        struct difference d = run_case("SUBJECT", "longjmps", ways[_i], 0);
        ck_assert_int_eq(d.live, 2000);
}
END_TEST

START_TEST(coroutines_are_recorded)
{ ck_assert_int_eq(run_case("SUBJECT", "coroutine", ways[_i], 0).live, 1); }
END_TEST

START_TEST(a_module_at_the_address_of_another_has_its_own_generation)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "plugins", ways[_i]);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_MODULE_UNLOAD], 6);
        ck_assert_uint_eq(traced.images[0]->empty_tracebacks, 0);
        traced_close(&traced);
}
END_TEST

START_TEST(closing_all_descriptors_is_survived)
{
        struct traced traced;
        run_subject(&traced, "SUBJECT", "close_all", ways[_i]);
        ck_assert_int_eq(traced.status, 0);
        if (_i == 0)
                ck_assert_int_eq(difference(traced.images[0], "SUBJECT", ways[0]).live, 1000);
        traced_close(&traced);
}
END_TEST

START_TEST(deep_stacks_are_cut_and_say_so)
{
        struct traced traced, base;
        run_subject(&traced, "SUBJECT", "recursion", ways[_i]);
        run_subject(&base, "SUBJECT", "nothing", ways[_i]);
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
        const char *environment[] = {"TRACEMALLOCD_DOMAINS=malloc,mmap", ways[_i], NULL};
        traced_run(&traced, argv, environment);
        ck_assert_msg(traced.status == 0, "%d %s", traced.status, traced.output);
        ck_assert_uint_eq(traced.images[0]->mmap_bytes, 9 * 4096 + 5 * 4096);
        ck_assert_uint_eq(traced.images[0]->bad_records, 0);
        traced_close(&traced);
        run_subject(&traced, "SUBJECT", "mappings", ways[_i]);
        ck_assert_uint_eq(traced.images[0]->count[RECORD_MAP], 0);
        traced_close(&traced);
}
END_TEST

START_TEST(a_refused_mremap_leaves_the_account_as_it_was)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "refused_moves", NULL};
        const char *environment[] = {"TRACEMALLOCD_DOMAINS=malloc,mmap", ways[_i], NULL};
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
                const char *environment[] = {_i ? ways[1] : "TRACEMALLOCD_TRANSPORT=auto", NULL};
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
        const char *off[] = {"TRACEMALLOCD_OFF=1", ways[_i], NULL};
        const char *childless[] = {"TRACEMALLOCD_CHILDREN=0", ways[_i], NULL};
        char pid[64];
        const char *of_another[] = {"TRACEMALLOCD_CHILDREN=0", pid, ways[_i], NULL};
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
{ ends_as_untraced("many", ways[_i], NULL); }
END_TEST

START_TEST(a_daemon_that_refuses_is_no_daemon)
{ ends_as_untraced("kinds", ways[_i], &(struct fake_daemon_options){.refuse = true}); }
END_TEST

/* Its successor may know the ring: nothing is missing then. */
START_TEST(a_daemon_that_dies_while_it_is_greeted_has_a_successor_that_gets_the_same_ring)
{
        struct traced traced;
        const char *argv[] = {getenv("SUBJECT"), "kinds", NULL};
        const char *environment[] = {ways[_i], NULL};
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
        ck_assert_uint_eq(traced->images[0]->bad_records, 0);
        ck_assert_int_eq(traced->images[0]->exit_status, 0);
        traced_close(traced);
}

/* _i: whether the greetings are not answered at all. The program has not ended when it greets anew, so it went on; and
 * it does that with another ring, since nobody knows whether the first one is read. Both ways at once: it takes
 * seconds. */
START_TEST(a_greeting_without_an_answer_is_given_up_and_tried_anew_later)
{
        static const struct fake_daemon_options options[] = {{.hang_ups = 3}, {.silences = 1}};
        struct traced traced[2];
        const char *argv[] = {getenv("SUBJECT"), "until_eof", NULL};
        for (size_t way = 0; way < 2; way++) {
                const char *environment[] = {ways[way], NULL};
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
        const char *environment[] = {ways[_i], NULL};
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
        const char *environment[] = {ways[_i % 2], "TRACEMALLOCD_RING_SIZE=65536", NULL};
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
        const char *environment[] = {"TRACEMALLOCD_RING_SIZE=65536", ways[_i], NULL};
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
        Suite *suite = suite_create("agent");
        TCase *both = check_case("both ways"), *once = check_case("one way");
#define IN_BOTH(test) tcase_add_loop_test(both, test, 0, 2)
        IN_BOTH(every_allocation_function_is_recorded_with_the_size_asked_for);
        IN_BOTH(a_program_that_never_allocates_is_known);
        IN_BOTH(failed_and_empty_reallocs_leave_nothing);
        IN_BOTH(threads_that_free_all_they_took_leave_only_their_stacks);
        IN_BOTH(cxx_operators_count_once);
        IN_BOTH(cxx_operators_record_the_size_asked_for);
        IN_BOTH(bad_alloc_out_of_operator_new_loses_no_event);
        IN_BOTH(exceptions_are_allocated_and_freed);
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
        IN_BOTH(signal_handlers_have_whole_stacks);
        IN_BOTH(longjmp_out_of_handlers_leaves_the_agent_working);
        IN_BOTH(coroutines_are_recorded);
        IN_BOTH(a_module_at_the_address_of_another_has_its_own_generation);
        IN_BOTH(closing_all_descriptors_is_survived);
        IN_BOTH(deep_stacks_are_cut_and_say_so);
        IN_BOTH(domain_mmap_is_recorded_on_request);
        IN_BOTH(a_refused_mremap_leaves_the_account_as_it_was);
        IN_BOTH(tight_limits_leave_the_program_alone);
        IN_BOTH(off_and_childless_processes_are_not_traced);
        IN_BOTH(without_a_daemon_nothing_changes);
        IN_BOTH(a_daemon_that_refuses_is_no_daemon);
        IN_BOTH(a_daemon_that_dies_while_it_is_greeted_has_a_successor_that_gets_the_same_ring);
        tcase_add_loop_test(once, a_greeting_without_an_answer_is_given_up_and_tried_anew_later, 0, 2);
        IN_BOTH(a_daemon_that_comes_late_is_found);
        tcase_add_loop_test(both, the_next_daemon_gets_a_new_epoch, 0, 4);
        IN_BOTH(small_rings_lose_nothing);
        tcase_add_test(once, a_full_ring_costs_bounded_time_and_counted_records);
        suite_add_tcase(suite, both);
        suite_add_tcase(suite, once);
        return check_run(suite);
}
