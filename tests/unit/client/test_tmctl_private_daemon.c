/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl without a daemon: it starts the real one. */

#include "tests/unit/client/tmctl_shell.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t private_daemon;

static void setup_private(void) {
        char path[128];
        shell_make_dir();
        unsetenv("TRACEMALLOCD_RUNTIME_DIR");
        unsetenv("TRACEMALLOCD_STATE_DIR"); /* of who runs the test */
        snprintf(path, sizeof path, "%s/run", shell_dir);
        mkdir(path, 0700);
        setenv("XDG_RUNTIME_DIR", path, 1);
        snprintf(path, sizeof path, "%s/state", shell_dir);
        setenv("XDG_STATE_HOME", path, 1);
        private_daemon = 0;
        ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* so that it can be waited for */
}

/* Read its pid from what tmctl says. */
static void note_private_daemon(void) {
        has(shell_err, "started a private one in ");
        ck_assert_int_eq(sscanf(strstr(shell_err, "(pid "), "(pid %d)", &private_daemon), 1);
}

/* Until it is gone it may be making files. */
static void end_private_daemon(void) {
        kill(private_daemon, SIGKILL);
        ck_assert_int_eq(waitpid(private_daemon, NULL, 0), private_daemon);
}

static void teardown_private(void) {
        if (private_daemon > 0)
                end_private_daemon();
        shell_remove_dir();
}

START_TEST(a_private_daemon_is_started_once_and_said)
{
        ck_assert_int_eq(sh("$T list --user"), 0);
        note_private_daemon();
        has(shell_out, "No snapshots");
        ck_assert_int_eq(sh("$T list --user"), 0);
        ck_assert_str_eq(shell_err, "");
        ck_assert_int_eq(sh("$T list --user --state-dir /elsewhere"), 0);
        has(shell_err, "--state-dir has no effect");
}
END_TEST

START_TEST(clients_that_come_at_once_share_one)
{
        ck_assert_int_eq(sh("for i in 1 2 3 4; do $T list --user & done; wait"), 0);
        note_private_daemon();
        ck_assert_ptr_null(strstr(strstr(shell_err, "started a private one") + 1, "started a private one"));
}
END_TEST

START_TEST(a_private_daemon_has_nothing_of_its_starter)
{
        char command[256];
        ck_assert_int_eq(sh("cd /tmp; exec 7</etc/passwd; LD_PRELOAD=" HARMLESS_AGENT
                            " TRACEMALLOCD_FRAMES=3 NOTIFY_SOCKET=/x $T list --user"),
                         0);
        note_private_daemon();
        snprintf(command, sizeof command, "tr '\\0' '\\n' </proc/%d/environ", private_daemon);
        ck_assert_int_eq(sh("%s", command), 0);
        has(shell_out, "XDG_RUNTIME_DIR=");
        ck_assert_ptr_null(strstr(shell_out, "LD_PRELOAD"));
        ck_assert_ptr_null(strstr(shell_out, "TRACEMALLOCD_"));
        ck_assert_ptr_null(strstr(shell_out, "NOTIFY_SOCKET"));
        ck_assert_int_eq(getsid(private_daemon), private_daemon);
        ck_assert_int_eq(sh("cd /proc/%d && [ $(readlink cwd) = / ] && [ $(readlink fd/0) = /dev/null ] && "
                            "readlink fd/2 && ! readlink fd/* | grep passwd",
                            private_daemon),
                         0);
        has(shell_out, "/state/tracemallocd/tracemallocd.log\n");
}
END_TEST

START_TEST(a_directory_that_others_may_write_to_is_not_used)
{
        ck_assert_int_eq(sh("mkdir %s/run/tracemallocd && chmod 777 %s/run/tracemallocd && $T list --user", shell_dir,
                            shell_dir),
                         4);
        has(shell_err, "others may write to it");
}
END_TEST

START_TEST(a_daemon_that_cannot_start_is_said_with_its_log)
{
        ck_assert_int_eq(
                sh("mkdir -p %s/state/tracemallocd && echo nonsense >%s/state/tracemallocd/snapshots.db && "
                   "mkdir -p %s/run/tracemallocd/control.sock && chmod -R go= %s/run %s/state && $T list --user",
                   shell_dir, shell_dir, shell_dir, shell_dir, shell_dir),
                4);
        ck_assert_msg(strchr(shell_err, '\n') == shell_err + strlen(shell_err) - 1, "%s", shell_err);
}
END_TEST

START_TEST(commands_that_name_their_daemon_start_none)
{
        ck_assert_int_eq(sh("$T list --runtime-dir %s/run", shell_dir), 4);
        ck_assert_int_eq(sh("TRACEMALLOCD_RUNTIME_DIR=%s/run $T list", shell_dir), 4);
        ck_assert_int_eq(sh("ls %s/run", shell_dir), 0);
        ck_assert_str_eq(shell_out, "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tmctl_private_daemon");
        TCase *tc = check_case("tmctl_private_daemon");
        tcase_add_checked_fixture(tc, setup_private, teardown_private);
        tcase_add_test(tc, a_private_daemon_is_started_once_and_said);
        tcase_add_test(tc, clients_that_come_at_once_share_one);
        tcase_add_test(tc, a_private_daemon_has_nothing_of_its_starter);
        tcase_add_test(tc, a_directory_that_others_may_write_to_is_not_used);
        tcase_add_test(tc, a_daemon_that_cannot_start_is_said_with_its_log);
        tcase_add_test(tc, commands_that_name_their_daemon_start_none);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
