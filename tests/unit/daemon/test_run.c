/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "daemon/process.h"
#include "daemon/run.h"
#include "daemon/store/pins.h"
#include "daemon/store/store.h"
#include "tests/support/check_main.h"

#include <stdatomic.h>

#define TMCTL   50 /* the client's pid; its command's is one more */
#define COMMAND (TMCTL + 1)
#define CHILD   (TMCTL + 2)

static struct daemon d;
static struct run *run;
static unsigned n_changes;

/* ---- what run.c meets here instead of processes that live ---- */

static pid_t dead; /* whose end the loop has not come to */
static struct feed_gauges gauges;

void process_notice_end(struct process *p) {
        if (p->proc.pid == dead)
                p->state = PROCESS_ENDING;
}

const struct feed_gauges *feed_gauges(const struct feed *feed) {
        return &gauges;
}

static struct pins pins;

void store_pin(struct store *store, const int64_t *ids, size_t n_ids) {
        for (size_t i = 0; i < n_ids; i++)
                pins_add(&pins, ids[i]);
}

static struct process *add(pid_t pid, pid_t ppid) {
        struct process *p = calloc(1, sizeof *p);
        *p = (struct process){.daemon = &d, .proc = {.pid = pid, .ppid = ppid}, .run = run, .next = d.processes};
        p->name = (char *)"name";
        p->exe = (char *)"/exe";
        d.processes = p;
        run_add(run, p);
        return p;
}

/* As process.c does when the last snapshots are stored. */
static void end(struct process *p) {
        p->state = PROCESS_LINGERING;
        p->run = NULL;
        run_remove(run, p);
}

static void on_changed(void *data) {
        n_changes++;
}

static void abandon(void *data) {
        run_abandon(data);
}

static void begin(void) {
        const struct credentials client = {.pid = TMCTL, .uid = 1000};
        ck_assert_int_eq(run_new(&d, &client, "label", 5, &run), 0);
        run->changed = on_changed;
}

START_TEST(a_living_command_is_due)
{
        begin();
        struct process *command = add(COMMAND, TMCTL);
        ck_assert_int_eq(run->command, COMMAND);
        ck_assert(run_is_due(run));
        command->state = PROCESS_ENDING;
        ck_assert(run_is_due(run));
        end(command);
        ck_assert(!run_is_due(run));
        ck_assert_uint_eq(n_changes, 1);
}
END_TEST

START_TEST(a_child_that_lives_is_not_due)
{
        begin();
        struct process *command = add(COMMAND, TMCTL);
        add(CHILD, COMMAND);
        end(command);
        ck_assert(!run_is_due(run));
}
END_TEST

START_TEST(a_dead_child_is_due_before_the_loop_has_seen_its_end)
{
        begin();
        struct process *command = add(COMMAND, TMCTL), *child = add(CHILD, COMMAND);
        end(command);
        dead = CHILD;
        ck_assert(run_is_due(run));
        ck_assert_int_eq(child->state, PROCESS_ENDING);
        end(child);
        ck_assert(!run_is_due(run));
        ck_assert_uint_eq(run->n_processes, 0);
}
END_TEST

START_TEST(nobody_is_due_for_another_run)
{
        begin();
        add(COMMAND, TMCTL)->state = PROCESS_ENDING;
        begin();
        ck_assert(!run_is_due(run));
}
END_TEST

START_TEST(a_run_is_found_by_its_own_user_alone)
{
        begin();
        ck_assert_ptr_eq(run_find(&d, 1000, run->token, RUN_TOKEN_BYTES), run);
        ck_assert_ptr_null(run_find(&d, 1001, run->token, RUN_TOKEN_BYTES));
        ck_assert_ptr_null(run_find(&d, 0, run->token, RUN_TOKEN_BYTES));
        ck_assert_ptr_null(run_find(&d, 1000, run->token, RUN_TOKEN_BYTES - 1));
        ck_assert_ptr_null(run_find(&d, 1000, "0123456789abcdef", RUN_TOKEN_BYTES));
}
END_TEST

START_TEST(the_command_and_its_five_largest_children_are_kept)
{
        begin();
        end(add(COMMAND, TMCTL));
        for (uint64_t size = 1; size <= 9; size++) {
                atomic_store(&gauges.peak_size, size % 2 ? size : 100 + size);
                end(add((pid_t)(CHILD + size), COMMAND));
        }
        ck_assert_uint_eq(run->n_results, RUN_RESULTS_KEPT);
        ck_assert_uint_eq(run->results[0].pid, COMMAND);
        const uint64_t largest[] = {108, 106, 104, 102, 9};
        for (size_t i = 0; i < 5; i++)
                ck_assert_uint_eq(run->results[i + 1].gauges.peak_size, largest[i]);
        ck_assert_uint_eq(run->n_ended, 10);
}
END_TEST

START_TEST(what_shells_are_between_fork_and_exec_is_no_child_of_the_summary)
{
        begin();
        end(add(COMMAND, TMCTL));
        struct process *between = add(CHILD, COMMAND);
        between->interlude = true;
        end(between);
        ck_assert_uint_eq(run->n_results, 1);
        ck_assert_uint_eq(run->n_ended, 1);
        ck_assert_uint_eq(run->n_processes, 0);
}
END_TEST

START_TEST(what_the_summary_will_name_stays_pinned_whatever_ends_meanwhile)
{
        begin();
        atomic_store(&gauges.peak_size, 10000);
        for (int64_t i = 1; i <= 2 * PINS_MAX; i++) {
                struct process *child = add(CHILD + (pid_t)i, COMMAND);
                child->peak_snapshot = 2 * i;
                child->exit_snapshot = 2 * i + 1;
                end(child); /* the first is the largest, the others grow */
                atomic_store(&gauges.peak_size, (uint64_t)i);
        }
        for (size_t i = 0; i < run->n_results; i++) {
                ck_assert(pins_has(&pins, run->results[i].peak_snapshot));
                ck_assert(pins_has(&pins, run->results[i].exit_snapshot));
        }
        ck_assert_int_eq(run->results[0].peak_snapshot, 2);
}
END_TEST

START_TEST(the_commands_last_image_stands_first)
{
        begin();
        struct process *first = add(COMMAND, TMCTL), *second = add(COMMAND, TMCTL);
        first->image = 1;
        second->image = 2;
        end(second);
        end(first);
        ck_assert_uint_eq(run->results[0].image, 2);
}
END_TEST

START_TEST(an_abandoned_run_goes_with_its_last_process)
{
        begin();
        struct process *command = add(COMMAND, TMCTL);
        run_abandon(run);
        ck_assert_ptr_eq(d.runs, run);
        end(command);
        ck_assert_ptr_null(d.runs);
}
END_TEST

START_TEST(all_who_wait_are_told_of_the_end_even_where_that_frees_their_runs)
{
        begin();
        struct run *first = run;
        begin();
        run->changed = NULL; /* nobody waits */
        run_tell_all(&d);
        ck_assert_uint_eq(n_changes, 1);
        first->changed = abandon;
        first->data = first;
        run_tell_all(&d);
        ck_assert_ptr_eq(d.runs, run);
        ck_assert_ptr_null(run->next);
}
END_TEST

CHECK_MAIN("daemon/run", a_living_command_is_due, a_child_that_lives_is_not_due,
           a_dead_child_is_due_before_the_loop_has_seen_its_end, nobody_is_due_for_another_run,
           a_run_is_found_by_its_own_user_alone, the_command_and_its_five_largest_children_are_kept,
           what_shells_are_between_fork_and_exec_is_no_child_of_the_summary,
           what_the_summary_will_name_stays_pinned_whatever_ends_meanwhile, the_commands_last_image_stands_first,
           an_abandoned_run_goes_with_its_last_process,
           all_who_wait_are_told_of_the_end_even_where_that_frees_their_runs)
