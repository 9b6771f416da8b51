/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/proc.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void expect_unit(const char *cgroup, const char *unit) {
        char *got = proc_unit_of_cgroup(cgroup);
        ck_assert_str_eq(got, unit);
        free(got);
}

START_TEST(the_innermost_unit_of_a_cgroup_counts)
{
        expect_unit("/system.slice/redis-server.service", "redis-server.service");
        expect_unit("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo.service");
        expect_unit("/user.slice/user-1000.slice/session-3.scope", "session-3.scope");
        expect_unit("/system.slice/docker.service/payload/inner", "docker.service");
        expect_unit("/system.slice/.service", "");
        expect_unit("/", "");
        expect_unit("", "");
        expect_unit("init.scope", "init.scope");
}
END_TEST

START_TEST(a_process_is_told_from_its_successor_by_its_start)
{
        struct proc_info info;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        ck_assert_int_eq(proc_info_read(getpid(), &info), 0);
        ck_assert_int_eq(info.pid, getpid());
        ck_assert_int_eq(info.ppid, getppid());
        ck_assert_uint_gt(info.start_ticks, 0);
        int64_t age_s = now.tv_sec - info.started_at_ns / 1000000000;
        ck_assert(age_s >= -2 && age_s < 600);
        ck_assert_int_ge(proc_age_ns(&info), 0);
        ck_assert_int_lt(proc_age_ns(&info), INT64_C(600) * 1000000000);
        ck_assert(proc_lives(getpid(), info.start_ticks));
        ck_assert(!proc_lives(getpid(), info.start_ticks + 1));
        proc_info_deinit(&info);
}
END_TEST

/* The effective one: a server may act as another for a while. */
START_TEST(the_user_of_a_process_is_the_one_that_it_acts_as)
{
        struct proc_info info;
        ck_assert_int_eq(proc_info_read(getpid(), &info), 0);
        ck_assert_uint_eq(proc_user(getpid(), info.start_ticks), geteuid());
        ck_assert_uint_eq(proc_user(getpid(), info.start_ticks + 1), (uid_t)-1);
        if (geteuid() == 0) {
                ck_assert_int_eq(seteuid(65534), 0);
                ck_assert_uint_eq(proc_user(getpid(), info.start_ticks), 65534);
                ck_assert_int_eq(seteuid(0), 0);
        }
        proc_info_deinit(&info);
}
END_TEST

START_TEST(a_name_with_parentheses_does_not_confuse)
{
        struct proc_info info;
        char name[PROC_COMM_BYTES];
        int ready[2];
        ck_assert_int_eq(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
                FILE *comm = fopen("/proc/self/comm", "w");
                fputs("a) 1 (b", comm);
                fclose(comm);
                close(ready[1]);
                pause();
        }
        close(ready[1]);
        char c;
        ck_assert_int_eq(read(ready[0], &c, 1), 0);
        ck_assert_int_eq(proc_info_read(child, &info), 0);
        ck_assert_int_eq(info.ppid, getpid());
        proc_read_comm(child, name);
        ck_assert_str_eq(name, "a) 1 (b");
        ck_assert_uint_gt(proc_resident_size(child), 4096);
        proc_info_deinit(&info);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ck_assert_int_eq(proc_info_read(child, &info), -ESRCH);
        ck_assert(!proc_lives(child, info.start_ticks));
        proc_read_comm(child, name);
        ck_assert_str_eq(name, "");
        ck_assert_uint_eq(proc_resident_size(child), 0);
        close(ready[0]);
}
END_TEST

START_TEST(a_unit_may_be_named_without_its_ending)
{
        ck_assert(proc_unit_is("a.service", "a"));
        ck_assert(proc_unit_is("a.service", "a.service"));
        ck_assert(!proc_unit_is("a.service", ""));
        ck_assert(!proc_unit_is("a.service.service", "a"));
        ck_assert(!proc_unit_is("a", "a.service"));
}
END_TEST

CHECK_MAIN("base/proc", the_innermost_unit_of_a_cgroup_counts, a_process_is_told_from_its_successor_by_its_start,
           the_user_of_a_process_is_the_one_that_it_acts_as, a_name_with_parentheses_does_not_confuse,
           a_unit_may_be_named_without_its_ending)
