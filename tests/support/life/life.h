/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * life_subject CASE [ARGUMENT]: a program to be traced that lives and dies in one of the ways
 * that programs do, and keeps an account of its own blocks while it does.
 *
 * The account ("ledger") of each image is a file $LIFE_LEDGERS/PID.N, mapped shared, so that it outlives
 * whatever happens to the process. It counts what ledger_malloc() and ledger_free() do, before and after
 * they do it: a thread that is killed in between leaves a difference, and the truth lies within it.
 * What make_noise() allocates is not accounted for. What is printed is the same in every run of a case.
 * test_life_and_death.py knows the cases; without $LIFE_LEDGERS they run all the same.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        dprintf(1, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));                \
                        _exit(99);                                                                                     \
                }                                                                                                      \
        } while (0)

#define N_THREADS 8

/* A way to live and die. */
struct life_case {
        const char *name; /* on the command line; NULL behind the last */
        int (*run)(void); /* Return: exit status. */
};

extern const struct life_case life_ends[], life_children[], life_threads[], life_limits[], life_load[];

extern char **arguments;    /* of main() */
extern void *volatile kept; /* the last block, so that the compiler leaves allocations alone */

/* ---- ledger.c ---- */

/** ledger_malloc() - malloc() that is accounted for, by this name in tracebacks; never NULL */
void *ledger_malloc(size_t size);

/** ledger_free() - a block of ledger_malloc(); @size: as it was asked for */
void ledger_free(void *block, size_t size);

/** ledger_fork() - in the child of a fork, before anything else: it has its parent's blocks, and from now on an account
 * of its own */
void ledger_fork(void);

/* ---- work.c ---- */

#define N_SLOTS 64

/* Blocks at hand; all zero but for the seed to begin with. */
struct slots {
        unsigned seed;
        void *block[N_SLOTS];
        size_t size[N_SLOTS];
};

/** work() - so many steps of allocating and freeing, accounted for; the same ones for the same seed */
void work(struct slots *slots, int steps);

/** some_work() - a thousand steps of work(); the same ones in each run */
void some_work(void);

/** work_on(), make_noise() - of a thread: go on until join_threads(); the latter without an account */
void *work_on(void *data);
void *make_noise(void *data);

/** start_threads() - @n of them, at most N_THREADS */
void start_threads(void *(*run)(void *), int n);

/** await_steps() - until the threads have done so many together */
void await_steps(uint64_t n);

/** join_threads() - tell the @n threads to stop, and wait */
void join_threads(int n);

/** say() - a line on stdout, at once */
void say(const char *text);

/** wait_for() - a child's end. Return: its status as a shell has it. */
int wait_for(pid_t pid);
