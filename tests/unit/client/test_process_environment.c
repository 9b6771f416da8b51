/* SPDX-License-Identifier: Apache-2.0 */
#include "client/process_environment.h"
#include "tests/support/check_main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t dies_first; /* 0: nobody */

ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);

/* A process that becomes a zombie between open and read: on every kernel its environment reads as empty then. */
ssize_t __wrap_read(int fd, void *to, size_t n) {
        siginfo_t info;
        if (dies_first) {
                ck_assert_int_eq(kill(dies_first, SIGKILL), 0);
                ck_assert_int_eq(waitid(P_PID, (id_t)dies_first, &info, WEXITED | WNOWAIT), 0);
                dies_first = 0;
        }
        return __real_read(fd, to, n);
}

/* Return: when the program itself has run. That exec has closed a pipe is too early: the environment comes after. */
static pid_t start(const char *const *environment) {
        int fds[2];
        char byte;
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                dup2(fds[1], STDOUT_FILENO);
                execle("/bin/sh", "sh", "-c", "echo; kill -STOP $$", NULL, environment);
                _exit(1);
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        return pid;
}

static void end(pid_t pid) {
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(variable_is_found_by_its_whole_name)
{
        pid_t pid = start((const char *const[]){"OLD_LD_PRELOAD=x", "LD_PRELOAD=", "A=LD_OTHER=1", NULL});
        ck_assert(!process_environment_lacks((unsigned long)pid, "LD_PRELOAD"));
        ck_assert(process_environment_lacks((unsigned long)pid, "LD_OTHER"));
        ck_assert(process_environment_lacks((unsigned long)pid, "LD_PRE"));
        end(pid);
}
END_TEST

START_TEST(empty_environment_lacks_all)
{
        pid_t pid = start((const char *const[]){NULL});
        ck_assert(process_environment_lacks((unsigned long)pid, "LD_PRELOAD"));
        end(pid);
}
END_TEST

START_TEST(zombie_is_not_said_to_lack_what_it_had)
{
        pid_t pid = start((const char *const[]){"LD_PRELOAD=", NULL});
        dies_first = pid;
        ck_assert(!process_environment_lacks((unsigned long)pid, "LD_PRELOAD"));
        ck_assert(!process_environment_lacks((unsigned long)pid, "LD_PRELOAD"));
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(nothing_is_known_of_who_is_gone)
{
        pid_t pid = start((const char *const[]){NULL});
        end(pid);
        ck_assert(!process_environment_lacks((unsigned long)pid, "LD_PRELOAD"));
        ck_assert(!process_environment_lacks(0, "LD_PRELOAD"));
}
END_TEST

CHECK_MAIN("process_environment", variable_is_found_by_its_whole_name, empty_environment_lacks_all,
           zombie_is_not_said_to_lack_what_it_had, nothing_is_known_of_who_is_gone)
