/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a process does to itself: fork, clone, exec, exit, dlclose. A fork is noted
 * before it happens, so that the daemon knows where in the ring the child's table
 * begins; vfork is not wrapped (it returns twice into a frame of ours that would be gone) and needs no
 * note: its child writes to the parent's ring until it execs, and that exec is
 * not the parent's.
 */

#include "agent/hooks.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/socket_way.h"
#include "agent/state.h"
#include "agent/sys.h"

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

HOOK pid_t _Fork(void);

static _Atomic uint32_t last_fork_token;

/* Whether libc calls just_before_fork(). */
static bool libc_calls_us;

void hooks_about_to_fork(uintptr_t cfa) {
        struct epoch *epoch = agent_epoch_to_fork();
        thread_state.fork_token = 0;
        if (!epoch)
                return;
        uint32_t token = atomic_fetch_add(&last_fork_token, 1) + 1;
        recorder_note(epoch, RECORD_FORK, token, 0, cfa);
        thread_state.fork_token = token;
}

/* In the child of a fork. A child in whose handlers of pthread_atfork() something was recorded has greeted by now. */
static void begin_child(void) {
        if (atomic_load(&process_page.pid) == sys_getpid())
                return;
        /* what the kernel did already, where it knows MADV_WIPEONFORK */
        atomic_store(&process_page.gate, GATE_NEW);
        atomic_store(&process_page.arming, 0);
        atomic_store(&process_page.pid, 0);
        atomic_store(&process_page.version, 0);
        atomic_store(&process_page.fork_token, thread_state.fork_token);
        thread_state.fork_token = 0;
}

pid_t hooks_forked(pid_t pid, uintptr_t cfa) {
        uint32_t token = thread_state.fork_token;
        if (pid == 0) {
                begin_child();
                return 0;
        }
        if (token == 0)
                return pid;
        thread_state.fork_token = 0;
        struct epoch *epoch = agent_epoch_any();
        if (epoch)
                recorder_note(epoch, RECORD_FORK_DONE, token, pid > 0 ? (uint64_t)pid : 0, cfa);
        return pid;
}

/* Handlers of pthread_atfork() for the time before a fork are called in the reverse order of their registration, and
 * ours was the first: what the others allocate and free is the child's too. */
static void just_before_fork(void) {
        hooks_about_to_fork(HOOK_CFA);
}

static void about_to_call_libc(uintptr_t cfa) {
        if (!libc_calls_us)
                hooks_about_to_fork(cfa);
}

HOOK pid_t fork(void) {
        REAL(fork);

        about_to_call_libc(HOOK_CFA);
        return hooks_forked(real_fork(), HOOK_CFA);
}

HOOK pid_t _Fork(void) {
        REAL(_Fork);

        hooks_about_to_fork(HOOK_CFA);
        return hooks_forked(real__Fork ? real__Fork() : (pid_t)sys_call_always(SYS_fork, 0, 0, 0, 0, 0, 0), HOOK_CFA);
}

HOOK pid_t forkpty(int *master, char *name, const struct termios *terminal, const struct winsize *size) {
        REAL(forkpty);

        about_to_call_libc(HOOK_CFA);
        return hooks_forked(real_forkpty(master, name, terminal, size), HOOK_CFA);
}

/* Return: 0; -errno. */
static int streams_to_null(void) {
        struct stat status;
        int fd = sys_open("/dev/null", O_RDWR);
        if (fd < 0)
                return fd;
        int r = sys_fstat(fd, &status);
        if (r == 0 && (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3)))
                r = -ENODEV;
        for (int stream = 0; r >= 0 && stream <= 2; stream++)
                r = (int)sys_call_always(SYS_dup2, fd, stream, 0, 0, 0, 0);
        if (fd > 2)
                sys_close(fd);
        return r < 0 ? r : 0;
}

/* What daemon(3) says, by the fork() above: inside of libc's the parent would end before it has said what child it has,
 * and the child's table would be gone with it. */
HOOK int daemon(int keep_directory, int keep_streams) {
        pid_t pid = fork();
        if (pid > 0)
                _exit(EXIT_SUCCESS);
        if (pid < 0)
                return -1;
        long r = sys_call_always(SYS_setsid, 0, 0, 0, 0, 0, 0);
        if (r >= 0 && !keep_directory)
                sys_call_always(SYS_chdir, (long)"/", 0, 0, 0, 0, 0); /* libc's goes on without it, too */
        if (r >= 0 && !keep_streams)
                r = streams_to_null();
        if (r >= 0)
                return 0;
        errno = (int)-r;
        return -1;
}

/* What others record while the process ends reaches the daemon in a ring, but maybe not through a socket. */
static uint32_t others_go_on(const struct epoch *epoch) {
        return epoch->socket && thread_others() ? RECORD_OTHERS_GO_ON : 0;
}

static void execing(uintptr_t cfa) {
        struct epoch *epoch = agent_epoch_any();
        if (epoch)
                recorder_note(epoch, RECORD_EXEC, others_go_on(epoch), 0, cfa);
}

static int exec_failed(int r, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch_any();
        if (epoch)
                recorder_note(epoch, RECORD_EXEC_BACK, 0, 0, cfa);
        return r;
}

void hooks_about_to_share(uint64_t flags) {
        if (!(flags & CLONE_VM) || (flags & CLONE_VFORK))
                return;
        agent_share_memory();
        if (!(flags & CLONE_SETTLS))
                thread_share();
}

/* The last three arguments are there if the
 * flags say so; what lies in their places otherwise is passed on unread. */
HOOK int clone(int (*start)(void *), void *stack, int flags, void *argument, ...) {
        REAL(clone);
        void *parent_tid, *tls, *child_tid;
        va_list rest;

        va_start(rest, argument);
        parent_tid = va_arg(rest, void *);
        tls = va_arg(rest, void *);
        child_tid = va_arg(rest, void *);
        va_end(rest);
        if (flags & CLONE_VM) {
                hooks_about_to_share((unsigned)flags);
                return real_clone(start, stack, flags, argument, parent_tid, tls, child_tid);
        }
        hooks_about_to_fork(HOOK_CFA);
        return hooks_forked(real_clone(start, stack, flags, argument, parent_tid, tls, child_tid), HOOK_CFA);
}

HOOK int execve(const char *path, char *const argv[], char *const envp[]) {
        REAL(execve);

        execing(HOOK_CFA);
        return exec_failed(real_execve(path, argv, envp), HOOK_CFA);
}

HOOK int execv(const char *path, char *const argv[]) {
        REAL(execv);

        execing(HOOK_CFA);
        return exec_failed(real_execv(path, argv), HOOK_CFA);
}

HOOK int execvp(const char *file, char *const argv[]) {
        REAL(execvp);

        execing(HOOK_CFA);
        return exec_failed(real_execvp(file, argv), HOOK_CFA);
}

HOOK int execvpe(const char *file, char *const argv[], char *const envp[]) {
        REAL(execvpe);

        execing(HOOK_CFA);
        return exec_failed(real_execvpe(file, argv, envp), HOOK_CFA);
}

HOOK int fexecve(int fd, char *const argv[], char *const envp[]) {
        REAL(fexecve);

        execing(HOOK_CFA);
        return exec_failed(real_fexecve(fd, argv, envp), HOOK_CFA);
}

/* The arguments of an execl*() as libc collects them: on the stack. Sets argv; with envp, that too. */
#define COLLECT_ARGUMENTS(first)                                                                                       \
        va_list list;                                                                                                  \
        char **argv;                                                                                                   \
        size_t n = 1;                                                                                                  \
                                                                                                                       \
        va_start(list, first);                                                                                         \
        while (va_arg(list, char *))                                                                                   \
                n++;                                                                                                   \
        va_end(list);                                                                                                  \
        argv = alloca((n + 1) * sizeof *argv);                                                                         \
        argv[0] = (char *)first;                                                                                       \
        va_start(list, first);                                                                                         \
        for (size_t i = 1; i <= n; i++)                                                                                \
        argv[i] = va_arg(list, char *)

HOOK int execl(const char *path, const char *argument, ...) {
        REAL(execv);
        COLLECT_ARGUMENTS(argument);

        va_end(list);
        execing(HOOK_CFA);
        return exec_failed(real_execv(path, argv), HOOK_CFA);
}

HOOK int execlp(const char *file, const char *argument, ...) {
        REAL(execvp);
        COLLECT_ARGUMENTS(argument);

        va_end(list);
        execing(HOOK_CFA);
        return exec_failed(real_execvp(file, argv), HOOK_CFA);
}

HOOK int execle(const char *path, const char *argument, ...) {
        REAL(execve);
        COLLECT_ARGUMENTS(argument);
        char *const *envp = va_arg(list, char *const *);

        va_end(list);
        execing(HOOK_CFA);
        return exec_failed(real_execve(path, argv, envp), HOOK_CFA);
}

static void exiting(int status, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch_any();
        if (!epoch)
                return;
        if (epoch->socket)
                atomic_store(&epoch->socket->ending, 1);
        recorder_note(epoch, RECORD_EXIT, others_go_on(epoch), (uint32_t)status, cfa);
}

HOOK void _exit(int status) {
        REAL(_exit);

        exiting(status, HOOK_CFA);
        real__exit(status);
        __builtin_unreachable();
}

HOOK void _Exit(int status) {
        REAL(_Exit);

        exiting(status, HOOK_CFA);
        real__Exit(status);
        __builtin_unreachable();
}

HOOK void quick_exit(int status) {
        REAL(quick_exit);

        exiting(status, HOOK_CFA);
        real_quick_exit(status);
        __builtin_unreachable();
}

/* exit(), and the return from main, which no hook sees. */
static void on_exit_handler(int status, void *context) {
        exiting(status, HOOK_CFA);
}

void hooks_process_setup(void) {
        int (*real_on_exit)(void (*)(int, void *), void *) =
                (int (*)(void (*)(int, void *), void *))real_symbol("on_exit");
        /* pthread_atfork(), which is no symbol of a shared libc */
        int (*register_atfork)(void (*)(void), void (*)(void), void (*)(void), void *) =
                (int (*)(void (*)(void), void (*)(void), void (*)(void), void *))real_symbol("__register_atfork");

        libc_calls_us = register_atfork && register_atfork(just_before_fork, NULL, NULL, NULL) == 0;
        if (real_on_exit)
                real_on_exit(on_exit_handler, NULL);
}

/* What destructors and later handlers did; libraries that are still to come are not seen. */
static __attribute__((destructor)) void last_words(void) {
        struct epoch *epoch = agent_epoch_any();
        if (epoch && epoch->socket && !thread_is_recording())
                agent_drain(epoch, true);
}

HOOK int dlclose(void *handle) {
        REAL(dlclose);
        struct epoch *epoch;
        int r;

        modules_unload_begin();
        r = real_dlclose(handle);
        epoch = agent_epoch_any();
        if (epoch)
                recorder_check_modules(epoch, HOOK_CFA);
        modules_unload_end();
        return r;
}
