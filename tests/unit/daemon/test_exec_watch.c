/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/process.h"
#include "tests/support/check_main.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct daemon d;
static char name[] = "before";
static struct process p; /* this program */
static bool has_writer, is_dead;
static unsigned n_looks, n_ends;
static const char *replaced_by;

/* ---- what exec_watch.c meets here instead of feeds and processes ---- */

bool feed_has_writer(const struct feed *feed) {
        n_looks++;
        return has_writer;
}

void process_notice_end(struct process *process) {
        if (is_dead)
                process->state = PROCESS_ENDING;
}

void process_end(struct process *process, const char *by) {
        n_ends++;
        replaced_by = by;
        process->state = PROCESS_ENDING;
}

/* ---- */

static void begin(void) {
        ck_assert_int_eq(uv_loop_init(d.loop = malloc(sizeof *d.loop)), 0);
        ck_assert_int_eq(exec_watch_new(&d, &d.exec_watch), 0);
        p = (struct process){.daemon = &d, .image = 3, .name = name};
        ck_assert_int_eq(proc_info_read(getpid(), &p.proc), 0);
        d.processes = &p;
        has_writer = is_dead = false;
        n_looks = n_ends = 0;
        replaced_by = NULL;
}

static void end(void) {
        d.exec_watch = exec_watch_free(d.exec_watch);
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(d.loop), 0);
        free(d.loop);
        proc_info_deinit(&p.proc);
}

START_TEST(image_whose_ring_nobody_holds_is_ended_by_its_exec)
{
        begin();
        exec_watch_begin(&p);
        uint64_t begun = uv_now(d.loop);
        uv_run(d.loop, UV_RUN_DEFAULT); /* until nothing is waited for */
        ck_assert_uint_eq(n_ends, 1);
        ck_assert_str_eq(replaced_by, "exec");
        ck_assert_uint_ge(uv_now(d.loop) - begun, 200);
        end();
}
END_TEST

START_TEST(one_that_greets_late_is_the_next_image_once)
{
        begin();
        struct proc_info other = {.pid = p.proc.pid, .start_ticks = p.proc.start_ticks + 1};
        exec_watch_begin(&p);
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(exec_watch_take(d.exec_watch, &other), 0); /* that got the same pid */
        ck_assert_uint_eq(exec_watch_take(d.exec_watch, &p.proc), 3);
        ck_assert_uint_eq(exec_watch_take(d.exec_watch, &p.proc), 0);
        end();
}
END_TEST

START_TEST(exec_is_waited_for_while_the_ring_is_held)
{
        begin();
        has_writer = true;
        exec_watch_begin(&p);
        while (n_looks < 2)
                uv_run(d.loop, UV_RUN_ONCE);
        ck_assert_uint_eq(n_ends, 0);
        has_writer = false;
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_ends, 1);
        end();
}
END_TEST

START_TEST(exec_that_takes_long_is_seen_by_the_sweep)
{
        begin();
        has_writer = true;
        exec_watch_begin(&p);
        while (n_looks < 1)
                uv_run(d.loop, UV_RUN_ONCE);
        has_writer = false;
        exec_watch_sweep(d.exec_watch);
        ck_assert_uint_eq(n_ends, 1);
        end();
}
END_TEST

START_TEST(exec_that_failed_ends_nothing)
{
        begin();
        exec_watch_begin(&p);
        exec_watch_back(&p);
        uv_run(d.loop, UV_RUN_DEFAULT);
        exec_watch_back(&p); /* of an exec that an agent invented */
        ck_assert_uint_eq(p.n_execs, 0);
        ck_assert_uint_eq(n_looks, 0);
        ck_assert_uint_eq(n_ends, 0);
        end();
}
END_TEST

START_TEST(exec_of_one_thread_counts_when_that_of_another_failed)
{
        begin();
        exec_watch_begin(&p);
        exec_watch_begin(&p);
        exec_watch_back(&p);
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_ends, 1);
        end();
}
END_TEST

START_TEST(process_that_died_is_not_ended_by_an_exec)
{
        begin();
        is_dead = true;
        exec_watch_begin(&p);
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_ends, 0);
        ck_assert_uint_eq(exec_watch_take(d.exec_watch, &p.proc), 0);
        end();
}
END_TEST

START_TEST(the_dead_are_forgotten)
{
        begin();
        pid_t pid = fork();
        if (pid == 0) {
                pause();
                _exit(0);
        }
        proc_info_deinit(&p.proc);
        ck_assert_int_eq(proc_info_read(pid, &p.proc), 0);
        exec_watch_begin(&p);
        uv_run(d.loop, UV_RUN_DEFAULT);
        exec_watch_sweep(d.exec_watch); /* it lives */
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        exec_watch_sweep(d.exec_watch);
        ck_assert_uint_eq(exec_watch_take(d.exec_watch, &p.proc), 0);
        end();
}
END_TEST

START_TEST(exec_that_the_daemon_before_had_heard_of_has_its_time_again)
{
        begin();
        exec_watch_adopt(&p, 1);
        exec_watch_sweep(d.exec_watch); /* at once: the successor may be about to greet */
        ck_assert_uint_eq(n_ends, 0);
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_ends, 1);
        end();
}
END_TEST

START_TEST(adopted_process_without_an_exec_is_not_looked_at)
{
        begin();
        exec_watch_adopt(&p, 0);
        uv_run(d.loop, UV_RUN_DEFAULT);
        exec_watch_sweep(d.exec_watch);
        ck_assert_uint_eq(n_looks, 0);
        end();
}
END_TEST

CHECK_MAIN("exec_watch", image_whose_ring_nobody_holds_is_ended_by_its_exec,
           one_that_greets_late_is_the_next_image_once, exec_is_waited_for_while_the_ring_is_held,
           exec_that_takes_long_is_seen_by_the_sweep, exec_that_failed_ends_nothing,
           exec_of_one_thread_counts_when_that_of_another_failed, process_that_died_is_not_ended_by_an_exec,
           the_dead_are_forgotten, exec_that_the_daemon_before_had_heard_of_has_its_time_again,
           adopted_process_without_an_exec_is_not_looked_at)
