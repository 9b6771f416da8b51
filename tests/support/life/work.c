/* SPDX-License-Identifier: Apache-2.0 */

/* What the cases have to do; see life.h. */

#include "tests/support/life/life.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

void work(struct slots *slots, int steps) {
        for (int i = 0; i < steps; i++) {
                slots->seed = slots->seed * 1103515245 + 12345;
                unsigned k = slots->seed >> 16 & (N_SLOTS - 1);
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

void *work_on(void *data) {
        static __thread struct slots slots;
        slots.seed = (unsigned)(uintptr_t)data + 1;
        while (!stop) {
                work(&slots, 100);
                atomic_fetch_add(&n_steps, 100);
        }
        return NULL;
}

/* Allocates and frees without an account, and leaves the processors to others now and then. */
void *make_noise(void *data) {
        unsigned seed = (unsigned)(uintptr_t)data;
        while (!stop) {
                seed = seed * 1103515245 + 12345;
                void *block = malloc((seed >> 16) % 2000 + 1);
                kept = block;
                free(block);
                if (atomic_fetch_add(&n_steps, 1) % 64 == 0)
                        usleep(2000);
        }
        return NULL;
}

static pthread_t threads[N_THREADS];

void start_threads(void *(*run)(void *), int n) {
        for (uintptr_t i = 0; i < (uintptr_t)n; i++)
                EXPECT(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
}

void await_steps(uint64_t n) {
        while (atomic_load(&n_steps) < n)
                usleep(1000);
}

void join_threads(int n) {
        stop = true;
        for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
}

void some_work(void) {
        static struct slots slots;
        slots.seed += 7;
        work(&slots, 1000);
}

void say(const char *text) {
        dprintf(1, "%s\n", text);
}

int wait_for(pid_t pid) {
        int status;
        EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
