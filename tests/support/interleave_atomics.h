/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Included before everything else (-include) in sources that run under tests/support/interleave.h: their atomics, and
 * those system calls that wait, wake, look at the clock or get memory, become the scheduler's. The sources stay as they
 * are.
 */

#include "agent/sys.h"
#include "tests/support/interleave.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INTERLEAVE_VALUE_OF(address) __typeof__((void)0, *(address))

#define INTERLEAVE_RAW(address, value)                                                                                 \
        ({                                                                                                             \
                INTERLEAVE_VALUE_OF(address) value_in = (value);                                                       \
                uint64_t raw_in = 0;                                                                                   \
                memcpy(&raw_in, &value_in, sizeof value_in);                                                           \
                raw_in;                                                                                                \
        })

#define INTERLEAVE_COOKED(address, raw)                                                                                \
        ({                                                                                                             \
                uint64_t raw_out = (raw);                                                                              \
                INTERLEAVE_VALUE_OF(address) value_out;                                                                \
                memcpy(&value_out, &raw_out, sizeof value_out);                                                        \
                value_out;                                                                                             \
        })

#define INTERLEAVE_SWAP(address, expectedp, value, order)                                                              \
        ({                                                                                                             \
                __auto_type expected_at = (expectedp);                                                                 \
                uint64_t expected_raw = INTERLEAVE_RAW(expected_at, *expected_at);                                     \
                bool swapped = interleave_swap((address), sizeof(*(address)), &expected_raw,                           \
                                               INTERLEAVE_RAW(address, value), order);                                 \
                memcpy(expected_at, &expected_raw, sizeof *expected_at);                                               \
                swapped;                                                                                               \
        })

#undef atomic_load_explicit
#undef atomic_load
#undef atomic_store_explicit
#undef atomic_store
#undef atomic_exchange_explicit
#undef atomic_exchange
#undef atomic_fetch_add_explicit
#undef atomic_fetch_add
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_sub
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_weak
/* what nobody under the scheduler uses yet would go past it unseen */
#undef atomic_fetch_or
#undef atomic_fetch_and
#undef atomic_thread_fence

#define atomic_load_explicit(address, order)                                                                           \
        INTERLEAVE_COOKED(address, interleave_load((address), sizeof(*(address)), order))
#define atomic_load(address) atomic_load_explicit(address, memory_order_seq_cst)
#define atomic_store_explicit(address, value, order)                                                                   \
        interleave_store((address), sizeof(*(address)), INTERLEAVE_RAW(address, value), order)
#define atomic_store(address, value) atomic_store_explicit(address, value, memory_order_seq_cst)
#define atomic_exchange_explicit(address, value, order)                                                                \
        INTERLEAVE_COOKED(address,                                                                                     \
                          interleave_exchange((address), sizeof(*(address)), INTERLEAVE_RAW(address, value), order))
#define atomic_exchange(address, value) atomic_exchange_explicit(address, value, memory_order_seq_cst)
#define atomic_fetch_add_explicit(address, value, order)                                                               \
        INTERLEAVE_COOKED(address, interleave_add((address), sizeof(*(address)), (uint64_t)(value), order))
#define atomic_fetch_add(address, value) atomic_fetch_add_explicit(address, value, memory_order_seq_cst)
#define atomic_fetch_sub(address, value) atomic_fetch_add(address, -(uint64_t)(value))
#define atomic_compare_exchange_strong_explicit(address, expectedp, value, order, order_else)                          \
        INTERLEAVE_SWAP(address, expectedp, value, order)
#define atomic_compare_exchange_strong(address, expectedp, value)                                                      \
        INTERLEAVE_SWAP(address, expectedp, value, memory_order_seq_cst)
#define atomic_compare_exchange_weak_explicit   atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_weak            atomic_compare_exchange_strong
#define __atomic_load_n(address, order)         atomic_load_explicit(address, order)
#define __atomic_store_n(address, value, order) atomic_store_explicit(address, value, order)

static inline int interleave_futex(const volatile void *word, int operation, uint32_t value,
                                   const struct timespec *timeout) {
        if (operation == FUTEX_WAIT)
                interleave_wait(word, value, (uint64_t)timeout->tv_sec * 1000000000 + (uint64_t)timeout->tv_nsec,
                                false);
        else
                interleave_wake(word);
        return 0;
}

#define sys_futex(word, operation, value, timeout) interleave_futex(word, operation, value, timeout)
#define sys_clock_ns(coarse)                       interleave_clock_ns()
#define sys_populate(address, length)              ((void)(address))
#define sys_map_memory_now(length)                 interleave_memory(length)

/* the daemon's: syscall(SYS_futex, ...) */
#define syscall(number, word, operation, value, ...) interleave_futex(word, operation, (uint32_t)(value), NULL)

/** interleave_memory() - a test's own: zeroed */
void *interleave_memory(size_t length);
