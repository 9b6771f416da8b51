/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program that uses libtracemallocd, for tests/system/test_api.py: api_subject SCENARIO. Prints what the
 * functions returned, one a line, then waits for the end of its standard input.
 */

#include "api/tracemallocd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL 481735U

static void say(const char *what, int r) {
        printf("%s %d\n", what, r);
}

static void await_end(void) {
        char byte;
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
                ;
}

static void await_byte(void) {
        char byte;
        fflush(stdout);
        if (read(STDIN_FILENO, &byte, 1) != 1)
                _exit(1);
}

static void blocks(void) {
        char *block = malloc(1000);
        say("name", tm_domain_name(POOL, "pool"));
        say("track", tm_track(POOL, (uintptr_t)block, 10));
        say("other domain", tm_track(POOL + 1, (uintptr_t)block, 300)); /* the same address */
        say("replace", tm_track(POOL, (uintptr_t)block, 20));
        say("zero bytes", tm_track(POOL, (uintptr_t)block + 1, 0));
        say("gone", tm_track(POOL, 77, 5000) | tm_untrack(POOL, 77));
        say("unknown", tm_untrack(POOL, 12345678));
        say("wrong domain", tm_untrack(POOL + 2, (uintptr_t)block));
        say("python", tm_track(0, 4096, 7));
        say("malloc's", tm_track(4294967294U, 1, 1));
        say("mmap's", tm_untrack(4294967293U, 1));
        say("address", tm_track(POOL, UINTPTR_MAX, 1));
        say("size", tm_track(POOL, 1, SIZE_MAX));
        say("traced", tm_traced());
        await_end();
        free(block); /* the block of malloc: not the pool's */
}

static void names(void) {
        say("none", tm_domain_name(1, NULL));
        say("empty", tm_domain_name(1, ""));
        say("digits", tm_domain_name(1, "123"));
        say("comma", tm_domain_name(1, "a,b"));
        say("taken", tm_domain_name(1, "malloc"));
        say("python", tm_domain_name(0, "mine"));
        say("long", tm_domain_name(1, "0123456789012345678901234567890123456789a12345678"));
        say("longest", tm_domain_name(1, "0123456789012345678901234567890123456789a1234567"));
        say("again", tm_domain_name(1, "better"));
        say("track", tm_track(1, 1, 1));
}

static void many(void) {
        int n = 0;
        for (unsigned i = 0; i < 300; i++)
                n += tm_track(1000 + 7 * i, i, 1) == 0;
        say("domains", n);
        say("one more", tm_track(50, 1, 1));
        say("one of them", tm_track(1007, 1, 1));
}

static void *work(void *argument) {
        uintptr_t base = (uintptr_t)argument << 32;
        for (uintptr_t i = 0; i < 50000; i++) {
                tm_track(POOL, base + i, i % 100);
                tm_track(POOL + 1 + (unsigned)(i % 3), base + i, 8);
                tm_untrack(POOL + 1 + (unsigned)(i % 3), base + i);
                if (i % 10)
                        tm_untrack(POOL, base + i);
        }
        return NULL;
}

static void threads(void) {
        pthread_t ids[4];
        for (uintptr_t i = 0; i < 4; i++)
                pthread_create(&ids[i], NULL, work, (void *)(i + 1));
        for (int i = 0; i < 4; i++)
                pthread_join(ids[i], NULL);
}

static volatile sig_atomic_t n_signals;

static void on_signal(int signal) {
        int saved = errno;
        (void)signal;
        tm_track(POOL + 9, 1 + (uintptr_t)n_signals, 1);
        tm_untrack(POOL + 9, 1 + (uintptr_t)n_signals);
        tm_phase("in a handler");
        n_signals++;
        if (errno != saved)
                _exit(3);
}

/* A timer's signals meet malloc and tm_track at any instruction. */
static void signals(void) {
        struct sigaction action = {.sa_handler = on_signal};
        struct itimerspec every = {{0, 100000}, {0, 100000}};
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        timer_t timer;
        sigaction(SIGUSR1, &action, NULL);
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &every, NULL);
        for (uintptr_t i = 1; n_signals < 2000; i++) {
                void *block = malloc(i % 500);
                tm_track(POOL, (uintptr_t)block, i % 500);
                tm_untrack(POOL, (uintptr_t)block);
                free(block);
        }
        timer_delete(timer);
        say("errno", errno);
}

static void phases(void) {
        char label[200];
        say("first", tm_phase("first"));
        tm_track(POOL, 1, 1000);
        await_byte();
        say("second", tm_phase("second"));
        tm_track(POOL, 2, 100000);
        tm_untrack(POOL, 2);
        await_byte();
        memset(label, 'x', sizeof label - 1);
        label[sizeof label - 1] = '\0';
        say("long", tm_phase(label));
        await_byte();
        say("none", tm_phase(NULL));
        await_byte();
        int n = 0;
        for (int i = 0; i < 100000; i++)
                tm_phase(i % 2 ? "odd" : "even"); /* few labels, many times */
        for (int i = 0; i < 10000; i++) {
                snprintf(label, sizeof label, "request %d", i);
                n += tm_phase(label) == 0;
        }
        say("labels", n > 8000 && n < 10000);
}

static void forks(void) {
        tm_domain_name(POOL, "pool");
        tm_phase("before the fork");
        tm_track(POOL, 1, 10);
        tm_track(POOL, 2, 20);
        pid_t child = fork();
        if (child == 0) {
                tm_untrack(POOL, 1);
                tm_track(POOL, 3, 300);
                await_end();
                _exit(0);
        }
        await_end();
        waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*run)(void);
        } scenarios[] = {{"blocks", blocks},   {"names", names},   {"many", many},  {"threads", threads},
                         {"signals", signals}, {"phases", phases}, {"forks", forks}};
        for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof scenarios[0]; i++) {
                if (strcmp(argv[1], scenarios[i].name) == 0) {
                        scenarios[i].run();
                        await_end();
                        return 0;
                }
        }
        return 2;
}
