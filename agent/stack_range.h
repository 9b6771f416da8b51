/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What may be read of a thread's stack. Unwind tables may be wrong, and then a walk
 * must not leave the stack; where that ends nobody says (pthread_getattr_np
 * takes locks and allocates; coroutines and signal handlers have stacks of their own).
 * So it is found out: a range begins at the page of a live stack pointer and grows
 * upwards, by the pages that a walk needs and the kernel can read, without a gap. A page is asked
 * about once. Nothing below a live stack pointer is ever read, but where a function has
 * gone on with another stack (stack_ranges_cross()) and its tables say where its caller's is.
 *
 * A thread's control block lies above the stack that its thread began on; a range never
 * grows across it into what happens to be mapped behind.
 */

#include <stdbool.h>
#include <stdint.h>

#define STACK_RANGES 4

struct stack_range {
        uintptr_t start, end; /* [start, end) readable; end 0: unused */
};

/* Ranges of one thread, the one in use first. */
struct stack_ranges {
        struct stack_range ranges[STACK_RANGES];
};

/** stack_ranges_select() - put the range that holds @sp first, a new one if need be
 * @sp: live stack pointer of the calling thread, or above one in the same frame */
void stack_ranges_select(struct stack_ranges *ranges, uintptr_t sp);

/** stack_ranges_grow() - make the first range reach up to @end
 * Asks the kernel about each new page. Return: false: it does not; the range reaches as far as it can. */
bool stack_ranges_grow(struct stack_ranges *ranges, uintptr_t end);

/** stack_ranges_cross() - the same as select, for a stack that this one was entered from
 * @start, @end: words of it that are going to be read, within GROW_MAX
 * Return: false: the kernel cannot read them; nothing has changed. Asks it each time: another stack may have gone. */
bool stack_ranges_cross(struct stack_ranges *ranges, uintptr_t start, uintptr_t end);

/** stack_ranges_works() - whether the kernel answers as we need it */
bool stack_ranges_works(void);

/** stack_ranges_hold() - whether [@sp, @end) is readable
 * @sp: above a live stack pointer. No system call once the range is known. */
static inline bool stack_ranges_hold(struct stack_ranges *ranges, uintptr_t end) {
        return __builtin_expect(end <= ranges->ranges[0].end, 1) || stack_ranges_grow(ranges, end);
}

static inline void stack_ranges_enter(struct stack_ranges *ranges, uintptr_t sp) {
        if (__builtin_expect(sp - ranges->ranges[0].start >= ranges->ranges[0].end - ranges->ranges[0].start, 0))
                stack_ranges_select(ranges, sp);
}
