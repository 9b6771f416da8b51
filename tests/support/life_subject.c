/* SPDX-License-Identifier: Apache-2.0 */

/*
 * life_subject CASE [ARGUMENT]: a program to be traced that lives and dies in one of the ways
 * that programs do, and keeps an account of its own blocks while it does.
 *
 * The account ("ledger") of each image is a file $LIFE_LEDGERS/PID.N, mapped shared, so that it outlives
 * whatever happens to the process. It counts what ledger_malloc() and ledger_free() do, before and after
 * they do it: a thread that is killed in between leaves a difference, and the truth lies within it.
 * noise_malloc() is not accounted for. What is printed is the same in every run of a case.
 * test_life_and_death.py knows the cases; without $LIFE_LEDGERS they run all the same.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        dprintf(1, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));                \
                        _exit(99);                                                                                     \
                }                                                                                                      \
        } while (0)

#define N_LANES   64 /* threads take turns */
#define N_THREADS 8

struct lane {
        _Atomic uint64_t allocs_begun, alloc_bytes_begun, allocs_done, alloc_bytes_done;
        _Atomic uint64_t frees_begun, free_bytes_begun, frees_done, free_bytes_done;
};

static struct lane *ledger;
static _Atomic unsigned n_lanes_taken;
static __thread struct lane *own_lane;
static char **arguments;
extern char **environ;

/* ---- the account ---- */

static struct lane *ledger_map(void) {
        const char *folder = getenv("LIFE_LEDGERS");
        size_t bytes = N_LANES * sizeof(struct lane);
        void *memory;
        int fd = -1;

        for (int n = 1; folder && fd < 0 && n < 10000; n++) {
                char path[512];

                snprintf(path, sizeof(path), "%s/%d.%d", folder, (int)getpid(), n);
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
                if (fd < 0 && errno != EEXIST)
                        break;
        }
        if (fd >= 0)
                EXPECT(ftruncate(fd, (off_t)bytes) == 0);
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
        EXPECT(memory != MAP_FAILED);
        if (fd >= 0)
                close(fd);
        return memory;
}

static struct lane *lane(void) {
        if (!ledger)
                ledger = ledger_map();
        if (!own_lane)
                own_lane = &ledger[atomic_fetch_add(&n_lanes_taken, 1) % N_LANES];
        return own_lane;
}

/* The child of a fork has its parent's blocks, and from now on an account of its own. */
static void ledger_fork(void) {
        struct lane *parent = ledger, *own = ledger_map();
        size_t index = own_lane ? (size_t)(own_lane - parent) : 0;

        memcpy(own, parent, N_LANES * sizeof(struct lane));
        ledger = own;
        own_lane = &own[index];
}

static void *volatile kept; /* so that the compiler leaves allocations alone */

static __attribute__((noinline)) void *ledger_malloc(size_t size) {
        struct lane *l = lane();
        void *block;

        atomic_fetch_add(&l->allocs_begun, 1);
        atomic_fetch_add(&l->alloc_bytes_begun, size);
        block = malloc(size);
        EXPECT(block);
        atomic_fetch_add(&l->allocs_done, 1);
        atomic_fetch_add(&l->alloc_bytes_done, size);
        kept = block;
        return block;
}

static void ledger_free(void *block, size_t size) {
        struct lane *l = lane();

        atomic_fetch_add(&l->frees_begun, 1);
        atomic_fetch_add(&l->free_bytes_begun, size);
        free(block);
        atomic_fetch_add(&l->frees_done, 1);
        atomic_fetch_add(&l->free_bytes_done, size);
}

/* A static constructor, with an account already. */
static __attribute__((constructor(101))) void before_main(void) {
        ledger_malloc(1001);
}

/* ---- work ---- */

#define N_SLOTS 64

struct slots {
        unsigned seed;
        void *block[N_SLOTS];
        size_t size[N_SLOTS];
};

static void work(struct slots *slots, int steps) {
        for (int i = 0; i < steps; i++) {
                unsigned k;

                slots->seed = slots->seed * 1103515245 + 12345;
                k = slots->seed >> 16 & (N_SLOTS - 1);
                if (slots->block[k])
                        ledger_free(slots->block[k], slots->size[k]);
                slots->block[k] = NULL;
                if (slots->seed >> 8 & 1) {
                        slots->size[k] = (slots->seed >> 10) % 700 + 1;
                        slots->block[k] = ledger_malloc(slots->size[k]);
                }
        }
}

static _Atomic bool stop;
static _Atomic uint64_t n_steps;

static void *work_on(void *data) {
        static __thread struct slots slots;

        slots.seed = (unsigned)(uintptr_t)data + 1;
        while (!stop) {
                work(&slots, 100);
                atomic_fetch_add(&n_steps, 100);
        }
        return NULL;
}

/* Allocates and frees without an account, and leaves the processors to others now and then. */
static void *make_noise(void *data) {
        unsigned seed = (unsigned)(uintptr_t)data;

        while (!stop) {
                void *block;

                seed = seed * 1103515245 + 12345;
                block = malloc((seed >> 16) % 2000 + 1);
                kept = block;
                free(block);
                if (atomic_fetch_add(&n_steps, 1) % 64 == 0)
                        usleep(2000);
        }
        return NULL;
}

static pthread_t threads[N_THREADS];

static void start_threads(void *(*run)(void *), int n) {
        for (uintptr_t i = 0; i < (uintptr_t)n; i++)
                EXPECT(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
}

static void await_steps(uint64_t n) {
        while (atomic_load(&n_steps) < n)
                usleep(1000);
}

static void join_threads(int n) {
        stop = true;
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
}

static void some_work(void) {
        static struct slots slots;

        slots.seed += 7;
        work(&slots, 1000);
}

static void say(const char *text) {
        dprintf(1, "%s\n", text);
}

static int wait_for(pid_t pid) {
        int status;

        EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- ends ---- */

static int sigkill(void) {
        start_threads(work_on, N_THREADS);
        await_steps(100000);
        kill(getpid(), SIGKILL);
        return 1;
}

static int aborts(void) {
        start_threads(work_on, N_THREADS);
        await_steps(100000);
        abort();
}

static int segfaults(void) {
        start_threads(work_on, 3);
        await_steps(10000);
        *(volatile char *)16 = 1; /* below vm.mmap_min_addr */
        return 1;
}

static int underscore_exit(void) {
        start_threads(work_on, N_THREADS);
        await_steps(100000);
        say("leaving");
        _exit(41);
}

static void quick_handler(void) {
        ledger_malloc(77);
        say("quick handler");
}

static int quick_exits(void) {
        EXPECT(at_quick_exit(quick_handler) == 0);
        some_work();
        quick_exit(42);
}

static int exits_threaded(void) {
        start_threads(work_on, N_THREADS);
        await_steps(100000);
        say("leaving");
        exit(43);
}

static __attribute__((noreturn)) int out_of_memory(void) {
        for (;;) {
                char *block = ledger_malloc(1 << 20);

                memset(block, 1, 1 << 20);
        }
}

static void handler_one(void) {
        ledger_malloc(33);
        say("handler one");
}

static void handler_two(void) {
        ledger_malloc(44);
        free(malloc(10));
        say("handler two");
}

static __attribute__((destructor)) void after_main(void) {
        ledger_malloc(1002);
}

static int atexit_handlers(void) {
        EXPECT(atexit(handler_one) == 0 && atexit(handler_two) == 0);
        some_work();
        return 44;
}

/* ---- exec ---- */

static int exec_self(void) {
        some_work();
        execl("/proc/self/exe", "life_subject", "ends", (char *)NULL);
        return 98;
}

static void *exec_from_here(void *data) {
        execl("/proc/self/exe", "life_subject", "ends", (char *)NULL);
        return NULL;
}

static int exec_in_thread(void) {
        pthread_t id;

        start_threads(work_on, 4);
        await_steps(20000);
        EXPECT(pthread_create(&id, NULL, exec_from_here, NULL) == 0);
        for (;;)
                pause();
}

static int exec_other(void) {
        some_work();
        execv(arguments[2], arguments + 2);
        return 98;
}

static int ends(void) {
        some_work();
        say("the end");
        return 5;
}

/* ---- children ---- */

static int forks(void) {
        for (int i = 0; i < 20; i++) {
                pid_t pid;

                some_work();
                pid = fork();
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

static int raw_clone(void) {
        pid_t pid;

        some_work();
        pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
                ledger_fork();
                some_work();
                _exit(13);
        }
        EXPECT(wait_for(pid) == 13);
        some_work();
        return 0;
}

static int in_clone(void *data) {
        ledger_malloc(600);
        return 14;
}

/* A process of its own on this process's memory: what it allocates is ours. */
static int clone_vm(void) {
        static char stack[1 << 18] __attribute__((aligned(16)));
        pid_t pid = clone(in_clone, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

        EXPECT(wait_for(pid) == 14);
        some_work();
        return 0;
}

#define N_MAPS 100000

static int map_and_unmap(void *data) {
        for (int i = 0; i < N_MAPS; i++) {
                void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                EXPECT(memory != MAP_FAILED && munmap(memory, 4096) == 0);
        }
        return 15;
}

/* The same, both at once. libc believes that it has one thread, so its malloc() is for neither of them. */
static int clone_beside(void) {
        static char stack[1 << 18] __attribute__((aligned(16)));
        pid_t pid = clone(map_and_unmap, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

        EXPECT(map_and_unmap(NULL) == 15 && wait_for(pid) == 15);
        say("both have mapped");
        return 0;
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
        EXPECT(wait_for(clone(in_clone_alone, stack + sizeof(stack), SIGCHLD, NULL)) == 14);
        some_work();
        return 0;
}

static int daemonizes(void) {
        int fds[2];
        char byte;
        pid_t pid;

        some_work();
        EXPECT(pipe(fds) == 0);
        pid = fork();
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
        close(fds[1]);
        EXPECT(read(fds[0], &byte, 1) == 1);
        EXPECT(read(fds[0], &byte, 1) == 0);
        return 0;
}

/* As nginx does: what is a daemon by now allocates nothing before it forks its workers. */
static int pre_fork_daemon(void) {
        pid_t pid;

        some_work();
        pid = fork();
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

/* ---- libraries, threads, signals ---- */

static int dlcloses(void) {
        for (int round = 0; round < 20; round++) {
                void *plugin = dlopen(arguments[2], RTLD_NOW);
                void *(*allocate)(void *(*)(size_t), size_t);

                EXPECT(plugin);
                allocate = (void *(*)(void *(*)(size_t), size_t))dlsym(plugin, "plugin_allocate");
                EXPECT(allocate && allocate(ledger_malloc, 300));
                EXPECT(dlclose(plugin) == 0);
        }
        return 0;
}

static pthread_key_t key;

static void destroy(void *data) {
        size_t round = (size_t)data;

        ledger_malloc(200 + round);
        if (round < 3)
                pthread_setspecific(key, (void *)(round + 1));
}

static void *use_key(void *data) {
        struct slots slots = {.seed = (unsigned)(uintptr_t)data};

        pthread_setspecific(key, (void *)1);
        work(&slots, 50);
        return NULL;
}

static int tls_destructors(void) {
        EXPECT(pthread_key_create(&key, destroy) == 0);
        for (int i = 0; i < 200; i += N_THREADS) {
                start_threads(use_key, N_THREADS);
                join_threads(N_THREADS);
        }
        say("joined");
        return 0;
}

static void on_raise(int signal_number) {
        ledger_malloc(55);
}

static void *_Atomic mapped[64];
static _Atomic unsigned n_ticks;

/* mmap is what a handler may call whatever it interrupted. */
static void on_tick(int signal_number) {
        unsigned n = atomic_fetch_add(&n_ticks, 1);
        void *old = atomic_exchange(&mapped[n % 64], mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

        if (old)
                munmap(old, 8192);
}

/* Called from the outside by raise(), where malloc may be, and by a timer in the middle of everything. */
static int signal_handlers(void) {
        static char stack[65536];
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
        struct sigaction action = {.sa_handler = on_raise}, tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
        struct itimerval timer = {{0, 200}, {0, 200}};
        uint64_t bytes = 0;

        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        EXPECT(raise(SIGUSR1) == 0);
        EXPECT(sigaltstack(&alternate, NULL) == 0);
        action.sa_flags = SA_ONSTACK;
        EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
        EXPECT(raise(SIGUSR1) == 0);
        EXPECT(sigaction(SIGALRM, &tick, NULL) == 0);
        EXPECT(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        while (atomic_load(&n_ticks) < 500)
                some_work();
        timer = (struct itimerval){0};
        EXPECT(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        for (int i = 0; i < 64; i++)
                bytes += mapped[i] ? 8192 : 0;
        EXPECT(bytes == 64 * 8192);
        return 0;
}

/* ---- what is closed, forbidden, used up ---- */

static int chroots(void) {
        some_work();
        EXPECT(chroot(arguments[2]) == 0 && chdir("/") == 0);
        some_work();
        if (fork() == 0) {
                free(malloc(10));
                _exit(0);
        }
        EXPECT(wait(NULL) > 0);
        return 0;
}

static int close_all(void) {
        some_work();
        for (int fd = 3; fd < 8192; fd++)
                close(fd);
        EXPECT(syscall(SYS_close_range, 3, ~0u, 0) == 0 || errno == ENOSYS || errno == EPERM);
        some_work();
        return 0;
}

/* Puts files of its own where a descriptor of ours might be, and finds them unharmed. */
static int dup2_over(void) {
        int null = open("/dev/zero", O_RDWR);
        char byte;

        some_work();
        for (int fd = null + 1; fd < 5000; fd++)
                if (dup2(null, fd) < 0)
                        break;
        for (int i = 0; i < 20; i++)
                some_work();
        for (int fd = null; fd < 5000 && fcntl(fd, F_GETFD) >= 0; fd++)
                EXPECT(read(fd, &byte, 1) == 1 && byte == 0);
        return 0;
}

/* Then a child that would like to greet. */
static int no_descriptors(void) {
        struct rlimit limit = {64, 64};
        pid_t pid;

        some_work();
        EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        while (dup(1) >= 0)
                ;
        EXPECT(errno == EMFILE);
        some_work();
        pid = fork();
        if (pid == 0) {
                free(malloc(10));
                EXPECT(dup(1) < 0 && errno == EMFILE);
                _exit(0);
        }
        EXPECT(wait_for(pid) == 0);
        say("no descriptors");
        return 0;
}

static int tight_address_space(void) {
        struct rlimit limit = {(rlim_t)atoi(arguments[2]) << 20, (rlim_t)atoi(arguments[2]) << 20};

        some_work();
        EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
        execl("/proc/self/exe", "life_subject", "fill", (char *)NULL);
        return 98;
}

/* At least this much is there under 64 MiB, traced or not. */
static int fill(void) {
        for (int i = 0; i < 20; i++)
                memset(ledger_malloc(1 << 20), 1, 1 << 20);
        EXPECT(malloc((size_t)1 << 30) == NULL && errno == ENOMEM);
        say("filled");
        return 0;
}

/* seccomp SYSCALL-NUMBER ERRNO: in the image that follows, that system call fails. */
static int seccomp_fails(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(arguments[2]), 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(arguments[3])),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {sizeof(code) / sizeof(*code), code};

        EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
        execl("/proc/self/exe", "life_subject", "filtered", (char *)NULL);
        return 98;
}

static int filtered(void) {
        pid_t pid;

        for (int i = 0; i < 20; i++)
                some_work();
        pid = fork();
        if (pid == 0) {
                ledger_fork();
                some_work();
                _exit(3);
        }
        EXPECT(wait_for(pid) == 3);
        say("filtered");
        return 0;
}

/* until_told: works until its standard input ends; prints a line when it has begun. */
static int until_told(void) {
        start_threads(work_on, 2);
        await_steps(1000);
        say("working");
        while (getchar() != EOF)
                ;
        join_threads(2);
        say("told");
        return 0;
}

/* trickle: a few blocks now and then, until standard input ends. */
static int trickle(void) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        struct slots slots = {.seed = 1};

        say("working");
        while (poll(&input, 1, 5) == 0)
                work(&slots, 20);
        say("told");
        return 0;
}

/* burst SECONDS: as fast as it can, for that long. */
static int burst(void) {
        start_threads(work_on, 4);
        sleep((unsigned)atoi(arguments[2]));
        join_threads(4);
        say("burst over");
        return 0;
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*run)(void);
        } cases[] = {
                {"sigkill", sigkill},
                {"abort", aborts},
                {"segfault", segfaults},
                {"underscore_exit", underscore_exit},
                {"quick_exit", quick_exits},
                {"exit_threaded", exits_threaded},
                {"out_of_memory", out_of_memory},
                {"atexit", atexit_handlers},
                {"exec_self", exec_self},
                {"exec_in_thread", exec_in_thread},
                {"exec_other", exec_other},
                {"ends", ends},
                {"fork", forks},
                {"many_forks", many_forks},
                {"fork_nested", fork_nested},
                {"vfork", vforks},
                {"posix_spawn", spawns},
                {"raw_clone", raw_clone},
                {"clone_vm", clone_vm},
                {"clone_beside", clone_beside},
                {"clone_forks", clone_forks},
                {"daemonize", daemonizes},
                {"pre_fork_daemon", pre_fork_daemon},
                {"dlclose", dlcloses},
                {"tls_destructors", tls_destructors},
                {"signal_handlers", signal_handlers},
                {"chroot", chroots},
                {"close_all", close_all},
                {"dup2_over", dup2_over},
                {"no_descriptors", no_descriptors},
                {"tight_address_space", tight_address_space},
                {"fill", fill},
                {"seccomp", seccomp_fails},
                {"filtered", filtered},
                {"until_told", until_told},
                {"trickle", trickle},
                {"burst", burst},
        };

        arguments = argv;
        for (size_t i = 0; argc > 1 && i < sizeof(cases) / sizeof(*cases); i++)
                if (strcmp(argv[1], cases[i].name) == 0)
                        return cases[i].run();
        fprintf(stderr, "usage: life_subject CASE [ARGUMENT...]\n");
        return 2;
}
