/* SPDX-License-Identifier: Apache-2.0 */

/* How a process ends, and what becomes of it by exec. */

#include "tests/support/life/life.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

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

const struct life_case life_ends[] = {
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
        {0},
};
