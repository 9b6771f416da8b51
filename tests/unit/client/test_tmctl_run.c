/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl run and env: the command, its signals and terminal, the summary. */

#include "tests/unit/client/tmctl_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(run_passes_the_status_on)
{
        ck_assert_int_eq(sh("$T run -- sh -c 'exit 7'"), 7);
        ck_assert_int_eq(sh("$T run -- sh -c 'kill -TERM $$'"), 128 + 15);
        has(shell_err, "ended by signal 15");
        ck_assert_int_eq(sh("$T run -- /nonexistent"), 127);
        ck_assert_int_eq(sh("$T run -- /etc/passwd"), 126);
        ck_assert_int_eq(sh("$T run"), 125);
        ck_assert_int_eq(sh("$T run --frames 0 -- true"), 125);
        ck_assert_int_eq(sh("$T run --runtime-dir /none -- true"), 125);
        ck_assert_int_eq(sh("$T run -- /bin/busybox true"), 125);
        ck_assert_int_eq(sh("$T run --best-effort -- /bin/busybox sh -c 'exit 3'"), 3);
        has(shell_err, "running it untraced");
        ck_assert_int_eq(sh("$T run --best-effort --runtime-dir /none -- sh -c 'exit 4'"), 4);
}
END_TEST

START_TEST(run_sets_the_environment)
{
        ck_assert_int_eq(sh("TRACEMALLOCD_OFF=1 TRACEMALLOCD_PID=1 TRACEMALLOCD_CHILDREN=0 LD_PRELOAD=libc.so.6 "
                            "$T run --frames 5 --domains malloc --label 'a b' -- env"),
                         0);
        has(shell_out, "LD_PRELOAD=" HARMLESS_AGENT ":libc.so.6\n");
        has(shell_out, "TRACEMALLOCD_FRAMES=5\n");
        has(shell_out, "TRACEMALLOCD_DOMAINS=malloc\n");
        has(shell_out, "TRACEMALLOCD_LABEL=a b\n");
        has(shell_out, "TRACEMALLOCD_RUN=ab01\n");
        has(shell_out, shell_dir);
        ck_assert_ptr_null(strstr(shell_out, "TRACEMALLOCD_OFF"));
        ck_assert_ptr_null(strstr(shell_out, "TRACEMALLOCD_PID"));
        ck_assert_ptr_null(strstr(shell_out, "TRACEMALLOCD_CHILDREN"));
        asked("run_begin label=a b exit_snapshot=1 children=1\nrun_wait token=ab01\n");
        ck_assert_int_eq(sh("$T run --no-children --no-exit-snapshot -- sh -c "
                            "'[ $TRACEMALLOCD_PID = $$ ] && [ $TRACEMALLOCD_CHILDREN = 0 ]'"),
                         0);
        asked("run_begin label= exit_snapshot=0 children=0\n");
}
END_TEST

START_TEST(run_leaves_the_standard_streams_alone)
{
        ck_assert_int_eq(sh("echo in | $T run -- sh -c 'cat; echo error >&2'"), 0);
        ck_assert_str_eq(shell_out, "in\n");
        has(shell_err, "error\n");
        ck_assert_int_eq(sh("$T run -- sh -c 'ls /proc/self/fd | wc -l'"), sh("sh -c 'ls /proc/self/fd | wc -l'"));
}
END_TEST

START_TEST(run_gives_no_descriptor_to_the_command)
{
        static char plain[sizeof shell_out];
        ck_assert_int_eq(sh("sh -c 'exec ls /proc/self/fd'"), 0);
        strcpy(plain, shell_out);
        ck_assert_int_eq(sh("$T run -- sh -c 'exec ls /proc/self/fd'"), 0);
        ck_assert_str_eq(shell_out, plain);
}
END_TEST

START_TEST(run_says_what_was_never_freed)
{
        ck_assert_int_eq(sh("$T run -- true"), 0);
        has(shell_err, "tmctl: redis-server (pid ");
        has(shell_err, ", exit status 0\n");
        has(shell_err, "  allocated    512 MiB in 1234567 blocks\n");
        has(shell_err, "  never freed  10.0 KiB in 2 blocks               exit snapshot 17\n");
        has(shell_err, "  peak         100 KiB                            peak snapshot 18\n");
        has(shell_err, "  next         tmctl stats 18 (the peak), tmctl stats 17 (never freed)\n");
        has(shell_err, "  note         what domain 389047 took from malloc is counted in both domains\n");
        has(shell_err, "  running      3 traced children go on; 'tmctl ps' names them\n");
        has(shell_err, "PID  NAME");
        has(shell_err, " 77  caf\\xe9");
        has(shell_err, "exit 0, inexact");
}
END_TEST

/* ^Z reaches both; the shell sees the job stopped, and fg continues both. */
START_TEST(run_stops_and_continues_as_a_job)
{
        ck_assert_int_eq(
                sh_on_terminal("set -m; $T run -- sh -c 'kill -TSTP $$; exit 5'; echo stopped $?; fg; echo ended $?"),
                0);
        has(shell_out, "stopped 148");
        has(shell_out, "ended 5");
        ck_assert_int_eq(
                sh_on_terminal("set -m; $T run -- sh -c 'kill -TSTP 0; exit 5'; echo stopped $?; fg; echo ended $?"),
                0);
        has(shell_out, "stopped 148");
        has(shell_out, "ended 5");
}
END_TEST

/* Where no shell looks after us on the terminal, as below, who continues the command continues it alone. */
START_TEST(run_stops_as_a_job_with_a_command_that_stopped_itself)
{
        ck_assert_int_eq(
                sh_on_terminal("set -m; $T run -- sh -c 'kill -STOP $$; exit 5'; echo stopped $?; fg; echo ended $?"),
                0);
        has(shell_out, "stopped 147");
        has(shell_out, "ended 5");
        static const char by_another[] = "$T run -- sh -c '(until grep -q \"State:.T\" /proc/$$/status; do :; done; "
                                         "kill -CONT $$) & kill -STOP $$; exit 5'; echo ended $?";
        ck_assert_int_eq(sh_on_terminal(by_another), 0);
        has(shell_out, "ended 5");
}
END_TEST

/* bash's "suspend": nobody else could use the terminal. */
START_TEST(run_stops_with_a_shell_that_suspends_itself)
{
        ck_assert_int_eq(sh_on_terminal("set -m; $T run -- bash --norc -ic 'kill -STOP $$; echo went on; exit 5'; "
                                        "echo stopped $?; fg; echo ended $?"),
                         0);
        has(shell_out, "stopped 147");
        has(shell_out, "went on");
        has(shell_out, "ended 5");
}
END_TEST

START_TEST(the_summary_does_not_stand_behind_what_a_key_wrote)
{
        ck_assert_int_eq(sh_on_terminal("printf ^C; exec $T run --color never -- sh -c 'kill -INT $$'"), 130);
        has(shell_out, "^C\r\ntmctl: ");
        ck_assert_int_eq(sh_on_terminal("printf ^C; exec $T run --color never -- sh -c 'exit 3'"), 3);
        has(shell_out, "^Ctmctl: ");
}
END_TEST

/* A stopped command is what its sender wants; without a shell nobody would continue tmctl. */
START_TEST(run_does_not_stop_with_a_command_that_was_stopped)
{
        ck_assert_int_eq(sh("mkfifo %s/go; $T run -- sh -c 'echo $$ >%s/go; kill -STOP $$; exit 4' & read p <%s/go; "
                            "until grep -q 'State:.T' /proc/$p/status; do :; done; kill -CONT $p; wait $!",
                            shell_dir, shell_dir, shell_dir),
                         4);
}
END_TEST

START_TEST(run_hands_signals_on)
{
        ck_assert_int_eq(
                sh("mkfifo %s/go; $T run -- sh -c 'trap \"exit 9\" USR1; echo >%s/go; while :; do sleep 0.1; done' & "
                   "read _ <%s/go; kill -INT $!; kill -USR1 $!; wait $!",
                   shell_dir, shell_dir, shell_dir),
                9);
}
END_TEST

START_TEST(run_keeps_ignored_signals_ignored)
{ ck_assert_int_eq(sh("(trap '' HUP; $T run -- sh -c 'kill -HUP $PPID; kill -HUP $$; exit 6')"), 6); }
END_TEST

START_TEST(env_prints_what_run_sets)
{
        ck_assert_int_eq(sh("$T env --label x"), 0);
        has(shell_out, "LD_PRELOAD=" HARMLESS_AGENT "\nTRACEMALLOCD_RUNTIME_DIR=");
        has(shell_out, "\nTRACEMALLOCD_FRAMES=64\nTRACEMALLOCD_DOMAINS=python,malloc\nTRACEMALLOCD_LABEL=x\n");
        ck_assert_int_eq(sh("env $($T env) sh -c 'echo $TRACEMALLOCD_FRAMES'"), 0);
        ck_assert_str_eq(shell_out, "64\n");
        ck_assert_int_eq(sh("$T env --container"), 0);
        has(shell_out, "--volume=" HARMLESS_AGENT ":" HARMLESS_AGENT ":ro\n--env=LD_PRELOAD=");
        ck_assert_int_eq(sh("$T env --container --json --label 'a b' | python3 -c 'import json, sys; "
                            "print(\"--env=TRACEMALLOCD_LABEL=a b\" in json.load(sys.stdin))'"),
                         0);
        ck_assert_str_eq(shell_out, "True\n");
        ck_assert_int_eq(
                sh("$T env --label \"it's\" && eval \"$($T env --label \"it's\")\" && echo $TRACEMALLOCD_LABEL"), 0);
        has(shell_out, "\nit's\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tmctl_run");
        TCase *tc = check_case("tmctl_run");
        tcase_add_checked_fixture(tc, shell_setup, shell_teardown);
        tcase_add_test(tc, run_passes_the_status_on);
        tcase_add_test(tc, run_sets_the_environment);
        tcase_add_test(tc, run_leaves_the_standard_streams_alone);
        tcase_add_test(tc, run_gives_no_descriptor_to_the_command);
        tcase_add_test(tc, run_says_what_was_never_freed);
        tcase_add_test(tc, run_stops_and_continues_as_a_job);
        tcase_add_test(tc, run_stops_as_a_job_with_a_command_that_stopped_itself);
        tcase_add_test(tc, run_stops_with_a_shell_that_suspends_itself);
        tcase_add_test(tc, the_summary_does_not_stand_behind_what_a_key_wrote);
        tcase_add_test(tc, run_does_not_stop_with_a_command_that_was_stopped);
        tcase_add_test(tc, run_hands_signals_on);
        tcase_add_test(tc, run_keeps_ignored_signals_ignored);
        tcase_add_test(tc, env_prints_what_run_sets);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
