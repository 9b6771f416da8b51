/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/support/interleave.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define STACK_BYTES ((size_t)128 << 10)
#define STORES_MAX  32
#define STEPS_MAX   200000 /* a schedule with more does not end */

enum state { ENDED, RUNS, WAITS };

struct store {
        volatile void *address;
        uint64_t value;
        size_t size;
        int order;
};

/* Begun by ucontext.h, which makes a system call each time, later entered by a jump. */
struct place {
        jmp_buf jump;
        ucontext_t *begin; /* NULL: begun */
};

struct thread {
        struct place place;
        ucontext_t context;
        char *stack;
        void (*function)(void *argument);
        void *argument;
        unsigned group;
        enum state state;
        const volatile void *waits_for;
        uint64_t limit_ns;
        bool is_timer, timed_out;
        struct store stores[STORES_MAX]; /* the oldest first */
        unsigned n_stores;
};

static struct thread threads[INTERLEAVE_THREADS_MAX], *running;
static struct place scheduler;
static struct interleave_search *search;
static unsigned switches_left, delays_left, kills_left, group_to_kill;
static uint64_t clock_ns, n_steps;

/* ---- places ---- */

static void go(struct place *from, struct place *to) {
        ucontext_t *begin = to->begin;
        if (_setjmp(from->jump))
                return;
        to->begin = NULL;
        if (begin)
                setcontext(begin);
        _longjmp(to->jump, 1);
}

/* ---- decisions ---- */

static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static bool one_in(unsigned n) {
        return next_random(&search->random) % n == 0;
}

/* Decision 0 is what costs nothing. */
static unsigned decide(unsigned n) {
        if (n <= 1)
                return 0;
        if (!search->exhaustive)
                return (unsigned)(next_random(&search->random) % n);
        if (search->depth == INTERLEAVE_DEPTH_MAX) {
                interleave_fail("a schedule with more than %d decisions", INTERLEAVE_DEPTH_MAX);
                return 0;
        }
        struct interleave_choice *choice = &search->choices[search->depth++];
        if (search->depth > search->n_choices) {
                *choice = (struct interleave_choice){.n = (uint16_t)n};
                search->n_choices = search->depth;
        }
        return choice->taken;
}

unsigned interleave_choose(unsigned n) {
        return decide(n);
}

/* The next path through the tree of decisions. Return: whether there is one. */
static bool next_path(struct interleave_search *s) {
        while (s->n_choices > 0) {
                struct interleave_choice *last = &s->choices[s->n_choices - 1];
                if (++last->taken < last->n)
                        return true;
                s->n_choices--;
        }
        return false;
}

bool interleave_next(struct interleave_search *s) {
        if (s->failure[0] || s->complete)
                return false;
        if (s->n_done > 0 && s->exhaustive && !next_path(s)) {
                s->complete = true;
                return false;
        }
        if (s->n_schedules > 0 && s->n_done >= s->n_schedules)
                return false;
        search = s;
        s->n_late_wakes = s->depth = 0;
        s->was_timer = false;
        s->random = (s->seed + s->n_done) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        for (unsigned i = 0; i < 8; i++)
                next_random(&s->random);
        s->n_done++;
        switches_left = s->switches;
        delays_left = s->delays;
        kills_left = s->kills;
        clock_ns = 1000000000;
        n_steps = 0;
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++)
                threads[i].state = ENDED;
        return true;
}

void interleave_fail(const char *format, ...) {
        va_list arguments;
        char what[384];
        va_start(arguments, format);
        vsnprintf(what, sizeof what, format, arguments);
        va_end(arguments);
        if (!search->failure[0])
                snprintf(search->failure, sizeof search->failure, "%s (%s, schedule %llu)", what,
                         search->exhaustive ? "exhaustive" : "seed + schedule - 1",
                         (unsigned long long)(search->exhaustive ? search->n_done : search->seed + search->n_done - 1));
        if (running)
                go(&running->place, &scheduler);
}

/* ---- memory ---- */

static uint64_t read_memory(const volatile void *address, size_t size) {
        uint64_t value = 0;
        memcpy(&value, (const void *)address, size);
        return value;
}

static void write_memory(volatile void *address, size_t size, uint64_t value) {
        uint64_t old = read_memory(address, size);
        memcpy((void *)address, &value, size);
        if (running && search->stored)
                search->stored(address, old);
}

static void remove_store(struct thread *thread, unsigned i) {
        memmove(&thread->stores[i], &thread->stores[i + 1], (--thread->n_stores - i) * sizeof(struct store));
}

/* A store and, before it, what it may not overtake: older ones of its address and, where it is a release, all. */
static void perform(struct thread *thread, unsigned i) {
        struct store store = thread->stores[i];
        bool is_release = store.order != memory_order_relaxed && search->plant != INTERLEAVE_PLANT_RELEASE;
        for (unsigned j = 0; j < i;) {
                if (is_release || thread->stores[j].address == store.address) {
                        unsigned before = thread->n_stores;
                        perform(thread, j);
                        i -= before - thread->n_stores;
                } else {
                        j++;
                }
        }
        remove_store(thread, i);
        write_memory(store.address, store.size, store.value);
}

static void empty_buffer(struct thread *thread) {
        while (thread->n_stores > 0)
                perform(thread, 0);
}

static void empty_buffer_of(struct thread *thread, const volatile void *address) {
        for (unsigned i = thread->n_stores; i > 0; i--) {
                if (thread->stores[i - 1].address == address) {
                        perform(thread, i - 1);
                        return;
                }
        }
}

/* ---- switching ---- */

static unsigned runnable(struct thread *list[INTERLEAVE_THREADS_MAX], const struct thread *except) {
        unsigned n = 0;
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++)
                if (threads[i].state == RUNS && &threads[i] != except)
                        list[n++] = &threads[i];
        return n;
}

static void switch_to(struct thread *next) {
        struct thread *self = running;
        running = next;
        go(&self->place, &next->place);
}

static bool may_be_killed(void) {
        return kills_left > 0 && (search->killable >> running->group & 1);
}

static void die(void) {
        kills_left--;
        group_to_kill = running->group + 1;
        go(&running->place, &scheduler);
}

static void random_point(void) {
        struct thread *others[INTERLEAVE_THREADS_MAX];
        unsigned n = runnable(others, running);
        if (running->n_stores > 0 && one_in(3))
                perform(running, decide(running->n_stores));
        if (may_be_killed() && one_in(60))
                die();
        else if (n > 0 && one_in(3))
                switch_to(others[decide(n)]);
}

static void exhaustive_point(void) {
        struct thread *others[INTERLEAVE_THREADS_MAX];
        unsigned n = switches_left > 0 ? runnable(others, running) : 0;
        unsigned what = decide(1 + n + may_be_killed());
        if (what > n) {
                die();
        } else if (what > 0) {
                switches_left--;
                switch_to(others[what - 1]);
        }
}

/* Before each access of a thread. */
static void point(void) {
        if (++n_steps > STEPS_MAX)
                interleave_fail("it does not end");
        if (!running->is_timer)
                search->was_timer = false;
        if (search->exhaustive)
                exhaustive_point();
        else
                random_point();
}

static void leave(enum state state) {
        running->state = state;
        go(&running->place, &scheduler);
}

bool interleave_wait(const volatile void *word, uint32_t value, uint64_t limit_ns, bool is_timer) {
        point();
        empty_buffer(running);
        if (read_memory(word, sizeof value) != value)
                return false;
        running->waits_for = word;
        running->limit_ns = limit_ns;
        running->is_timer = is_timer;
        running->timed_out = false;
        leave(WAITS);
        return running->timed_out;
}

void interleave_wake(const volatile void *word) {
        if (running) {
                point();
                empty_buffer(running);
        }
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++) {
                if (threads[i].state == WAITS && threads[i].waits_for == word)
                        threads[i].state = RUNS;
        }
}

uint64_t interleave_clock_ns(void) {
        return clock_ns += 1000;
}

static void thread_main(void) {
        running->function(running->argument);
        empty_buffer(running);
        leave(ENDED);
}

void interleave_spawn(void (*function)(void *argument), void *argument, unsigned group) {
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++) {
                struct thread *thread = &threads[i];
                char *stack = thread->stack ? thread->stack : malloc(STACK_BYTES);
                if (thread->state != ENDED)
                        continue;
                *thread = (struct thread){
                        .stack = stack, .function = function, .argument = argument, .group = group, .state = RUNS};
                getcontext(&thread->context);
                thread->context.uc_stack.ss_sp = stack;
                thread->context.uc_stack.ss_size = STACK_BYTES;
                makecontext(&thread->context, thread_main, 0);
                thread->place.begin = &thread->context;
                return;
        }
        abort();
}

static void kill_group(unsigned group) {
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++) {
                struct thread *thread = &threads[i];
                if (thread->state == ENDED || thread->group != group)
                        continue;
                empty_buffer(thread); /* the processor forgets nothing that was executed */
                thread->state = ENDED;
        }
        if (search->killed)
                search->killed(group);
}

/* Nobody can run: time passes. Return: whether that helped. */
static bool pass_time(void) {
        struct thread *next = NULL;
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX; i++) {
                struct thread *thread = &threads[i];
                if (thread->state != WAITS || (thread->is_timer && search->was_timer))
                        continue;
                if (!next || (thread->is_timer && !next->is_timer))
                        next = thread;
        }
        if (!next)
                return false;
        if (next->is_timer)
                search->was_timer = true;
        else
                search->n_late_wakes++;
        clock_ns += next->limit_ns;
        next->timed_out = true;
        next->state = RUNS;
        return true;
}

void interleave_run(struct interleave_search *s) {
        struct thread *list[INTERLEAVE_THREADS_MAX];
        unsigned n;
        while (!s->failure[0]) {
                n = runnable(list, NULL);
                if (n == 0 && !pass_time())
                        break;
                if (n == 0)
                        continue;
                group_to_kill = 0;
                running = list[decide(n)];
                go(&scheduler, &running->place);
                running = NULL;
                if (group_to_kill)
                        kill_group(group_to_kill - 1);
        }
        for (unsigned i = 0; i < INTERLEAVE_THREADS_MAX && !s->failure[0]; i++)
                if (threads[i].state == WAITS)
                        interleave_fail("a thread waits for ever");
}

/* ---- accesses ---- */

uint64_t interleave_load(const volatile void *address, size_t size, int order) {
        if (!running)
                return read_memory(address, size);
        point();
        for (unsigned i = running->n_stores; i > 0; i--)
                if (running->stores[i - 1].address == address)
                        return running->stores[i - 1].value;
        return read_memory(address, size);
}

/* Whether this store stays in the buffer for now. */
static bool is_delayed(void) {
        if (!search->exhaustive)
                return one_in(2);
        if (delays_left == 0 || decide(2) == 0)
                return false;
        delays_left--;
        return true;
}

void interleave_store(volatile void *address, size_t size, uint64_t value, int order) {
        if (!running)
                return write_memory(address, size, value);
        point();
        if (running->n_stores == STORES_MAX)
                perform(running, 0);
        running->stores[running->n_stores++] = (struct store){address, value, size, order};
        if (order == memory_order_seq_cst && search->plant != INTERLEAVE_PLANT_SEQ_CST)
                empty_buffer(running);
        else if (!is_delayed())
                perform(running, running->n_stores - 1);
}

/* What an access that reads and writes orders. */
static void begin_change(const volatile void *address, int order) {
        point();
        if (order == memory_order_relaxed)
                empty_buffer_of(running, address);
        else
                empty_buffer(running);
}

uint64_t interleave_add(volatile void *address, size_t size, uint64_t value, int order) {
        if (running)
                begin_change(address, order);
        uint64_t old = read_memory(address, size);
        write_memory(address, size, old + value);
        return old;
}

uint64_t interleave_exchange(volatile void *address, size_t size, uint64_t value, int order) {
        if (running)
                begin_change(address, order);
        uint64_t old = read_memory(address, size);
        write_memory(address, size, value);
        return old;
}

bool interleave_swap(volatile void *address, size_t size, uint64_t *expected, uint64_t value, int order) {
        if (running)
                begin_change(address, order);
        uint64_t old = read_memory(address, size);
        bool swaps = old == *expected;
        *expected = old;
        if (swaps && running && search->plant == INTERLEAVE_PLANT_CAS)
                point();
        if (swaps)
                write_memory(address, size, value);
        return swaps;
}
