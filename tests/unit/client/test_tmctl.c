/* SPDX-License-Identifier: Apache-2.0 */

/* Commands that ask a daemon. */

#include "tests/unit/client/tmctl_shell.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(ps_is_a_table)
{
        ck_assert_int_eq(sh("$T ps --name 'redis*' --unit redis"), 0);
        asked("ps name=redis* unit=redis\n");
        has(shell_out, " PID  PPID  USER  NAME ");
        has(shell_out, "redis-server");
        has(shell_out, "caf\\xe9\\x1b[31m");
        has(shell_out, "512");
        has(shell_out, "inexact");
        has(shell_out, "SIZE, COUNT, PEAK: what domain 389047 took from malloc is counted in both domains.\n");
        ck_assert_ptr_null(strchr(shell_out, '\x1b'));
}
END_TEST

START_TEST(ps_json_has_the_fields_of_the_contract)
{
        ck_assert_int_eq(sh("$T ps --json"), 0);
        has(shell_out,
            "[{\"pid\":1234,\"ns_pid\":1234,\"ppid\":1,\"uid\":0,\"name\":\"redis-server\",\"exe\":\"/usr/bin/"
            "redis-server\","
            "\"unit\":\"redis-server.service\",\"cgroup\":null,\"image\":1,\"started_at\":\"2026-11-22T10:30:00."
            "123456Z\","
            "\"mode\":\"exact\",\"state\":\"tracing\",\"layers\":[\"malloc\"],\"traceback_limit\":64,\"domains\":["
            "{\"name\":"
            "\"malloc\",\"live_size\":10240,\"live_count\":2,\"peak_size\":102400}],\"live_size\":10240,\"live_"
            "count\":2,"
            "\"peak_size\":102400,\"resident_size\":20480000,\"tracer_size\":0,\"events\":1000,\"lost\":0,"
            "\"exact\":true}");
        has(shell_out, "\"name\":\"caf\\udce9\\u001b[31m\"");
        ck_assert_int_eq(sh("$T ps --json | python3 -c 'import json,sys; assert len(json.load(sys.stdin)) == 2'"), 0);
}
END_TEST

START_TEST(snapshot_prints_an_id_and_nothing_else)
{
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --label before --peak"), 0);
        ck_assert_str_eq(shell_out, "17\n");
        ck_assert_str_eq(shell_err, "");
        asked("snapshot pid=1234 label=before peak=1\n");
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --pid 77"), 0);
        ck_assert_str_eq(shell_out, "s3\n");
        ck_assert_int_eq(sh("$T snapshot --pid 1234 --pid 77 --json"), 0);
        ck_assert_str_eq(shell_out, "{\"set\":3,\"ids\":[17,18]}\n");
}
END_TEST

START_TEST(list_and_show)
{
        ck_assert_int_eq(sh("$T list --kind exit --since 2h --label 'b*' --pid 1234"), 0);
        asked("list pid=1234 label=b* kind=exit since=1\n");
        has(shell_out,
            "ID  SET  KIND     TAKEN                 PID  USER  NAME              SIZE  COUNT  LABEL   ENDED BY");
        has(shell_out, "17       request  2026-11-22 10:30:00  1234  root  redis-server  10.0 KiB      2  before");
        ck_assert_int_eq(sh("$T list --kind import"), 0);
        has(shell_out, "No snapshot fits");
        ck_assert_int_eq(sh("$T list --kind import --json"), 0);
        ck_assert_str_eq(shell_out, "[]\n");
        ck_assert_int_eq(sh("$T show 17 --json"), 0);
        ck_assert_str_eq(
                shell_out,
                "{\"id\":17,\"set\":null,\"pid\":1234,\"uid\":0,\"name\":\"redis-server\",\"unit\":null,\"label\":"
                "\"before\",\"kind\":\"request\",\"taken_at\":\"2026-11-22T10:30:00.123456Z\",\"ended_by\":null,"
                "\"image\":1,\"traceback_limit\":64,\"size\":10240,\"count\":2,\"traces\":1,\"exact\":true}\n");
        ck_assert_int_eq(sh("$T show 17"), 0);
        has(shell_out, "Label            before\n");
        has(shell_out, "Size             10.0 KiB (10240 bytes)\n");
        ck_assert_int_eq(sh("$T show s3 --json | python3 -c 'import json, sys; "
                            "print([s[\"id\"] for s in json.load(sys.stdin)])'"),
                         0);
        ck_assert_str_eq(shell_out, "[17, 18]\n");
        ck_assert_int_eq(sh("$T show s3"), 0);
        has(shell_out, "\n\nSnapshot         18\n");
}
END_TEST

START_TEST(label_and_delete)
{
        ck_assert_int_eq(sh("$T label 17 'a note' && $T delete 17 s3"), 0);
        asked("label 17 label=a note\n");
        asked("delete 17 s3\n");
        ck_assert_str_eq(shell_out, "");
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
        has(shell_out, "Snapshot 17 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(shell_out, "\na\\xe9.py:3: size=10.0 KiB, count=2, average=5120 B\n");
        has(shell_out, "\n/usr/lib/libfoo.so.1 (foo): size=0 B, count=0\n");
        has(shell_out, "\nTotal: size=10.0 KiB, count=2\n2 of 345 rows shown; --limit 0 shows all.\n");
        has(shell_out,
            "No line information: /usr/lib/libfoo.so.1.\nInstall its -dbgsym package or set debuginfod_urls");
        asked("stats 17 group_by=0 cumulative=0 allocated=0 limit=20 skip_wrappers\n");
}
END_TEST

START_TEST(compare_shows_differences)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        has(shell_out, "Old: snapshot 17 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(shell_out, "New: exit snapshot 18 of redis-server (pid 1234), 2026-11-22 10:30:00, ");
        has(shell_out, "\na\\xe9.py:3: size=10.0 KiB (+512 B), count=2 (+1), average=5120 B\n");
        has(shell_out, "\n/usr/lib/libfoo.so.1 (foo): size=0 B (-512 B), count=0 (-1)\n");
        has(shell_out, "\nTotal: size=10.0 KiB (-10.0 KiB), count=2 (+0)\n");
        has(shell_out, "Inexact: 512 events were lost");
}
END_TEST

START_TEST(tracebacks_are_those_of_traceback_format)
{
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback"), 0);
        has(shell_out, "\nsize=10.0 KiB, count=2, average=5120 B\n  File \"main.c\", line 9, in main\n"
                       "  File \"a\\xe9.py\", line 3, in f\n");
        has(shell_out, "\nsize=0 B, count=0\n  File \"a\\xe9.py\", line 3, in f\n  /usr/lib/libfoo.so.1 (foo)\n");
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --most-recent-first"), 0);
        has(shell_out, "  File \"a\\xe9.py\", line 3, in f\n  File \"main.c\", line 9, in main\n");
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --traceback-limit 1"), 0);
        ck_assert_ptr_null(strstr(shell_out, "main.c"));
        ck_assert_int_eq(sh("$T stats 17 --group-by traceback --traceback-limit -1"), 0);
        ck_assert_ptr_null(strstr(shell_out, "libfoo.so.1 (foo)"));
        has(shell_out, "main.c");
}
END_TEST

START_TEST(the_source_line_stands_below_its_row)
{
        ck_assert_int_eq(
                sh("cd %s && printf '\\n\\n  x = [1]  \\n' >\"$(printf 'a\\351.py')\" && $T stats 17", shell_dir), 0);
        has(shell_out, "average=5120 B\n    x = [1]\n");
}
END_TEST

START_TEST(stats_json_has_the_fields_of_the_contract)
{
        ck_assert_int_eq(sh("$T stats 17 --json"), 0);
        has(shell_out,
            "{\"snapshot\":17,\"group_by\":\"lineno\",\"cumulative\":false,\"total_size\":10240,\"total_count\":2,"
            "\"exact\":true, \"statistics\": [\n"
            "{\"traceback\":[{\"filename\":\"main.c\",\"lineno\":9,\"function\":\"main\",\"module\":null},"
            "{\"filename\":\"a\\udce9.py\",\"lineno\":3,\"function\":\"f\",\"module\":null}],\"size\":10240,"
            "\"count\":2},");
        asked("stats 17 group_by=0 cumulative=0 allocated=0 limit=0\n");
        ck_assert_int_eq(sh("$T compare 17 18 --json --group-by function --cumulative"), 0);
        has(shell_out,
            "{\"old\":17,\"new\":18,\"group_by\":\"function\",\"cumulative\":true,\"exact\":false,\"total_size\":10240,"
            "\"total_size_diff\":-10240,\"total_count\":2,\"total_count_diff\":0, \"statistics\": [\n");
        has(shell_out, "\"size\":0,\"size_diff\":-512,\"count\":0,\"count_diff\":-1}]}\n");
        ck_assert_int_eq(sh("$T stats s3 --json | python3 -c 'import json,sys; d = json.load(sys.stdin); "
                            "assert d[\"snapshot\"] == \"s3\" and len(d[\"statistics\"]) == 2'"),
                         0);
}
END_TEST

START_TEST(traces_json_is_lines)
{
        ck_assert_int_eq(sh("$T traces 17 --json"), 0);
        ck_assert_str_eq(shell_out,
                         "{\"domain\":0,\"domain_name\":\"python\",\"size\":10,\"count\":2,\"total_size\":20,"
                         "\"total_nframe\":4,\"traceback\":[{\"filename\":\"a.py\",\"lineno\":3,\"function\":null,"
                         "\"module\":null}]}\n"
                         "{\"domain\":7,\"domain_name\":null,\"size\":null,\"count\":2,\"total_size\":20,"
                         "\"total_nframe\":null,\"traceback\":[{\"filename\":\"a.py\",\"lineno\":3,\"function\":null,"
                         "\"module\":null}]}\n");
        ck_assert_int_eq(sh("$T traces 17"), 0);
        has(shell_out, "size=20 B, count=2, each=10 B, domain=python\n  (cut at the traceback limit: 4 frames in all)\n"
                       "  File \"a.py\", line 3\n");
        has(shell_out, "size=20 B, count=2, domain=7\n");
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
        has(shell_out, "Everything allocated until snapshot 17");
        ck_assert_int_eq(sh("$T compare 17 18 --sort count --no-skip && $T stats 17 --sort size --no-skip"), 0);
        asked("compare 17 18 group_by=0 cumulative=0 allocated=0 limit=20 by_count\n"
              "stats 17 group_by=0 cumulative=0 allocated=0 limit=20\n");
}
END_TEST

START_TEST(wrappers_are_skipped_for_people_and_it_is_said)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        asked("compare 17 18 group_by=0 cumulative=0 allocated=0 limit=20 skip_wrappers\n");
        has(shell_out, "\nAllocation wrappers and containers are left out; --no-skip shows them.\n");
        ck_assert_int_eq(sh("$T stats 17"), 0);
        ck_assert_ptr_null(strstr(shell_out, "--no-skip"));
        ck_assert_int_eq(sh("$T stats s3"), 0);
        has(shell_out,
            "\nAllocation wrappers and containers are left out, among them load_malloc and shop::pool_strdup; "
            "--no-skip shows them.\n");
        ck_assert_int_eq(sh("$T compare 17 s3"), 0);
        has(shell_out, "\nAllocation wrappers and containers are left out, among them load_malloc, shop::pool_strdup, "
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
        has(shell_out, "No line information: /srv/app/server.\nBuilt with -g, and not stripped, programs have it.\n");
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        has(shell_out, "No line information: /usr/lib/libfoo.so.1, /srv/app/server.\nInstall -dbgsym packages or set "
                       "debuginfod_urls in tracemallocd.conf(5); your own modules need -g.\n");
        ck_assert_int_eq(sh("$T compare s3 s4"), 0);
        has(shell_out, "/srv/app/server.\nThe daemon could not look for it; its log says why.\n");
}
END_TEST

START_TEST(what_is_counted_twice_is_said)
{
        ck_assert_int_eq(sh("$T stats s3"), 0);
        has(shell_out,
            "What domain 389047 took from malloc is counted in both domains; --exclude-domain 389047 leaves it out.\n");
        ck_assert_int_eq(sh("$T compare s3 s3"), 0);
        has(shell_out,
            "What domains 389047, pool took from malloc is counted twice; --exclude-domain leaves one out.\n");
}
END_TEST

START_TEST(exit_codes_are_those_of_the_contract)
{
        ck_assert_int_eq(sh("$T stats 998"), 1);
        ck_assert_str_eq(shell_err, "tmctl: the disk is full\n");
        ck_assert_int_eq(sh("$T stats"), 2);
        ck_assert_int_eq(sh("$T compare 1 2 --cumulative --group-by traceback"), 2);
        has(shell_err, "cumulative mode cannot by used with key type 'traceback'");
        ck_assert_int_eq(sh("$T nonsense"), 2);
        ck_assert_int_eq(sh("$T block"), 2);
        ck_assert_int_eq(sh("$T stats 999"), 3);
        ck_assert_int_eq(sh("$T stats no-such-file"), 3);
        ck_assert_int_eq(sh("$T snapshot --pid 99"), 3);
        has(shell_err, "its exit snapshot is 17");
        ck_assert_int_eq(sh("$T stats 666"), 4);
        ck_assert_int_eq(sh("$T snapshot --pid 5"), 5);
        ck_assert_int_eq(sh("TRACEMALLOCD_RUNTIME_DIR=%s/none $T ps", shell_dir), 4);
        ck_assert_int_eq(sh("$T ps --runtime-dir %s/none", shell_dir), 4);
        has(shell_err, "no daemon answers at");
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
                ck_assert_str_eq(shell_out, "");
                ck_assert_msg(strchr(shell_err, '\n') == shell_err + strlen(shell_err) - 1, "%s: %s", lines[i],
                              shell_err);
        }
}
END_TEST

START_TEST(colour_is_for_terminals_or_on_request)
{
        ck_assert_int_eq(sh("$T compare 17 18"), 0);
        ck_assert_ptr_null(strchr(shell_out, '\x1b'));
        ck_assert_int_eq(sh("$T compare 17 18 --color always"), 0);
        has(shell_out, "(\x1b[31m+512 B\x1b[0m)");
        ck_assert_int_eq(sh_on_terminal("$T stats 17"), 0);
        has(shell_out, "\x1b[");
        ck_assert_int_eq(sh_on_terminal("NO_COLOR=1 $T stats 17"), 0);
        ck_assert_ptr_null(strstr(shell_out, "\x1b["));
}
END_TEST

static size_t widest_line(void) {
        size_t widest = 0, width;
        for (const char *line = shell_out; *line; line += width + (line[width] != '\0')) {
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
                ck_assert_msg(widest_line() <= 56 + strlen("\r"), "%s: %s", commands[i], shell_out);
        }
        ck_assert_int_eq(sh_on_terminal("stty cols 20; NO_COLOR=1 $T list"), 0);
        ck_assert_msg(widest_line() <= 20 + strlen("\r"), "list: %s", shell_out);
}
END_TEST

START_TEST(a_long_list_says_how_to_make_it_shorter)
{
        ck_assert_int_eq(sh_on_terminal("$T list"), 0);
        ck_assert_ptr_null(strstr(shell_out, "Fewer: "));
        ck_assert_int_eq(sh("touch %s/many", shell_dir), 0);
        ck_assert_int_eq(sh_on_terminal("$T list"), 0);
        has(shell_out, "Fewer: --kind request is what was asked for,");
        ck_assert_int_eq(sh_on_terminal("$T list --since 1d"), 0);
        ck_assert_ptr_null(strstr(shell_out, "Fewer: "));
        ck_assert_int_eq(sh("$T list"), 0); /* no terminal */
        ck_assert_ptr_null(strstr(shell_out, "Fewer: "));
}
END_TEST

/* Half of a divided screen, and a little less */
START_TEST(sizes_and_summaries_fit_40_columns)
{
        static const char *const commands[] = {"$T stats 17", "$T compare 17 18", "$T traces 17", "$T run -- true"};
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                char line[128];
                snprintf(line, sizeof line, "stty cols 44; NO_COLOR=1 %s", commands[i]);
                ck_assert_int_eq(sh_on_terminal(line), 0);
                ck_assert_msg(widest_line() <= 44 + strlen("\r"), "%s: %s", commands[i], shell_out);
                snprintf(line, sizeof line, "stty cols 40; NO_COLOR=1 %s", commands[i]);
                ck_assert_int_eq(sh_on_terminal(line), 0);
                ck_assert_msg(widest_line() <= 40 + strlen("\r"), "%s: %s", commands[i], shell_out);
        }
        has(shell_out, "  next         tmctl stats 18 (the\r\n               peak), tmctl stats 17\r\n");
        ck_assert_int_eq(sh_on_terminal("stty cols 44; NO_COLOR=1 $T run -- true"), 0);
        has(shell_out, "  next         tmctl stats 18 (the peak),\r\n               tmctl stats 17 (never freed)\r\n");
        has(shell_out, "Left out for want of room: NEVER FREED,");
}
END_TEST

START_TEST(rows_fit_a_terminal_and_are_whole_on_a_pipe)
{
        ck_assert_int_eq(sh_on_terminal("$T compare 17 18 --color never"), 0);
        has(shell_out, "/usr/lib/libfoo.so.1 (foo):\r\n  size=0 B (-512 B), count=0 (-1)\r\n");
        ck_assert_int_eq(sh("COLUMNS=56 $T compare 17 18"), 0);
        ck_assert_ptr_null(strstr(shell_out, "..."));
}
END_TEST

START_TEST(an_export_that_is_interrupted_leaves_what_was_there)
{
        ck_assert_int_eq(
                sh("cd %s; echo earlier >file; $T export 555 --format json -o file & until ls file.*; do :; done; "
                   "kill -TERM $!; wait $!",
                   shell_dir),
                128 + SIGTERM);
        ck_assert_int_eq(sh("cd %s; cat file; ls file.*", shell_dir), 2);
        ck_assert_str_eq(shell_out, "earlier\n");
}
END_TEST

START_TEST(a_closed_stdout_is_an_error_and_a_closed_pipe_is_not)
{
        ck_assert_int_eq(sh("$T ps >&-"), 1);
        has(shell_err, "cannot write to standard output");
        ck_assert_int_eq(sh("$T ps >/dev/full"), 1);
        ck_assert_int_eq(sh("$T stats 17 | true"), 0);
        ck_assert_str_eq(shell_err, "");
        ck_assert_int_eq(sh("(trap '' PIPE; $T stats 17 | true)"), 0);
        ck_assert_str_eq(shell_err, "");
}
END_TEST

START_TEST(help_fits_a_screen)
{
        ck_assert_int_eq(sh("[ $($T | wc -l) -le 23 ] && [ $($T --help | wc -L) -le 80 ]"), 0);
        ck_assert_int_eq(sh("$T --version"), 0);
        has(shell_out, "tmctl ");
        ck_assert_int_eq(
                sh("for c in run ps snapshot compare stats traces list show label delete export import start stop "
                   "clear reset-peak env block unit; do $T $c --help >%s/help || exit; grep -q Example: %s/help || "
                   "exit 9; "
                   "[ $(wc -L <%s/help) -le 80 ] || { echo $c; exit 8; }; done",
                   shell_dir, shell_dir, shell_dir),
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
                   shell_dir, shell_dir, shell_dir),
                0);
        ck_assert_str_eq(shell_out, "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tmctl");
        TCase *tc = check_case("tmctl");
        tcase_add_checked_fixture(tc, shell_setup, shell_teardown);
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
        tcase_add_test(tc, a_long_list_says_how_to_make_it_shorter);
        tcase_add_test(tc, sizes_and_summaries_fit_40_columns);
        tcase_add_test(tc, an_export_that_is_interrupted_leaves_what_was_there);
        tcase_add_test(tc, rows_fit_a_terminal_and_are_whole_on_a_pipe);
        tcase_add_test(tc, a_closed_stdout_is_an_error_and_a_closed_pipe_is_not);
        tcase_add_test(tc, help_fits_a_screen);
        tcase_add_test(tc, the_manual_page_has_every_option);
        suite_add_tcase(suite, tc);
        return check_run(suite);
}
