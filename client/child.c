/* SPDX-License-Identifier: Apache-2.0 */

/* Fork, signals and job control of tmctl run. */

#include "client/child.h"

#include "client/memory.h"
#include "client/trace_environment.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int forwarded[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
#define N_FORWARDED (sizeof forwarded / sizeof forwarded[0])

static volatile sig_atomic_t forward_to;

static void forward(int signal) {
        int saved_errno = errno;
        if (forward_to > 0)
                kill(forward_to, signal);
        errno = saved_errno;
}

static void handled_set(sigset_t *set) {
        sigemptyset(set);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGQUIT);
        for (size_t i = 0; i < N_FORWARDED; i++)
                sigaddset(set, forwarded[i]);
}

/* In the parent, once the child has its own copy of the dispositions. A signal that tmctl was told to ignore
 * (nohup) stays ignored: the child ignores it too. */
static void handle_forwarded(int flags) {
        struct sigaction action = {.sa_handler = forward, .sa_flags = flags}, old;
        for (size_t i = 0; i < N_FORWARDED; i++) {
                if (sigaction(forwarded[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
                        sigaction(forwarded[i], &action, NULL);
        }
}

/* While the child lives, a signal interrupts the wait for it: under TSan handlers run when a call returns, and a
 * restarted one would not. */
static void install_handlers(pid_t pid) {
        forward_to = pid;
        handle_forwarded(0);
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        /* the summary may find stderr closed: the command's status is to be passed on all the same */
        signal(SIGPIPE, SIG_IGN);
}

/* execvp(3): a file that the kernel does not know is a shell script. */
static void exec_by_shell(const char *path, char **argv, char **envp) {
        size_t n = 0;
        while (argv[n])
                n++;
        char **shell_argv = memory_zalloc((n + 2) * sizeof *shell_argv);
        shell_argv[0] = (char *)"sh";
        shell_argv[1] = (char *)path;
        for (size_t i = 1; i < n; i++)
                shell_argv[i + 1] = argv[i];
        execve("/bin/sh", shell_argv, envp);
        free(shell_argv);
}

static void run_child(const char *path, char **argv, struct environment *e, bool set_pid, int error_pipe) {
        if (set_pid)
                trace_environment_set_pid(e, getpid());
        execve(path, argv, e->entries);
        if (errno == ENOEXEC)
                exec_by_shell(path, argv, e->entries);
        int error = errno;
        (void)!write(error_pipe, &error, sizeof error);
        _exit(127);
}

/* Return: 0 once the exec has closed the pipe; -errno that came through it. */
static int exec_result(int pipe, pid_t pid) {
        int error = 0;
        ssize_t n;
        do
                n = read(pipe, &error, sizeof error);
        while (n < 0 && errno == EINTR);
        if (n != sizeof error)
                return 0;
        forward_to = 0;
        waitpid(pid, NULL, 0);
        return -error;
}

int child_start(struct child *child, const char *path, char **argv, struct environment *e, bool set_pid) {
        AUTO_CLOSE int read_end = -1;
        AUTO_CLOSE int write_end = -1;
        int pipe_ends[2];
        sigset_t set, old;
        if (pipe2(pipe_ends, O_CLOEXEC) < 0)
                return -errno;
        read_end = pipe_ends[0];
        write_end = pipe_ends[1];
        handled_set(&set);
        sigprocmask(SIG_BLOCK, &set, &old);
        child->started_ns = clock_ns(CLOCK_MONOTONIC);
        pid_t pid = fork();
        if (pid == 0) {
                sigprocmask(SIG_SETMASK, &old, NULL);
                run_child(path, argv, e, set_pid, write_end);
        }
        int r = pid < 0 ? -errno : 0;
        if (r == 0)
                install_handlers(pid);
        sigprocmask(SIG_SETMASK, &old, NULL);
        if (r < 0)
                return r;
        child->pid = pid;
        cleanup_close(&write_end);
        write_end = -1;
        return exec_result(read_end, pid);
}

static bool is_job_control(int signal) {
        return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* An interactive shell that suspends itself: in a group of its own, which has the terminal. */
static bool has_terminal(int terminal, pid_t group) {
        return terminal >= 0 && group != getpgrp() && tcgetpgrp(terminal) == group;
}

/* The shell that waits for us shall see the job stopped, and continues us alone. */
static void suspend_with(int terminal, pid_t group) {
        raise(SIGSTOP);
        if (tcgetpgrp(terminal) == getpgrp()) /* "fg", not "bg" */
                tcsetpgrp(terminal, group);
        kill(-group, SIGCONT);
}

/* Whether a shell on @terminal watches us: with job control each job is a group, led by its first process, and the
 * first process of a session has no shell above it. */
static bool is_foreground_job(int terminal) {
        return terminal >= 0 && getpgrp() == getpid() && getsid(0) != getpid() && tcgetpgrp(terminal) == getpgrp();
}

/* The shell that waits for us shall see the job stopped. After SIGSTOP only where such a shell is sure: who sent that
 * to the child elsewhere wants to continue the child, and would not know that tmctl needs it too. */
static void stop_too(pid_t pid, int signal) {
        siginfo_t again = {0};
        bool still = waitid(P_PID, (id_t)pid, &again, WSTOPPED | WNOHANG) == 0 && again.si_pid == pid;
        pid_t group = getpgid(pid);
        if (!still)
                return;
        AUTO_CLOSE int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (has_terminal(terminal, group)) {
                suspend_with(terminal, group);
        } else if (group == getpgrp() && (is_job_control(signal) || is_foreground_job(terminal))) {
                raise(signal);
                kill(pid, SIGCONT);
        }
}

void child_wait(struct child *child) {
        for (;;) {
                siginfo_t info = {0};
                /* WNOWAIT: a stop may be over by the time that we, stopped by the same key, look at it */
                if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WSTOPPED | WNOWAIT) < 0) {
                        if (errno == EINTR)
                                continue;
                        break;
                }
                if (info.si_code != CLD_STOPPED && info.si_code != CLD_TRAPPED)
                        break;
                stop_too(child->pid, info.si_status);
        }
        forward_to = 0; /* before its number may be another's */
        while (waitpid(child->pid, &child->wait_status, 0) < 0 && errno == EINTR)
                ;
        handle_forwarded(SA_RESTART);
        child->ran_ns = clock_ns(CLOCK_MONOTONIC) - child->started_ns;
}

int child_exit_code(const struct child *child) {
        if (WIFSIGNALED(child->wait_status))
                return 128 + WTERMSIG(child->wait_status);
        return WEXITSTATUS(child->wait_status);
}
