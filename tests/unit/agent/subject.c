/* SPDX-License-Identifier: Apache-2.0 */

/*
 * subject CASE: a program to be traced. Each case does one thing whose effect on
 * the table is known (test_agent*.c have the numbers, as differences to case "nothing").
 */

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                         \
                        fflush(stdout);                                                                                \
                        _exit(99);                                                                                     \
                }                                                                                                      \
        } while (0)

static void *volatile kept; /* so that the compiler leaves allocations alone */
static char **arguments;

static void leak(size_t size) {
        kept = malloc(size);
}

static int nothing(void) {
        return 0;
}

static int kinds(void) {
        void *block;
        kept = malloc(1);
        kept = calloc(3, 5);
        kept = realloc(NULL, 7);
        kept = reallocarray(NULL, 3, 7);
        EXPECT(posix_memalign(&block, 64, 100) == 0);
        kept = aligned_alloc(64, 128);
        kept = memalign(128, 11);
        kept = valloc(13);
        kept = pvalloc(17);
        kept = malloc(0);
        return 0;
}

/* Everything here gives back what it takes, or fails. */
static int failures(void) {
        volatile size_t huge = SIZE_MAX / 2;
        void *block = malloc(10), *untouched = &block;
        errno = 77;
        free(malloc(5));
        EXPECT(errno == 77);
        EXPECT(realloc(block, huge) == NULL && errno == ENOMEM);
        block = realloc(block, 100000);
        block = realloc(block, 20);
        EXPECT(reallocarray(block, huge, 16) == NULL && errno == ENOMEM);
        EXPECT(realloc(block, 0) == NULL);
        EXPECT(malloc(huge) == NULL && calloc(huge, 2) == NULL && calloc(huge, 16) == NULL);
        EXPECT(posix_memalign(&untouched, 3, 8) == EINVAL && untouched == (void *)&block);
        EXPECT(aligned_alloc(64, huge) == NULL);
        free(NULL);
        return 0;
}

static void *churn(void *data) {
        unsigned seed = (unsigned)(uintptr_t)data;
        void *blocks[64] = {NULL};
        for (int i = 0; i < 20000; i++) {
                seed = seed * 1103515245 + 12345;
                unsigned k = (seed >> 16) % 64;
                if (seed >> 8 & 1) {
                        free(blocks[k]);
                        blocks[k] = malloc(seed % 500 + 1);
                } else {
                        blocks[k] = realloc(blocks[k], seed % 900 + 1);
                }
        }
        for (int i = 0; i < 64; i++)
                free(blocks[i]);
        return NULL;
}

static int threads(void) {
        pthread_t ids[8];
        for (int round = 0; round < 4; round++) {
                for (uintptr_t i = 0; i < 8; i++)
                        EXPECT(pthread_create(&ids[i], NULL, churn, (void *)i) == 0);
                for (int i = 0; i < 8; i++)
                        pthread_join(ids[i], NULL);
        }
        return 0;
}

static int wait_for(pid_t pid) {
        int status;
        EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int fork_child(void) {
        void *before = malloc(1000);
        pid_t pid = fork();
        if (pid == 0) {
                free(before);
                leak(10);
                leak(20);
                _exit(12);
        }
        EXPECT(wait_for(pid) == 12);
        free(before);
        return 0;
}

/* By an instruction of its own, as nobody can see. */
static int bare_fork(void) {
        void *before = malloc(1000);
        long pid;
        __asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_fork) : "rcx", "r11", "memory");
        if (pid == 0) {
                free(before);
                leak(10);
                _exit(13);
        }
        EXPECT(wait_for((pid_t)pid) == 13);
        free(before);
        return 0;
}

/* The grandchildren's parent recorded nothing before it forked them, as a server that made itself a daemon. */
static int fork_twice(void) {
        void *before = malloc(1000);
        pid_t pid = fork();
        if (pid == 0) {
                for (int i = 0; i < 2; i++) {
                        pid = fork();
                        if (pid == 0) {
                                free(before);
                                _exit(14);
                        }
                        EXPECT(wait_for(pid) == 14);
                }
                free(before);
                _exit(15);
        }
        EXPECT(wait_for(pid) == 15);
        free(before);
        return 0;
}

/* The first allocation of all is a vfork child's: recorded, but not in another's name. */
static int vfork_first(void) {
        pid_t pid = vfork();
        if (pid == 0) {
                leak(10);
                _exit(7);
        }
        EXPECT(wait_for(pid) == 7);
        leak(20);
        return 0;
}

static int vfork_child(void) {
        pid_t pid = vfork();
        if (pid == 0) {
                leak(10); /* the parent's heap */
                execl(arguments[0], arguments[0], "nothing", (char *)NULL);
                _exit(1);
        }
        EXPECT(wait_for(pid) == 0);
        pid = vfork();
        if (pid == 0)
                _exit(7);
        EXPECT(wait_for(pid) == 7);
        leak(20);
        return 0;
}

static atomic_bool stop;

static void *churn_until_stopped(void *data) {
        while (!stop)
                churn(data);
        return NULL;
}

static int fork_threaded(void) {
        pthread_t ids[3];
        for (uintptr_t i = 0; i < 3; i++)
                EXPECT(pthread_create(&ids[i], NULL, churn_until_stopped, (void *)i) == 0);
        for (int i = 0; i < 60; i++) {
                pid_t pid = fork();
                if (pid == 0) {
                        free(malloc(100));
                        _exit(0);
                }
                EXPECT(wait_for(pid) == 0);
        }
        stop = true;
        for (int i = 0; i < 3; i++)
                pthread_join(ids[i], NULL);
        return 0;
}

static int exec_back(void) {
        char *const argv[] = {(char *)"nowhere", NULL};
        EXPECT(execve("/nowhere/at/all", argv, argv) == -1 && errno == ENOENT);
        EXPECT(execvp("no-such-program-anywhere", argv) == -1 && errno == ENOENT);
        EXPECT(execl("/nowhere", "a", "b", (char *)NULL) == -1 && errno == ENOENT);
        leak(10);
        return 0;
}

static int exec_forms(void) {
        extern char **environ;
        static const char program[] = "/bin/echo";
        int fds[2];
        char text[64] = "";
        size_t n = 0;

        for (int form = 0; form < 4; form++) {
                EXPECT(pipe(fds) == 0);
                pid_t pid = fork();
                if (pid == 0) {
                        dup2(fds[1], 1);
                        if (form == 0)
                                execl(program, "echo", "a", "b", "c", "d", "e", "f", "g", (char *)NULL);
                        if (form == 1)
                                execlp("echo", "echo", "a", "b", "c", "d", "e", "f", "g", (char *)NULL);
                        if (form == 2)
                                execle(program, "echo", "a", "b", "c", "d", "e", "f", "g", (char *)NULL, environ);
                        if (form == 3)
                                execvpe("echo",
                                        (char *const[]){(char *)"echo", (char *)"a b c d e", (char *)"f g", NULL},
                                        environ);
                        _exit(1);
                }
                close(fds[1]);
                EXPECT(wait_for(pid) == 0);
                n = (size_t)read(fds[0], text, sizeof text - 1);
                close(fds[0]);
                text[n] = '\0';
                EXPECT(strcmp(text, "a b c d e f g\n") == 0);
        }
        return 0;
}

static int exec_self(void) {
        leak(10);
        execl(arguments[0], arguments[0], "kinds", (char *)NULL);
        return 98;
}

static int exit_by_exit(void) {
        exit(3);
}

static int exit_by_return(void) {
        return 6;
}

static int exit_by_quick_exit(void) {
        quick_exit(5);
}

static int exit_by_underscore(void) {
        leak(10);
        _exit(4);
}

static int exit_by_kill(void) {
        leak(10);
        raise(SIGKILL);
        return 1;
}

static int exit_by_abort(void) {
        leak(10);
        abort();
}

static void allocate_in_handler(int signal_number) {
        leak(10);
}

static int handlers(void) {
        static char stack[65536];
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
        struct sigaction action = {.sa_handler = allocate_in_handler};
        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        raise(SIGUSR1);
        EXPECT(sigaltstack(&alternate, NULL) == 0);
        action.sa_flags = SA_ONSTACK;
        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        raise(SIGUSR1);
        return 0;
}

static sigjmp_buf back;

static void jump(int signal_number) {
        siglongjmp(back, 1);
}

/* Out of whatever was going on 2,000 times; free space that libc loses on the way is nobody's. */
static int longjmps(void) {
        struct sigaction action = {.sa_handler = jump, .sa_flags = SA_NODEFER};
        static volatile int n;
        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        while (n < 2000) {
                if (sigsetjmp(back, 1) == 0) {
                        leak(10);
                        n++;
                        raise(SIGUSR1);
                }
        }
        return 0;
}

static void alloc_from_coroutine(void) {
        leak(10);
}

static int coroutine(void) {
        static char stack[65536];
        static ucontext_t here, there;
        EXPECT(getcontext(&there) == 0);
        there.uc_stack.ss_sp = stack;
        there.uc_stack.ss_size = sizeof stack;
        there.uc_link = &here;
        makecontext(&there, alloc_from_coroutine, 0);
        EXPECT(swapcontext(&here, &there) == 0);
        return 0;
}

static int use_plugins(int rounds) {
        for (int round = 0; round < rounds; round++)
                for (int i = 2; i < 4; i++) {
                        void *plugin = dlopen(arguments[i], RTLD_NOW);
                        void *(*allocate)(size_t) = plugin ? (void *(*)(size_t))dlsym(plugin, "plugin_allocate") : NULL;

                        EXPECT(allocate);
                        kept = allocate(100);
                        EXPECT(dlclose(plugin) == 0);
                }
        return 0;
}

static int plugins(void) {
        return use_plugins(3);
}

/* While one thread unmaps a library, others look whether theirs are still there. */
static int plugins_beside_threads(void) {
        pthread_t ids[3];
        for (uintptr_t i = 0; i < 3; i++)
                EXPECT(pthread_create(&ids[i], NULL, churn_until_stopped, (void *)i) == 0);
        EXPECT(use_plugins(200) == 0);
        stop = true;
        for (int i = 0; i < 3; i++)
                pthread_join(ids[i], NULL);
        return 0;
}

static int close_all(void) {
        for (int fd = 3; fd < 4096; fd++)
                close(fd);
        for (int i = 0; i < 1000; i++)
                leak(10);
        return 0;
}

static __attribute__((noinline)) void deep(int depth) {
        if (depth == 0)
                leak(10);
        else
                deep(depth - 1);
        kept = NULL; /* no tail call */
}

static int recursion(void) {
        deep(100);
        deep(200);
        return 0;
}

static int mappings(void) {
        char *memory = mmap(NULL, 10 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(memory != MAP_FAILED);
        EXPECT(munmap(memory + 4096, 4096) == 0);
        EXPECT(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
        memory = mmap(NULL, 5000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory = mremap(memory, 5000, 20000, MREMAP_MAYMOVE);
        EXPECT(memory != MAP_FAILED);
        return 0;
}

static bool is_refused(char *memory, size_t old_length, size_t length, int flags, int error) {
        return mremap(memory, old_length, length, flags) == MAP_FAILED && errno == error;
}

/* Of 9 pages that stay, and of some that are nobody's. */
static int refused_moves(void) {
        char *memory = mmap(NULL, 10 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
             *nobodys = memory + 9 * 4096;
        EXPECT(memory != MAP_FAILED && munmap(nobodys, 4096) == 0);
        EXPECT(is_refused(nobodys, 4096, 8192, MREMAP_MAYMOVE, EFAULT));
        EXPECT(is_refused(memory, 10 * 4096, 20 * 4096, MREMAP_MAYMOVE, EFAULT));
        EXPECT(is_refused(memory + 1, 4096, 8192, MREMAP_MAYMOVE, EINVAL));
        EXPECT(is_refused(memory, 4096, 0, MREMAP_MAYMOVE, EINVAL));
        EXPECT(is_refused(memory, 4096, 8192, 0, ENOMEM));
        EXPECT(mremap(memory, 9 * 4096, 8 * 4096, 0) == memory);
        return 0;
}

/* Again with tight limits, to see whether that is still a program. */
static int limits(void) {
        struct rlimit limit = {256 << 20, 256 << 20};
        if (strcmp(arguments[2], "as") == 0)
                EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
        limit = (struct rlimit){0, 0};
        if (strcmp(arguments[2], "fsize") == 0)
                EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        limit.rlim_cur = limit.rlim_max = (rlim_t)dup(0) + 1; /* one descriptor: enough for the loader */
        close((int)limit.rlim_cur - 1);
        if (strcmp(arguments[2], "nofile") == 0)
                EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        execl(arguments[0], arguments[0], "kinds", (char *)NULL);
        return 98;
}

/* Allocates until standard input ends. */
static int until_eof(void) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        do
                for (int i = 0; i < 200000; i++)
                        free(malloc(10));
        while (poll(&input, 1, 0) == 0);
        return 0;
}

/* Does nothing until it is told to. */
static int told_until_eof(void) {
        char byte;
        return read(0, &byte, 1) == 1 ? until_eof() : 1;
}

static int many(void) {
        for (int i = 0; i < 100000; i++)
                free(malloc(10));
        return 0;
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*run)(void);
        } cases[] = {
                {"nothing", nothing},
                {"kinds", kinds},
                {"failures", failures},
                {"threads", threads},
                {"fork_child", fork_child},
                {"bare_fork", bare_fork},
                {"fork_twice", fork_twice},
                {"vfork_child", vfork_child},
                {"fork_threaded", fork_threaded},
                {"exec_back", exec_back},
                {"exec_forms", exec_forms},
                {"exec_self", exec_self},
                {"exit_by_exit", exit_by_exit},
                {"exit_by_return", exit_by_return},
                {"exit_by_quick_exit", exit_by_quick_exit},
                {"exit_by_underscore", exit_by_underscore},
                {"exit_by_kill", exit_by_kill},
                {"exit_by_abort", exit_by_abort},
                {"handlers", handlers},
                {"longjmps", longjmps},
                {"coroutine", coroutine},
                {"plugins", plugins},
                {"plugins_beside_threads", plugins_beside_threads},
                {"close_all", close_all},
                {"recursion", recursion},
                {"mappings", mappings},
                {"refused_moves", refused_moves},
                {"limits", limits},
                {"until_eof", until_eof},
                {"told_until_eof", told_until_eof},
                {"many", many},
        };

        arguments = argv;
        if (argc > 1 && strcmp(argv[1], "vfork_first") == 0)
                return vfork_first();
        leak(1); /* so that every case is traced from here on */
        for (unsigned i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
                if (strcmp(cases[i].name, argv[1]) == 0)
                        return cases[i].run();
        return 97;
}
