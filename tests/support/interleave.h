/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Runs code that synchronises by atomics in every order, or in many: threads are coroutines of one real
 * thread, each access to an atomic (interleave_atomics.h) is a place where another one may
 * go on, and who does is decided by a seed or by a walk through all decisions up to a bound.
 *
 * Memory is weaker than the machine's. A store that is not seq_cst may stay in its thread's buffer until something
 * orders it: later stores to other addresses overtake a relaxed or release one, but a release store waits for all
 * before it, and what is acquire-release or seq_cst and writes empties the buffer. (Not modelled: loads that are done
 * early, which the checked code orders by acquire, and x86-64 does not do.)
 *
 * A group of threads, a process, may be killed at any access.
 *
 *     struct interleave_search search = {.seed = 1, .n_schedules = 1000};
 *     while (interleave_next(&search)) {
 *             ... make the shared state ...
 *             interleave_spawn(function, argument, group);
 *             interleave_run(&search);
 *             ... look at it: interleave_fail() ...
 *     }
 *     ck_assert_msg(!search.failure[0], "%s", search.failure);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERLEAVE_THREADS_MAX 8
#define INTERLEAVE_GROUPS_MAX  4
#define INTERLEAVE_DEPTH_MAX   4096 /* decisions of one schedule */

/* Mistakes that the scheduler makes in the name of the checked code, to see that they are found. */
enum interleave_plant {
        INTERLEAVE_PLANT_NONE,
        INTERLEAVE_PLANT_RELEASE, /* release stores wait for nothing before them */
        INTERLEAVE_PLANT_SEQ_CST, /* seq_cst stores are release stores */
        INTERLEAVE_PLANT_CAS,     /* a compare-and-swap compares, then swaps */
};

struct interleave_search {
        /* random: this many schedules from this seed on */
        uint64_t seed, n_schedules;
        /* or all of them, with at most so many involuntary switches, stores that are delayed, and kills */
        bool exhaustive;
        unsigned switches, delays;
        /* groups that may be killed, a bit each, and how often in all */
        unsigned killable, kills;
        enum interleave_plant plant;
        /* called by the scheduler when a group died; may spawn */
        void (*killed)(unsigned group);
        /* called after each store to memory has happened; for plants of a test's own */
        void (*stored)(volatile void *address, uint64_t old);

        /* the outcome */
        uint64_t n_done;
        unsigned n_late_wakes; /* of this schedule: waits that only their time limit ended */
        bool was_timer;        /* nothing ran but that since a timer ran out */
        bool complete;         /* exhaustive: nothing is left to try */
        char failure[512];     /* "": none; else what was wrong and with which schedule. Ends the search */

        struct interleave_choice {
                uint16_t taken, n;
        } choices[INTERLEAVE_DEPTH_MAX];
        unsigned depth, n_choices;
        uint64_t random;
};

/** interleave_next() - Return: whether there is another schedule to run */
bool interleave_next(struct interleave_search *search);

/** interleave_spawn() - a thread, which begins when the scheduler lets it */
void interleave_spawn(void (*function)(void *argument), void *argument, unsigned group);

/** interleave_run() - run until all threads have ended or were killed, or something failed */
void interleave_run(struct interleave_search *search);

/** interleave_fail() - say what is wrong; in a thread this ends the schedule and does not return */
void interleave_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** interleave_choose() - 0..@n - 1, as the schedule has it: what an environment may do */
unsigned interleave_choose(unsigned n);

/** interleave_wait() - FUTEX_WAIT, with a time limit that passes only when nobody can run any more
 * @is_timer: that is no late wake-up, and comes before those of others
 * Return: whether it passed. */
bool interleave_wait(const volatile void *word, uint32_t value, uint64_t limit_ns, bool is_timer);

/** interleave_wake() - FUTEX_WAKE for all */
void interleave_wake(const volatile void *word);

/** interleave_clock_ns() - moves on by what is waited, and a little with each look */
uint64_t interleave_clock_ns(void);

/* What interleave_atomics.h makes of accesses. Outside of threads: plain ones. */
uint64_t interleave_load(const volatile void *address, size_t size, int order);
void interleave_store(volatile void *address, size_t size, uint64_t value, int order);
uint64_t interleave_add(volatile void *address, size_t size, uint64_t value, int order);
uint64_t interleave_exchange(volatile void *address, size_t size, uint64_t value, int order);
bool interleave_swap(volatile void *address, size_t size, uint64_t *expected, uint64_t value, int order);
