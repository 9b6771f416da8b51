/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load THREADS SEED [fork]: a program that knows what it holds. Commands come on standard input, one letter each: g go
 * on, p pause and print "COUNT BYTES" of its blocks, q quit. Threads allocate, free (also each other's blocks) and
 * realloc as fast as they can; with fork, the first one makes a child now and then that allocates and frees, too.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS       20000
#define THREADS_MAX 8
#define FORK_EVERY  200000

struct block {
        _Atomic(void *) memory;
        size_t size;
};

static struct block blocks[SLOTS]; /* whoever takes the pointer out owns the block */
static _Atomic uint64_t count, bytes;
static atomic_bool running;
static bool forks;
static pthread_barrier_t barrier;
static uint64_t first_seed;

static uint64_t next(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static void put(struct block *block, void *memory, size_t size) {
        block->size = size;
        atomic_store(&block->memory, memory);
}

static void step(uint64_t *random) {
        static char busy[1];
        struct block *block = &blocks[next(random) % SLOTS];
        size_t size = 1 + next(random) % 300;
        void *memory = atomic_exchange(&block->memory, busy);
        if (memory == busy)
                return;
        if (!memory) {
                memory = malloc(size);
                atomic_fetch_add(&count, 1);
                atomic_fetch_add(&bytes, size);
                put(block, memory, size);
        } else if (next(random) % 4 == 0) {
                memory = realloc(memory, size);
                atomic_fetch_add(&bytes, size - block->size);
                put(block, memory, size);
        } else {
                atomic_fetch_sub(&count, 1);
                atomic_fetch_sub(&bytes, block->size);
                free(memory);
                atomic_store(&block->memory, NULL);
        }
}

static void make_child(uint64_t random) {
        pid_t pid = fork();
        if (pid > 0)
                waitpid(pid, NULL, 0);
        if (pid != 0)
                return;
        for (int i = 0; i < 100; i++) {
                void *volatile memory = malloc(1 + next(&random) % 100);
                free(memory);
        }
        _exit(0);
}

static void *work(void *data) {
        uint64_t number = (uint64_t)(uintptr_t)data, random = first_seed * 1000 + number + 1;
        for (;;) {
                pthread_barrier_wait(&barrier);
                for (uint64_t i = 0; atomic_load_explicit(&running, memory_order_relaxed); i++) {
                        step(&random);
                        if (forks && number == 0 && i % FORK_EVERY == FORK_EVERY - 1)
                                make_child(random);
                }
                pthread_barrier_wait(&barrier);
        }
        return NULL;
}

static void print_state(void) {
        char line[64];
        int n = snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)atomic_load(&count),
                         (unsigned long long)atomic_load(&bytes));
        if (write(STDOUT_FILENO, line, (size_t)n) != n)
                exit(1);
}

int main(int argc, char **argv) {
        char command;
        pthread_t thread;
        long threads = argc > 2 ? atol(argv[1]) : 0;
        if (threads < 1 || threads > THREADS_MAX)
                return 2;
        first_seed = strtoull(argv[2], NULL, 0);
        forks = argc > 3;
        pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
        for (long i = 0; i < threads; i++) {
                if (pthread_create(&thread, NULL, work, (void *)(uintptr_t)i) != 0)
                        return 1;
        }
        print_state();
        while (read(STDIN_FILENO, &command, 1) == 1) {
                if (command == 'g' && !atomic_load(&running)) {
                        atomic_store(&running, true);
                        pthread_barrier_wait(&barrier);
                } else if (command == 'p' && atomic_load(&running)) {
                        atomic_store(&running, false);
                        pthread_barrier_wait(&barrier);
                        print_state();
                } else if (command == 'q') {
                        return 0;
                }
        }
        return 0;
}
