/* SPDX-License-Identifier: Apache-2.0 */

/* Libraries that go, threads that end, signals that come at any time. */

#include "tests/support/life/life.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>

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
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
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

const struct life_case life_threads[] = {
        {"dlclose", dlcloses},
        {"tls_destructors", tls_destructors},
        {"signal_handlers", signal_handlers},
        {0},
};
