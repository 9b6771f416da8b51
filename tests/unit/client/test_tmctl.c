/* SPDX-License-Identifier: Apache-2.0 */

/* The whole of tmctl ($TMCTL) against a control server with canned answers. */

#include "tests/unit/client/canned_server.h"
#include "tests/support/check_main.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Something that can be preloaded and does nothing there. */
#define HARMLESS_AGENT "/lib/x86_64-linux-gnu/libm.so.6"

static char dir[] = "/tmp/test_tmctl.XXXXXX";
static pid_t canned_server;
static char out[65536], err[65536];

static void setup(void) {
        strcpy(dir, "/tmp/test_tmctl.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        canned_server = canned_server_start(dir, HARMLESS_AGENT);
        setenv("TRACEMALLOCD_RUNTIME_DIR", dir, 1);
        setenv("TZ", "UTC0", 1);
        unsetenv("NO_COLOR");
        unsetenv("COLUMNS");
}

static void teardown(void) {
        char command[128];
        canned_server_stop(canned_server);
        snprintf(command, sizeof command, "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

static void slurp(const char *name, char *text) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, name);
        FILE *f = fopen(path, "r");
        ck_assert_ptr_nonnull(f);
        text[fread(text, 1, sizeof out - 1, f)] = '\0';
        fclose(f);
}

/* A shell line in which $T is tmctl. Return: its exit status; out and err hold what it wrote. */
static int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int sh(const char *format, ...) {
        char line[2048], command[4096];
        va_list ap;
        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        snprintf(command, sizeof command, "T=$TMCTL; { %s\n} >%s/out 2>%s/err", line, dir, dir);
        int status = system(command);
        slurp("out", out);
        slurp("err", err);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* The same on a terminal of 56 columns; out holds what it showed. */
static int sh_on_terminal(const char *line) {
        struct winsize size = {.ws_row = 24, .ws_col = 56};
        int terminal, status;
        pid_t pid = forkpty(&terminal, NULL, NULL, &size);
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                setenv("T", getenv("TMCTL"), 1);
                setenv("TERM", "xterm", 1);
                execl("/bin/sh", "sh", "-c", line, NULL);
                _exit(127);
        }
        size_t length = 0;
        for (ssize_t n; (n = read(terminal, out + length, sizeof out - 1 - length)) > 0;)
                length += (size_t)n;
        out[length] = '\0';
        close(terminal);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WEXITSTATUS(status);
}

static void has(const char *text, const char *part) {
        ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

static void asked(const char *line) {
        static char requests[65536];
        slurp("requests", requests);
        has(requests, line);
}

START_TEST(ps_is_a_table)
{
        ck_assert_int_eq(sh("$T ps --name 'redis*' --unit redis"), 0);
        asked("ps name=redis* unit=redis\n");
        has(out, " PID  PPID  USER  NAME ");
        has(out, "redis-server");
        has(out, "caf\\xe9\\x1b[31m");
        has(out, "512");
        has(out, "inexact");
        ck_assert_ptr_null(strchr(out, '\x1b'));
}
END_TEST

START_TEST(ps_json_has_the_fields_of_the_contract)
{
        ck_assert_int_eq(sh("$T ps --json"), 0);
        has(out, "[{\"pid\":1234,\"ns_pid\":1234,\"ppid\":1,\"uid\":0,\"name\":\"redis-server\",\"exe\":\"/usr/bin/"
                 "redis-server\","
                 "\"unit\":\"redis-server.service\",\"cgroup\":null,\"image\":1,\"started_at\":\"2026-11-22T10:30:00."
                 "123456Z\","
                 "\"mode\":\"exact\",\"state\":\"tracing\",\"layers\":[\"malloc\"],\"traceback_limit\":64,\"domains\":["
                 "{\"name\":"
                 "\"malloc\",\"live_size\":10240,\"live_count\":2,\"peak_size\":102400}],\"live_size\":10240,\"live_"
                 "count\":2,"
                 "\"peak_size\":102400,\"resident_size\":20480000,\"tracer_size\":0,\"events\":1000,\"lost\":0,"
                 "\"exact\":true}");
        has(out, "\"name\":\"caf\\udce9\\u001b[31m\"");
        ck_assert_int_eq(sh("$T ps --json | python3 -c 'import json,sys; assert len(json.load(sys.stdin)) == 2'"), 0);
}
END_TEST

START_TEST(snapshot_prints_an_id_and_nothing_else)
{
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --label before --peak"), 0);
        ck_assert_str_eq(out, "17\n");
        ck_assert_str_eq(err, "");
        asked("snapshot pid=1234 label=before peak=1\n");
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --pid 77"), 0);
        ck_assert_str_eq(out, "s3\n");
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --pid 77 --json"), 0);
        ck_assert_str_eq(out, "{\"set\":3,\"ids\":[17,18]}\n");
}
END_TEST

START_TEST(list_and_show)
{
        ck_assert_int_eq(sh("$T list --kind exit --since 2h --label 'b*' --pid 1234"), 0);
        asked("list pid=1234 label=b* kind=exit since=1\n");
        has(out, "ID  SET  KIND     TAKEN                 PID  USER  NAME              SIZE  COUNT  LABEL   ENDED BY");
        has(out, "17       request  2026-11-22 10:30:00  1234  root  redis-server  10.0 KiB      2  before");
        ck_assert_int_eq(sh("$T list --kind import"), 0);
        has(out, "No snapshot fits");
        ck_assert_int_eq(sh("$T list --kind import --json"), 0);
        ck_assert_str_eq(out, "[]\n");
        ck_assert_int_eq(sh("$T show 17 --json"), 0);
        ck_assert_str_eq(
                out, "{\"id\":17,\"set\":null,\"pid\":1234,\"uid\":0,\"name\":\"redis-server\",\"unit\":null,\"label\":"
                     "\"before\",\"kind\":\"request\",\"taken_at\":\"2026-11-22T10:30:00.123456Z\",\"ended_by\":null,"
                     "\"image\":1,\"traceback_limit\":64,\"size\":10240,\"count\":2,\"traces\":1,\"exact\":true}\n");
        ck_assert_int_eq(sh("$T show 17"), 0);
        has(out, "Label            before\n");
        has(out, "Size             10.0 KiB (10240 bytes)\n");
        ck_assert_int_eq(sh("$T show s3 --json | python3 -c 'import json, sys; "
                            "print([s[\"id\"] for s in json.load(sys.stdin)])'"),
                         0);
        ck_assert_str_eq(out, "[17, 18]\n");
        ck_assert_int_eq(sh("$T show s3"), 0);
        has(out, "\n\nSnapshot         18\n");
}
END_TEST

START_TEST(label_and_delete)
{
        ck_assert_int_eq(sh("$T label 17 'a note' && $T delete 17 s3"), 0);
        asked("label 17 label=a note\n");
        asked("delete 17 s3\n");
        ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(control_commands_name_their_action)
{
        ck_assert_int_eq(
                sh("$T start --pid 1234 --frames 5 && $T stop --pid 77 && $T clear --name x && $T reset-peak --unit u"),
                0);
        asked("control action=0 frames=5 pid=1234\n");
        asked("control action=1 frames=0 pid=77\n");
        asked("control action=2 frames=0 name=x\n");
        asked("control action=3 frames=0 unit=u\n");
        ck_assert_int_eq(sh("$T stop"), 2);
}
END_TEST

START_TEST(stats_rows_are_pythons)
{
        ck_assert_int_eq(sh("$T stats 17"), 0);
        has(out, "Snapshot 17 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(out, "\na\\xe9.py:3: size=10.0 KiB, count=2, average=5120 B\n");
        has(out, "\n/usr/lib/libfoo.so.1 (foo): size=0 B, count=0\n");
        has(out, "\nTotal: size=10.0 KiB, count=2\n2 of 345 rows shown; --limit 0 shows all.\n");
        has(out, "No line information: /usr/lib/libfoo.so.1.\nInstall its -dbgsym package or set debuginfod_urls");
        asked("stats 17 group_by=0 cumulative=0 allocated=0 limit=20 skip_wrappers\n");
}
END_TEST

START_TEST(compare_shows_differences)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        has(out, "Old: snapshot 17 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(out, "New: exit snapshot 18 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(out, "\na\\xe9.py:3: size=10.0 KiB (+512 B), count=2 (+1), average=5120 B\n");
        has(out, "\n/usr/lib/libfoo.so.1 (foo): size=0 B (-512 B), count=0 (-1)\n");
        has(out, "\nTotal: size=10.0 KiB (-10.0 KiB), count=2 (+0)\n");
        has(out, "Inexact: 512 events were lost");
}
END_TEST

START_TEST(tracebacks_are_those_of_traceback_format)
{
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback"), 0);
        has(out, "\nsize=10.0 KiB, count=2, average=5120 B\n  File \"main.c\", line 9, in main\n"
                 "  File \"a\\xe9.py\", line 3, in f\n");
        has(out, "\nsize=0 B, count=0\n  File \"a\\xe9.py\", line 3, in f\n  /usr/lib/libfoo.so.1 (foo)\n");
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --most-recent-first"), 0);
        has(out, "  File \"a\\xe9.py\", line 3, in f\n  File \"main.c\", line 9, in main\n");
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --traceback-limit 1"), 0);
        ck_assert_ptr_null(strstr(out, "main.c"));
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --traceback-limit -1"), 0);
        ck_assert_ptr_null(strstr(out, "libfoo.so.1 (foo)"));
        has(out, "main.c");
}
END_TEST

START_TEST(the_source_line_stands_below_its_row)
{
        ck_assert_int_eq(sh("cd %s && printf '\\n\\n  x = [1]  \\n' >\"$(printf 'a\\351.py')\" && $T stats 17", dir),
                         0);
        has(out, "average=5120 B\n    x = [1]\n");
}
END_TEST

START_TEST(stats_json_has_the_fields_of_the_contract)
{
        ck_assert_int_eq(sh("$T stats 17 --json"), 0);
        has(out, "{\"snapshot\":17,\"group_by\":\"lineno\",\"cumulative\":false,\"total_size\":10240,\"total_count\":2,"
                 "\"exact\":true, \"statistics\": [\n"
                 "{\"traceback\":[{\"filename\":\"main.c\",\"lineno\":9,\"function\":\"main\",\"module\":null},"
                 "{\"filename\":\"a\\udce9.py\",\"lineno\":3,\"function\":\"f\",\"module\":null}],\"size\":10240,"
                 "\"count\":2},");
        asked("stats 17 group_by=0 cumulative=0 allocated=0 limit=0\n");
        ck_assert_int_eq(sh("$T compare 17 18 --json --group-by function --cumulative"), 0);
        has(out,
            "{\"old\":17,\"new\":18,\"group_by\":\"function\",\"cumulative\":true,\"exact\":false,\"total_size\":10240,"
            "\"total_size_diff\":-10240,\"total_count\":2,\"total_count_diff\":0, \"statistics\": [\n");
        has(out, "\"size\":0,\"size_diff\":-512,\"count\":0,\"count_diff\":-1}]}\n");
        ck_assert_int_eq(sh("$T stats s3 --json | python3 -c 'import json,sys; d = json.load(sys.stdin); "
                            "assert d[\"snapshot\"] == \"s3\" and len(d[\"statistics\"]) == 2'"),
                         0);
}
END_TEST

START_TEST(traces_json_is_lines)
{
        ck_assert_int_eq(sh("$T traces 17 --json"), 0);
        ck_assert_str_eq(out,
                         "{\"domain\":0,\"domain_name\":\"python\",\"size\":10,\"count\":2,\"total_size\":20,"
                         "\"total_nframe\":4,\"traceback\":[{\"filename\":\"a.py\",\"lineno\":3,\"function\":null,"
                         "\"module\":null}]}\n"
                         "{\"domain\":7,\"domain_name\":null,\"size\":null,\"count\":2,\"total_size\":20,"
                         "\"total_nframe\":null,\"traceback\":[{\"filename\":\"a.py\",\"lineno\":3,\"function\":null,"
                         "\"module\":null}]}\n");
        ck_assert_int_eq(sh("$T traces 17"), 0);
        has(out, "size=20 B, count=2, each=10 B, domain=python\n  (cut at the traceback limit: 4 frames in all)\n"
                 "  File \"a.py\", line 3\n");
        has(out, "size=20 B, count=2, domain=7\n");
}
END_TEST

START_TEST(views_reach_the_daemon)
{
        ck_assert_int_eq(
                sh("$T stats last~1 --include 'a.py:3,domain=python' --exclude '*/b.c' --domain 0 --exclude-domain "
                   "mmap --all-frames --skip '*/zmalloc.c' --skip-function 'x*' --limit 5 --allocated "
                   "--group-by filename --cumulative"),
                0);
        asked("stats last~1 group_by=1 cumulative=1 allocated=1 limit=5 filter(+a.py:3 all python) filter(-*/b.c all) "
              "filter(+domain all 0) filter(-domain all mmap) skip=*/zmalloc.c skip_function=x*\n");
        has(out, "Everything allocated until snapshot 17");
        ck_assert_int_eq(sh("$T compare 17 18 --sort count --no-skip && $T stats 17 --sort size --no-skip"), 0);
        asked("compare 17 18 group_by=0 cumulative=0 allocated=0 limit=20 by_count\n"
              "stats 17 group_by=0 cumulative=0 allocated=0 limit=20\n");
}
END_TEST

START_TEST(wrappers_are_skipped_for_people_and_it_is_said)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        asked("compare 17 18 group_by=0 cumulative=0 allocated=0 limit=20 skip_wrappers\n");
        has(out, "\nAllocation wrappers and containers are left out; --no-skip shows them.\n");
        ck_assert_int_eq(sh("$T stats 17"), 0);
        ck_assert_ptr_null(strstr(out, "--no-skip"));
        ck_assert_int_eq(sh("$T stats s3"), 0);
        has(out, "\nAllocation wrappers and containers are left out, among them load_malloc and shop::pool_strdup; "
                 "--no-skip shows them.\n");
        ck_assert_int_eq(sh("$T compare 17 s3"), 0);
        has(out, "\nAllocation wrappers and containers are left out, among them load_malloc, shop::pool_strdup, "
                 "checked_malloc and 4 more; --no-skip shows them.\n");
        ck_assert_int_eq(sh("$T stats 17 --no-skip && $T stats 17 --cumulative && $T stats 17 --group-by traceback"),
                         0);
        asked("stats 17 group_by=0 cumulative=0 allocated=0 limit=20\n");
        asked("stats 17 group_by=0 cumulative=1 allocated=0 limit=20\n");
        asked("stats 17 group_by=2 cumulative=0 allocated=0 limit=20\n");
}
END_TEST

START_TEST(the_remedy_for_absent_lines_is_for_who_built_the_module)
{
        ck_assert_int_eq(sh("$T stats s3"), 0);
        has(out, "No line information: /srv/app/server.\nBuilt with -g, and not stripped, programs have it.\n");
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        has(out, "No line information: /usr/lib/libfoo.so.1, /srv/app/server.\nInstall -dbgsym packages or set "
                 "debuginfod_urls in tracemallocd.conf(5); your own modules need -g.\n");
}
END_TEST

START_TEST(what_is_counted_twice_is_said)
{
        ck_assert_int_eq(sh("$T stats s3"), 0);
        has(out, "What domain 389047 took from malloc is counted in both; --exclude-domain 389047 leaves it out.\n");
        ck_assert_int_eq(sh("$T compare s3 s3"), 0);
        has(out, "What domains 389047, pool took from malloc is counted twice; --exclude-domain leaves one out.\n");
}
END_TEST

START_TEST(exit_codes_are_those_of_the_contract)
{
        ck_assert_int_eq(sh("$T stats 998"), 1);
        ck_assert_str_eq(err, "tmctl: the disk is full\n");
        ck_assert_int_eq(sh("$T stats"), 2);
        ck_assert_int_eq(sh("$T compare 1 2 --cumulative --group-by traceback"), 2);
        has(err, "cumulative mode cannot by used with key type 'traceback'");
        ck_assert_int_eq(sh("$T nonsense"), 2);
        ck_assert_int_eq(sh("$T block"), 2);
        ck_assert_int_eq(sh("$T stats 999"), 3);
        ck_assert_int_eq(sh("$T stats no-such-file"), 3);
        ck_assert_int_eq(sh("$T snapshot --pid 99"), 3);
        has(err, "its exit snapshot is 17");
        ck_assert_int_eq(sh("$T stats 666"), 4);
        ck_assert_int_eq(sh("$T snapshot --pid 5"), 5);
        ck_assert_int_eq(sh("TRACEMALLOCD_RUNTIME_DIR=%s/none $T ps", dir), 4);
        ck_assert_int_eq(sh("$T ps --runtime-dir %s/none", dir), 4);
        has(err, "no daemon answers at");
}
END_TEST

START_TEST(failures_are_one_line)
{
        static const char *const lines[] = {"$T stats 998",
                                            "$T stats",
                                            "$T nonsense",
                                            "$T stats 666",
                                            "$T snapshot --pid 5",
                                            "$T ps --runtime-dir /none",
                                            "$T run -- /bin/busybox",
                                            "$T ps --color x"};
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
                ck_assert_int_ne(sh("%s", lines[i]), 0);
                ck_assert_str_eq(out, "");
                ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "%s: %s", lines[i], err);
        }
}
END_TEST

START_TEST(colour_is_for_terminals_or_on_request)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        ck_assert_ptr_null(strchr(out, '\x1b'));
        ck_assert_int_eq(sh("$T compare 17 18 --color always"), 0);
        has(out, "(\x1b[31m+512 B\x1b[0m)");
        ck_assert_int_eq(sh_on_terminal("$T stats 17"), 0);
        has(out, "\x1b[");
        ck_assert_int_eq(sh_on_terminal("NO_COLOR=1 $T stats 17"), 0);
        ck_assert_ptr_null(strstr(out, "\x1b["));
}
END_TEST

static size_t widest_line(void) {
        size_t widest = 0, width;
        for (const char *line = out; *line; line += width + (line[width] != '\0')) {
                width = strcspn(line, "\n");
                if (width > widest)
                        widest = width;
        }
        return widest;
}

START_TEST(every_line_fits_a_terminal)
{
        static const char *const commands[] = {"NO_COLOR=1 $T stats 17", "NO_COLOR=1 $T compare 17 18",
                                               "NO_COLOR=1 $T ps", "NO_COLOR=1 $T traces 17", "NO_COLOR=1 $T list"};
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                ck_assert_int_eq(sh_on_terminal(commands[i]), 0);
                ck_assert_msg(widest_line() <= 56 + strlen("\r"), "%s: %s", commands[i], out);
        }
        ck_assert_int_eq(sh_on_terminal("stty cols 20; NO_COLOR=1 $T list"), 0);
        ck_assert_msg(widest_line() <= 20 + strlen("\r"), "list: %s", out);
}
END_TEST

/* Half of a divided screen */
START_TEST(sizes_and_summaries_fit_44_columns)
{
        static const char *const commands[] = {"$T stats 17", "$T compare 17 18", "$T traces 17", "$T run -- true"};
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                char line[128];
                snprintf(line, sizeof line, "stty cols 44; NO_COLOR=1 %s", commands[i]);
                ck_assert_int_eq(sh_on_terminal(line), 0);
                ck_assert_msg(widest_line() <= 44 + strlen("\r"), "%s: %s", commands[i], out);
        }
        has(out, "  next         tmctl stats 18 (the peak),\r\n               tmctl stats 17 (never freed)\r\n");
        has(out, "Left out for want of room: NEVER FREED,");
}
END_TEST

START_TEST(rows_fit_a_terminal_and_are_whole_on_a_pipe)
{
        ck_assert_int_eq(sh_on_terminal("$T compare 17 18 --color never"), 0);
        has(out, "/usr/lib/libfoo.so.1 (foo):\r\n  size=0 B (-512 B), count=0 (-1)\r\n");
        ck_assert_int_eq(sh("COLUMNS=56 $T compare 17 18"), 0);
        ck_assert_ptr_null(strstr(out, "..."));
}
END_TEST

START_TEST(an_export_that_is_interrupted_leaves_what_was_there)
{
        ck_assert_int_eq(
                sh("cd %s; echo earlier >file; $T export 555 --format json -o file & until ls file.*; do :; done; "
                   "kill -TERM $!; wait $!",
                   dir),
                128 + SIGTERM);
        ck_assert_int_eq(sh("cd %s; cat file; ls file.*", dir), 2);
        ck_assert_str_eq(out, "earlier\n");
}
END_TEST

START_TEST(a_closed_stdout_is_an_error_and_a_closed_pipe_is_not)
{
        ck_assert_int_eq(sh("$T ps >&-"), 1);
        has(err, "cannot write to standard output");
        ck_assert_int_eq(sh("$T ps >/dev/full"), 1);
        ck_assert_int_eq(sh("$T stats 17 | true"), 0);
        ck_assert_str_eq(err, "");
        ck_assert_int_eq(sh("(trap '' PIPE; $T stats 17 | true)"), 0);
        ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(run_passes_the_status_on)
{
        ck_assert_int_eq(sh("$T run -- sh -c 'exit 7'"), 7);
        ck_assert_int_eq(sh("$T run -- sh -c 'kill -TERM $$'"), 128 + 15);
        has(err, "ended by signal 15");
        ck_assert_int_eq(sh("$T run -- /nonexistent"), 127);
        ck_assert_int_eq(sh("$T run -- /etc/passwd"), 126);
        ck_assert_int_eq(sh("$T run"), 125);
        ck_assert_int_eq(sh("$T run --frames 0 -- true"), 125);
        ck_assert_int_eq(sh("$T run --runtime-dir /none -- true"), 125);
        ck_assert_int_eq(sh("$T run -- /bin/busybox true"), 125);
        ck_assert_int_eq(sh("$T run --best-effort -- /bin/busybox sh -c 'exit 3'"), 3);
        has(err, "running it untraced");
        ck_assert_int_eq(sh("$T run --best-effort --runtime-dir /none -- sh -c 'exit 4'"), 4);
}
END_TEST

START_TEST(run_sets_the_environment)
{
        ck_assert_int_eq(sh("TRACEMALLOCD_OFF=1 TRACEMALLOCD_PID=1 TRACEMALLOCD_CHILDREN=0 LD_PRELOAD=libc.so.6 "
                            "$T run --frames 5 --domains malloc --label 'a b' -- env"),
                         0);
        has(out, "LD_PRELOAD=" HARMLESS_AGENT ":libc.so.6\n");
        has(out, "TRACEMALLOCD_FRAMES=5\n");
        has(out, "TRACEMALLOCD_DOMAINS=malloc\n");
        has(out, "TRACEMALLOCD_LABEL=a b\n");
        has(out, "TRACEMALLOCD_RUN=ab01\n");
        has(out, dir);
        ck_assert_ptr_null(strstr(out, "TRACEMALLOCD_OFF"));
        ck_assert_ptr_null(strstr(out, "TRACEMALLOCD_PID"));
        ck_assert_ptr_null(strstr(out, "TRACEMALLOCD_CHILDREN"));
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
        ck_assert_str_eq(out, "in\n");
        has(err, "error\n");
        ck_assert_int_eq(sh("$T run -- sh -c 'ls /proc/self/fd | wc -l'"), sh("sh -c 'ls /proc/self/fd | wc -l'"));
}
END_TEST

START_TEST(run_gives_no_descriptor_to_the_command)
{
        static char plain[sizeof out];
        ck_assert_int_eq(sh("sh -c 'exec ls /proc/self/fd'"), 0);
        strcpy(plain, out);
        ck_assert_int_eq(sh("$T run -- sh -c 'exec ls /proc/self/fd'"), 0);
        ck_assert_str_eq(out, plain);
}
END_TEST

START_TEST(run_says_what_was_never_freed)
{
        ck_assert_int_eq(sh("$T run -- true"), 0);
        has(err, "tmctl: redis-server (pid ");
        has(err, ", exit status 0\n");
        has(err, "  allocated    512 MiB in 1234567 blocks\n");
        has(err, "  never freed  10.0 KiB in 2 blocks               exit snapshot 17\n");
        has(err, "  peak         100 KiB                            peak snapshot 18\n");
        has(err, "  next         tmctl stats 18 (the peak), tmctl stats 17 (never freed)\n");
        has(err, "PID  NAME");
        has(err, " 77  caf\\xe9");
        has(err, "exit 0, inexact");
}
END_TEST

/* ^Z reaches both; the shell sees the job stopped, and fg continues both. */
START_TEST(run_stops_and_continues_as_a_job)
{
        ck_assert_int_eq(
                sh_on_terminal("set -m; $T run -- sh -c 'kill -TSTP $$; exit 5'; echo stopped $?; fg; echo ended $?"),
                0);
        has(out, "stopped 148");
        has(out, "ended 5");
        ck_assert_int_eq(
                sh_on_terminal("set -m; $T run -- sh -c 'kill -TSTP 0; exit 5'; echo stopped $?; fg; echo ended $?"),
                0);
        has(out, "stopped 148");
        has(out, "ended 5");
}
END_TEST

/* bash's "suspend": nobody else could use the terminal. */
START_TEST(run_stops_with_a_shell_that_suspends_itself)
{
        ck_assert_int_eq(sh_on_terminal("set -m; $T run -- bash --norc -ic 'kill -STOP $$; echo went on; exit 5'; "
                                        "echo stopped $?; fg; echo ended $?"),
                         0);
        has(out, "stopped 147");
        has(out, "went on");
        has(out, "ended 5");
}
END_TEST

START_TEST(the_summary_does_not_stand_behind_what_a_key_wrote)
{
        ck_assert_int_eq(sh_on_terminal("printf ^C; exec $T run --color never -- sh -c 'kill -INT $$'"), 130);
        has(out, "^C\r\ntmctl: ");
        ck_assert_int_eq(sh_on_terminal("printf ^C; exec $T run --color never -- sh -c 'exit 3'"), 3);
        has(out, "^Ctmctl: ");
}
END_TEST

/* A stopped command is what its sender wants; without a shell nobody would continue tmctl. */
START_TEST(run_does_not_stop_with_a_command_that_was_stopped)
{
        ck_assert_int_eq(sh("mkfifo %s/go; $T run -- sh -c 'echo $$ >%s/go; kill -STOP $$; exit 4' & read p <%s/go; "
                            "until grep -q 'State:.T' /proc/$p/status; do :; done; kill -CONT $p; wait $!",
                            dir, dir, dir),
                         4);
}
END_TEST

START_TEST(run_hands_signals_on)
{
        ck_assert_int_eq(
                sh("mkfifo %s/go; $T run -- sh -c 'trap \"exit 9\" USR1; echo >%s/go; while :; do sleep 0.1; done' & "
                   "read _ <%s/go; kill -INT $!; kill -USR1 $!; wait $!",
                   dir, dir, dir),
                9);
}
END_TEST

START_TEST(run_keeps_ignored_signals_ignored)
{ ck_assert_int_eq(sh("(trap '' HUP; $T run -- sh -c 'kill -HUP $PPID; kill -HUP $$; exit 6')"), 6); }
END_TEST

START_TEST(env_prints_what_run_sets)
{
        ck_assert_int_eq(sh("$T env --label x"), 0);
        has(out, "LD_PRELOAD=" HARMLESS_AGENT "\nTRACEMALLOCD_RUNTIME_DIR=");
        has(out, "\nTRACEMALLOCD_FRAMES=64\nTRACEMALLOCD_DOMAINS=python,malloc\nTRACEMALLOCD_LABEL=x\n");
        ck_assert_int_eq(sh("env $($T env) sh -c 'echo $TRACEMALLOCD_FRAMES'"), 0);
        ck_assert_str_eq(out, "64\n");
        ck_assert_int_eq(sh("$T env --container"), 0);
        has(out, "--volume=" HARMLESS_AGENT ":" HARMLESS_AGENT ":ro\n--env=LD_PRELOAD=");
        ck_assert_int_eq(sh("$T env --container --json --label 'a b' | python3 -c 'import json, sys; "
                            "print(\"--env=TRACEMALLOCD_LABEL=a b\" in json.load(sys.stdin))'"),
                         0);
        ck_assert_str_eq(out, "True\n");
        ck_assert_int_eq(
                sh("$T env --label \"it's\" && eval \"$($T env --label \"it's\")\" && echo $TRACEMALLOCD_LABEL"), 0);
        has(out, "\nit's\n");
}
END_TEST

START_TEST(help_fits_a_screen)
{
        ck_assert_int_eq(sh("[ $($T | wc -l) -le 23 ] && [ $($T --help | wc -L) -le 80 ]"), 0);
        ck_assert_int_eq(sh("$T --version"), 0);
        has(out, "tmctl ");
        ck_assert_int_eq(
                sh("for c in run ps snapshot compare stats traces list show label delete export import start stop "
                   "clear reset-peak env block unit; do $T $c --help >%s/help || exit; grep -q Example: %s/help || "
                   "exit 9; "
                   "[ $(wc -L <%s/help) -le 80 ] || { echo $c; exit 8; }; done",
                   dir, dir, dir),
                0);
}
END_TEST

/* Every command and option of --help stands in tmctl(1). */
START_TEST(the_manual_page_has_every_option)
{
        ck_assert_int_eq(
                sh("for c in run ps snapshot compare stats traces list show label delete start stop clear reset-peak "
                   "env; do sed 's/\\\\-/-/g' $TMCTL_MAN >%s/man; "
                   "grep -q \"^\\.B tmctl $c\\b\" %s/man || { echo $c; exit 1; }; "
                   "for o in $($T $c --help | grep -o -e '^  --[a-z-]*'); do "
                   "grep -q -e \"^\\.BR* $o\\( \\|$\\)\" %s/man || { echo $c $o; exit 1; }; done; done",
                   dir, dir, dir),
                0);
        ck_assert_str_eq(out, "");
}
END_TEST

/* ---- without a daemon: the real one is started ---- */

static pid_t private_daemon;

static void setup_private(void) {
        char path[128];
        strcpy(dir, "/tmp/test_tmctl.XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        unsetenv("TRACEMALLOCD_RUNTIME_DIR");
        unsetenv("TRACEMALLOCD_STATE_DIR"); /* of who runs the test */
        snprintf(path, sizeof path, "%s/run", dir);
        mkdir(path, 0700);
        setenv("XDG_RUNTIME_DIR", path, 1);
        snprintf(path, sizeof path, "%s/state", dir);
        setenv("XDG_STATE_HOME", path, 1);
        private_daemon = 0;
}

/* Read its pid from what tmctl says. */
static void note_private_daemon(void) {
        has(err, "started a private one in ");
        ck_assert_int_eq(sscanf(strstr(err, "(pid "), "(pid %d)", &private_daemon), 1);
}

/* It is nobody's child that could be waited for. Until it is gone it may be making files. */
static void end_private_daemon(void) {
        struct pollfd end = {.fd = pidfd_open(private_daemon, 0), .events = POLLIN};
        ck_assert_int_ge(end.fd, 0);
        kill(private_daemon, SIGKILL);
        ck_assert_int_eq(poll(&end, 1, -1), 1);
        close(end.fd);
}

static void teardown_private(void) {
        char command[128];
        if (private_daemon > 0)
                end_private_daemon();
        snprintf(command, sizeof command, "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

START_TEST(a_private_daemon_is_started_once_and_said)
{
        ck_assert_int_eq(sh("$T list --user"), 0);
        note_private_daemon();
        has(out, "No snapshots");
        ck_assert_int_eq(sh("$T list --user"), 0);
        ck_assert_str_eq(err, "");
        ck_assert_int_eq(sh("$T list --user --state-dir /elsewhere"), 0);
        has(err, "--state-dir has no effect");
}
END_TEST

START_TEST(clients_that_come_at_once_share_one)
{
        ck_assert_int_eq(sh("for i in 1 2 3 4; do $T list --user & done; wait"), 0);
        note_private_daemon();
        ck_assert_ptr_null(strstr(strstr(err, "started a private one") + 1, "started a private one"));
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
        has(out, "XDG_RUNTIME_DIR=");
        ck_assert_ptr_null(strstr(out, "LD_PRELOAD"));
        ck_assert_ptr_null(strstr(out, "TRACEMALLOCD_"));
        ck_assert_ptr_null(strstr(out, "NOTIFY_SOCKET"));
        ck_assert_int_eq(getsid(private_daemon), private_daemon);
        ck_assert_int_eq(sh("cd /proc/%d && [ $(readlink cwd) = / ] && [ $(readlink fd/0) = /dev/null ] && "
                            "readlink fd/2 && ! readlink fd/* | grep passwd",
                            private_daemon),
                         0);
        has(out, "/state/tracemallocd/tracemallocd.log\n");
}
END_TEST

START_TEST(a_directory_that_others_may_write_to_is_not_used)
{
        ck_assert_int_eq(sh("mkdir %s/run/tracemallocd && chmod 777 %s/run/tracemallocd && $T list --user", dir, dir),
                         4);
        has(err, "others may write to it");
}
END_TEST

START_TEST(a_daemon_that_cannot_start_is_said_with_its_log)
{
        ck_assert_int_eq(
                sh("mkdir -p %s/state/tracemallocd && echo nonsense >%s/state/tracemallocd/snapshots.db && "
                   "mkdir -p %s/run/tracemallocd/control.sock && chmod -R go= %s/run %s/state && $T list --user",
                   dir, dir, dir, dir, dir),
                4);
        ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "%s", err);
}
END_TEST

START_TEST(commands_that_name_their_daemon_start_none)
{
        ck_assert_int_eq(sh("$T list --runtime-dir %s/run", dir), 4);
        ck_assert_int_eq(sh("TRACEMALLOCD_RUNTIME_DIR=%s/run $T list", dir), 4);
        ck_assert_int_eq(sh("ls %s/run", dir), 0);
        ck_assert_str_eq(out, "");
}
END_TEST

static TCase *private_case(void) {
        TCase *tc = check_case("without a daemon");
        tcase_add_checked_fixture(tc, setup_private, teardown_private);
        tcase_add_test(tc, a_private_daemon_is_started_once_and_said);
        tcase_add_test(tc, clients_that_come_at_once_share_one);
        tcase_add_test(tc, a_private_daemon_has_nothing_of_its_starter);
        tcase_add_test(tc, a_directory_that_others_may_write_to_is_not_used);
        tcase_add_test(tc, a_daemon_that_cannot_start_is_said_with_its_log);
        tcase_add_test(tc, commands_that_name_their_daemon_start_none);
        return tc;
}

static TCase *daemon_case(void) {
        TCase *tc = check_case("with a daemon");
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, ps_is_a_table);
        tcase_add_test(tc, ps_json_has_the_fields_of_the_contract);
        tcase_add_test(tc, snapshot_prints_an_id_and_nothing_else);
        tcase_add_test(tc, list_and_show);
        tcase_add_test(tc, label_and_delete);
        tcase_add_test(tc, control_commands_name_their_action);
        tcase_add_test(tc, stats_rows_are_pythons);
        tcase_add_test(tc, compare_shows_differences);
        tcase_add_test(tc, tracebacks_are_those_of_traceback_format);
        tcase_add_test(tc, the_source_line_stands_below_its_row);
        tcase_add_test(tc, stats_json_has_the_fields_of_the_contract);
        tcase_add_test(tc, traces_json_is_lines);
        tcase_add_test(tc, views_reach_the_daemon);
        tcase_add_test(tc, wrappers_are_skipped_for_people_and_it_is_said);
        tcase_add_test(tc, the_remedy_for_absent_lines_is_for_who_built_the_module);
        tcase_add_test(tc, what_is_counted_twice_is_said);
        tcase_add_test(tc, exit_codes_are_those_of_the_contract);
        tcase_add_test(tc, failures_are_one_line);
        tcase_add_test(tc, colour_is_for_terminals_or_on_request);
        tcase_add_test(tc, every_line_fits_a_terminal);
        tcase_add_test(tc, sizes_and_summaries_fit_44_columns);
        tcase_add_test(tc, an_export_that_is_interrupted_leaves_what_was_there);
        tcase_add_test(tc, rows_fit_a_terminal_and_are_whole_on_a_pipe);
        tcase_add_test(tc, a_closed_stdout_is_an_error_and_a_closed_pipe_is_not);
        tcase_add_test(tc, help_fits_a_screen);
        tcase_add_test(tc, the_manual_page_has_every_option);
        return tc;
}

static TCase *run_case(void) {
        TCase *tc = check_case("run");
        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_add_test(tc, run_passes_the_status_on);
        tcase_add_test(tc, run_sets_the_environment);
        tcase_add_test(tc, run_leaves_the_standard_streams_alone);
        tcase_add_test(tc, run_gives_no_descriptor_to_the_command);
        tcase_add_test(tc, run_says_what_was_never_freed);
        tcase_add_test(tc, run_stops_and_continues_as_a_job);
        tcase_add_test(tc, run_stops_with_a_shell_that_suspends_itself);
        tcase_add_test(tc, the_summary_does_not_stand_behind_what_a_key_wrote);
        tcase_add_test(tc, run_does_not_stop_with_a_command_that_was_stopped);
        tcase_add_test(tc, run_hands_signals_on);
        tcase_add_test(tc, run_keeps_ignored_signals_ignored);
        tcase_add_test(tc, env_prints_what_run_sets);
        return tc;
}

int main(void) {
        Suite *suite = suite_create("tmctl");
        suite_add_tcase(suite, daemon_case());
        suite_add_tcase(suite, run_case());
        suite_add_tcase(suite, private_case());
        return check_run(suite);
}
