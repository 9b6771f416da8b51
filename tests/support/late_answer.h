/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An answer that comes in time to a process that is held up past its deadline while it waits: by a signal handler, as
 * SIGSTOP would.
 */

#include "tests/support/check_main.h"

#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LATE_ANSWER_DEADLINE_NS INT64_C(100000000) /* after now; long enough to begin to wait */

static struct {
        int fd;
        const void *bytes;
        size_t length;
        int64_t deadline_ns;
} late_answer;

static inline int64_t late_answer_now_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void late_answer_handler(int signal_number) {
        ssize_t written = write(late_answer.fd, late_answer.bytes, late_answer.length);
        while (written > 0 && late_answer_now_ns() <= late_answer.deadline_ns)
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/** late_answer_expect() - have it sent soon
 * @fd, @bytes: borrowed, until then. Return: the deadline, of CLOCK_MONOTONIC. */
static inline int64_t late_answer_expect(int fd, const void *bytes, size_t length) {
        const struct sigaction action = {.sa_handler = late_answer_handler};
        const struct itimerval soon = {.it_value.tv_usec = 10000};
        late_answer.fd = fd;
        late_answer.bytes = bytes;
        late_answer.length = length;
        late_answer.deadline_ns = late_answer_now_ns() + LATE_ANSWER_DEADLINE_NS;
        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
        return late_answer.deadline_ns;
}
