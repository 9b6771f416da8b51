/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How to get from a frame to its caller's, in 31 bits. A frame is a state of three
 * registers: the return address in the frame's function, and rsp and rbp as
 * they are after the return to it. Of the caller's state
 *
 *   CFA             rsp + offset, or rbp + offset
 *   return address  in the word at CFA - 8
 *   rsp             CFA
 *   rbp             unchanged, or in the word at CFA - saved
 *
 * A rule is a function of the return address alone. What does not fit in is
 * UNWIND_CANT, and another unwinder has to do it.
 */

#include <stdbool.h>
#include <stdint.h>

enum unwind_kind {
        UNWIND_NONE = 0, /* no rule: an unwind_rule of 0 */
        UNWIND_RSP,      /* CFA is rsp + offset */
        UNWIND_RBP,      /* CFA is rbp + offset */
        UNWIND_END,      /* the outermost frame: no return address, or code without unwind tables */
        UNWIND_OUTSIDE,  /* the same, because the code is in no loaded object: valid for now only */
        UNWIND_CANT,
};

#define UNWIND_RULE_BITS  31
#define UNWIND_OFFSET_MAX (UINT64_C(65535) * 8)
#define UNWIND_SAVED_MAX  (UINT64_C(4095) * 8)

/** unwind_rule_make() - @offset: 8..UNWIND_OFFSET_MAX, @saved: 0 (unchanged) or 16..UNWIND_SAVED_MAX, both multiples of
 * 8 */
static inline uint32_t unwind_rule_make(enum unwind_kind kind, uint64_t offset, uint64_t saved) {
        return (uint32_t)kind | (uint32_t)(offset / 8) << 3 | (uint32_t)(saved / 8) << 19;
}

static inline enum unwind_kind unwind_rule_kind(uint32_t rule) {
        return (enum unwind_kind)(rule & 7);
}

static inline uint64_t unwind_rule_offset(uint32_t rule) {
        return (uint64_t)(rule >> 3 & 65535) * 8;
}

static inline uint64_t unwind_rule_saved(uint32_t rule) {
        return (uint64_t)(rule >> 19 & 4095) * 8;
}
