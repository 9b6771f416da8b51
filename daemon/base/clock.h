/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Time in nanoseconds, which last from 1677 to 2262. Any thread. */

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

/** timespec_ns() - the first or last nanosecond there is where it does not fit: a file's time is what its owner says */
static inline int64_t timespec_ns(const struct timespec *t) {
        int64_t ns;
        if (__builtin_mul_overflow(t->tv_sec, NS_PER_SECOND, &ns) || __builtin_add_overflow(ns, t->tv_nsec, &ns))
                return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
        return ns;
}

/** clock_ns() - what a clock says now. @clock: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME */
static inline int64_t clock_ns(clockid_t clock) {
        struct timespec now;
        clock_gettime(clock, &now);
        return timespec_ns(&now);
}
