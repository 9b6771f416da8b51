/* SPDX-License-Identifier: Apache-2.0 */

/* What a process brings forth: by fork, vfork, clone, posix_spawn, and as daemons do. */

#include "tests/support/life/life.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int forks(void) {
        for (int i = 0; i < 20; i++) {
                some_work();
                pid_t pid = fork();
                if (pid == 0) {
                        ledger_fork();
                        some_work();
                        _exit(i);
                }
                EXPECT(wait_for(pid) == i);
        }
        say("forked");
        return 0;
}

/* A mapping, whose address no later block takes. */
#define HANDLERS_FIRST 200000

static void *handlers_block;

static void before_fork(void) {
        ledger_free(handlers_block, HANDLERS_FIRST);
        handlers_block = ledger_malloc(701);
        some_work();
}

static void after_fork_in_child(void) {
        ledger_fork();
        ledger_free(handlers_block, 701);
        handlers_block = ledger_malloc(702);
}

/* As OpenBLAS does, which ends its threads before a fork. */
static int fork_handlers(void) {
        handlers_block = ledger_malloc(HANDLERS_FIRST);
        EXPECT(pthread_atfork(before_fork, NULL, after_fork_in_child) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                some_work();
                _exit(18);
        }
        EXPECT(wait_for(pid) == 18);
        return 0;
}

/* Every twentieth child records something, the others end as most children do: soon and in silence. */
static int many_forks(void) {
        int n = atoi(arguments[2]);
        start_threads(make_noise, 2);
        await_steps(1000);
        for (int i = 0; i < n; i += 20) {
                pid_t pids[20];
                for (int k = 0; k < 20; k++) {
                        pids[k] = fork();
                        if (pids[k] != 0)
                                continue;
                        if (k == 0)
                                free(malloc(100));
                        _exit(k);
                }
                for (int k = 0; k < 20; k++)
                        EXPECT(wait_for(pids[k]) == k);
        }
        join_threads(2);
        some_work();
        say("forked");
        return 0;
}

static int fork_nested(void) {
        pid_t pid = fork();
        if (pid == 0) { /* ends without a record of its own */
                pid = fork();
                if (pid == 0) {
                        ledger_fork();
                        some_work();
                        _exit(7);
                }
                _exit(wait_for(pid));
        }
        EXPECT(wait_for(pid) == 7);
        some_work();
        return 0;
}

static int vforks(void) {
        pid_t pid = vfork();
        if (pid == 0) {
                ledger_malloc(500); /* the parent's heap */
                execl("/proc/self/exe", "life_subject", "ends", (char *)NULL);
                _exit(98);
        }
        EXPECT(wait_for(pid) == 5);
        pid = vfork();
        if (pid == 0) {
                ledger_malloc(501);
                _exit(9);
        }
        EXPECT(wait_for(pid) == 9);
        some_work();
        return 0;
}

static int spawns(void) {
        char *argv[] = {(char *)"life_subject", (char *)"ends", NULL};
        posix_spawn_file_actions_t actions;
        pid_t pid;
        some_work();
        EXPECT(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
        EXPECT(wait_for(pid) == 5);
        EXPECT(posix_spawn_file_actions_init(&actions) == 0);
        EXPECT(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0);
        EXPECT(posix_spawnp(&pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
        EXPECT(wait_for(pid) == 5);
        EXPECT(posix_spawn(&pid, "/nowhere", NULL, NULL, argv, environ) == ENOENT);
        posix_spawn_file_actions_destroy(&actions);
        EXPECT(system("true") == 0);
        return 0;
}

static pid_t clone_by_syscall(void) {
        return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t clone3_by_syscall(void) {
        struct clone_args args = {.exit_signal = SIGCHLD};
        EXPECT(syscall(SYS_clone3, NULL, sizeof args) < 0 && errno == EFAULT);
        EXPECT(syscall(SYS_clone3, &args, 8) < 0 && errno == EINVAL);
        return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static pid_t fork_by_syscall(void) {
        return (pid_t)syscall(SYS_fork);
}

/* As nobody can see. */
static pid_t bare_fork(void) {
        long pid;
        __asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_fork) : "rcx", "r11", "memory");
        return (pid_t)pid;
}

static int forks_by(pid_t (*make_child)(void)) {
        some_work();
        pid_t pid = make_child();
        if (pid == 0) {
                ledger_fork();
                some_work();
                _exit(13);
        }
        EXPECT(wait_for(pid) == 13);
        some_work();
        return 0;
}

static int syscall_forks(void) {
        return forks_by(fork_by_syscall) || forks_by(clone_by_syscall) || forks_by(clone3_by_syscall);
}

static int bare_forks(void) {
        return forks_by(bare_fork);
}

static int in_clone(void *data) {
        ledger_malloc(600);
        return 14;
}

/* A process of its own on this process's memory: what it allocates is ours. */
static int clone_vm(void) {
        static char stack[1 << 18] __attribute__((aligned(16)));
        pid_t pid = clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        EXPECT(wait_for(pid) == 14);
        some_work();
        return 0;
}

#define N_MAPS 100000

static __attribute__((noinline)) void map_and_unmap_below(unsigned depth) {
        char *volatile frame = (char *)&depth; /* no tail call */
        if (depth > 0) {
                map_and_unmap_below(depth - 1);
                kept = frame;
                return;
        }
        void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(memory != MAP_FAILED && munmap(memory, 4096) == 0);
}

/* Each time from another depth, so that each stack is another one. */
static int map_and_unmap(void *data) {
        unsigned seed = data ? 1 : 2;
        for (int i = 0; i < N_MAPS; i++) {
                seed = seed * 1103515245 + 12345;
                map_and_unmap_below(seed >> 16 & 63);
        }
        return 15;
}

static char other_stack[1 << 18] __attribute__((aligned(16)));

static pid_t share_by_clone(void) {
        return clone(map_and_unmap, other_stack + sizeof other_stack, CLONE_VM | SIGCHLD, other_stack);
}

static void begin_on_other_stack(void) {
        _exit(map_and_unmap(other_stack));
}

/* Where syscall() returns to in a child on the other stack. Return: its stack pointer. */
static uintptr_t prepare_return(void) {
        uintptr_t *top = (uintptr_t *)(other_stack + sizeof other_stack) - 2;
        *top = (uintptr_t)begin_on_other_stack;
        return (uintptr_t)top;
}

static pid_t share_by_syscall(void) {
        return (pid_t)syscall(SYS_clone, CLONE_VM | SIGCHLD, prepare_return(), NULL, NULL, NULL);
}

static pid_t share_by_clone3(void) {
        struct clone_args args = {.flags = CLONE_VM, .exit_signal = SIGCHLD};
        args.stack = (uintptr_t)other_stack;
        args.stack_size = prepare_return() - args.stack;
        return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* The same, both at once. libc believes that it has one thread, so its malloc() is for neither of them. */
static int clones_beside_by(pid_t (*share)(void)) {
        pid_t pid = share();
        EXPECT(pid > 0 && map_and_unmap(NULL) == 15 && wait_for(pid) == 15);
        say("both have mapped");
        return 0;
}

static int clone_beside(void) {
        return clones_beside_by(share_by_clone);
}

static int clone_beside_by_syscall(void) {
        return clones_beside_by(share_by_syscall);
}

static int clone3_beside(void) {
        return clones_beside_by(share_by_clone3);
}

static int in_clone_alone(void *data) {
        ledger_fork();
        some_work();
        return 14;
}

/* A fork by clone(), on a stack of the child's own. */
static int clone_forks(void) {
        static char stack[1 << 18] __attribute__((aligned(16)));
        some_work();
        EXPECT(wait_for(clone(in_clone_alone, stack + sizeof stack, SIGCHLD, NULL)) == 14);
        some_work();
        return 0;
}

/* Until the last process that holds the pipe's other end has written a byte, and ended. */
static int await_daemon(const int *fds) {
        char byte;
        close(fds[1]);
        EXPECT(read(fds[0], &byte, 1) == 1);
        EXPECT(read(fds[0], &byte, 1) == 0);
        return 0;
}

static int daemonizes(void) {
        int fds[2];
        some_work();
        EXPECT(pipe(fds) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                ledger_fork();
                EXPECT(setsid() > 0);
                pid = fork();
                if (pid != 0)
                        _exit(pid > 0 ? 15 : 99);
                for (int fd = 3; fd < 64; fd++)
                        if (fd != fds[1])
                                close(fd);
                ledger_fork();
                some_work();
                EXPECT(write(fds[1], "x", 1) == 1);
                _exit(16);
        }
        EXPECT(wait_for(pid) == 15);
        return await_daemon(fds);
}

/* By libc's function, inside of which the parent ends. The child says nothing for as long as the daemon may take to
 * notice. */
static int daemonizes_by_libc(void) {
        int fds[2];
        char byte;
        some_work();
        EXPECT(pipe(fds) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                ledger_fork();
                EXPECT(daemon(0, 0) == 0);
                usleep(200000);
                ledger_fork();
                some_work();
                EXPECT(read(0, &byte, 1) == 0 && write(fds[1], "x", 1) == 1);
                _exit(getsid(0) == getpid() ? 19 : 98);
        }
        EXPECT(wait_for(pid) == 0);
        return await_daemon(fds);
}

/* As nginx does: what is a daemon by now allocates nothing before it forks its workers. */
static int pre_fork_daemon(void) {
        some_work();
        pid_t pid = fork();
        if (pid == 0) {
                pid_t workers[3];
                EXPECT(setsid() > 0);
                for (size_t i = 0; i < 3; i++) {
                        workers[i] = fork();
                        if (workers[i] == 0) {
                                ledger_fork();
                                some_work();
                                _exit((int)(20 + i));
                        }
                }
                for (size_t i = 0; i < 3; i++)
                        EXPECT(wait_for(workers[i]) == (int)(20 + i));
                ledger_fork();
                some_work();
                _exit(17);
        }
        EXPECT(wait_for(pid) == 17);
        return 0;
}

static void *return_at_once(void *data) {
        return data;
}

static void *work_in_child(void *data) {
        ledger_fork();
        some_work();
        return data;
}

static void in_thread(void *(*run)(void *)) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* The child's first record is another thread's, for which libc has a stack left, so that it allocates none. */
static int fork_then_thread(void) {
        some_work();
        in_thread(return_at_once);
        pid_t pid = fork();
        if (pid == 0) {
                in_thread(work_in_child);
                _exit(16);
        }
        EXPECT(wait_for(pid) == 16);
        return 0;
}

/* As servers do that begin as root: what they fork is the other user's from its first record on. */
static int forks_as_another_user(void) {
        some_work();
        EXPECT(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                ledger_fork();
                some_work();
                _exit(19);
        }
        EXPECT(wait_for(pid) == 19);
        return 0;
}

/* A child that has recorded nothing yet, and gets no terminal to fork with. */
static int forkpty_fails(void) {
        struct rlimit limit, none = {0};
        int master;
        some_work();
        pid_t pid = fork();
        if (pid == 0) {
                EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
                none.rlim_max = limit.rlim_max;
                EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
                EXPECT(forkpty(&master, NULL, NULL, NULL) < 0);
                EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
                ledger_fork();
                some_work();
                _exit(17);
        }
        EXPECT(wait_for(pid) == 17);
        return 0;
}

const struct life_case life_children[] = {
        {"fork", forks},
        {"fork_handlers", fork_handlers},
        {"many_forks", many_forks},
        {"fork_nested", fork_nested},
        {"vfork", vforks},
        {"posix_spawn", spawns},
        {"syscall_forks", syscall_forks},
        {"bare_forks", bare_forks},
        {"clone_vm", clone_vm},
        {"clone_beside", clone_beside},
        {"clone_beside_by_syscall", clone_beside_by_syscall},
        {"clone3_beside", clone3_beside},
        {"clone_forks", clone_forks},
        {"daemonize", daemonizes},
        {"daemonize_by_libc", daemonizes_by_libc},
        {"pre_fork_daemon", pre_fork_daemon},
        {"fork_then_thread", fork_then_thread},
        {"forkpty_fails", forkpty_fails},
        {"forks_as_another_user", forks_as_another_user},
        {0},
};
