/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "daemon/process.h"
#include "daemon/process_forks.h"
#include "tests/support/check_main.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct daemon d;
static struct process parent;
static uint32_t dropped; /* the token, 0: none yet */
static unsigned n_dropped;

/* ---- what process_forks.c meets here instead of a feed ---- */

void feed_drop_fork(struct feed *feed, uint32_t token) {
        dropped = token;
        n_dropped++;
}

static void begin(void) {
        parent = (struct process){.daemon = &d, .proc = {.pid = getpid(), .ns_pid = getpid()}};
        d.processes = &parent;
        dropped = n_dropped = 0;
}

static void end(void) {
        free(parent.forks);
}

static pid_t start_child(void) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                pause();
                _exit(0);
        }
        return pid;
}

static void end_child(pid_t pid) {
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(fork_that_failed_is_let_go_of)
{
        process_forks_note(&parent, 7, 0);
        ck_assert_uint_eq(dropped, 7);
        ck_assert_uint_eq(parent.n_forks, 0);
}
END_TEST

START_TEST(child_that_is_gone_when_its_fork_is_heard_of_is_let_go_of_at_once)
{
        pid_t pid = start_child();
        end_child(pid);
        process_forks_note(&parent, 7, pid);
        ck_assert_uint_eq(dropped, 7);
        ck_assert_uint_eq(parent.n_forks, 0);
}
END_TEST

START_TEST(living_child_is_waited_for_until_it_is_gone)
{
        pid_t pid = start_child();
        process_forks_note(&parent, 7, pid);
        process_forks_sweep(&parent);
        ck_assert_uint_eq(n_dropped, 0);
        ck_assert_uint_eq(parent.n_forks, 1);
        end_child(pid);
        process_forks_sweep(&parent);
        ck_assert_uint_eq(dropped, 7);
        ck_assert_uint_eq(parent.n_forks, 0);
}
END_TEST

START_TEST(child_that_claims_its_table_is_settled_and_one_that_does_not_lets_it_go)
{
        pid_t claims = start_child(), execs = start_child();
        process_forks_note(&parent, 7, claims);
        process_forks_note(&parent, 8, execs);
        process_forks_settle(&d, claims, 7);
        ck_assert_uint_eq(n_dropped, 0);
        ck_assert_uint_eq(parent.n_forks, 1);
        process_forks_settle(&d, execs, 0);
        ck_assert_uint_eq(dropped, 8);
        ck_assert_uint_eq(parent.n_forks, 0);
        end_child(claims);
        end_child(execs);
}
END_TEST

START_TEST(pid_of_another_namespace_says_nothing_of_its_child)
{
        parent.proc.ns_pid = 1;
        process_forks_note(&parent, 7, 2147483647); /* nobody's: PID_MAX_LIMIT is 2^22 */
        ck_assert_uint_eq(n_dropped, 0);
        ck_assert_uint_eq(parent.n_forks, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("daemon/process_forks");
        TCase *tcase = check_case("forks");
        tcase_add_checked_fixture(tcase, begin, end);
        tcase_add_test(tcase, fork_that_failed_is_let_go_of);
        tcase_add_test(tcase, child_that_is_gone_when_its_fork_is_heard_of_is_let_go_of_at_once);
        tcase_add_test(tcase, living_child_is_waited_for_until_it_is_gone);
        tcase_add_test(tcase, child_that_claims_its_table_is_settled_and_one_that_does_not_lets_it_go);
        tcase_add_test(tcase, pid_of_another_namespace_says_nothing_of_its_child);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
