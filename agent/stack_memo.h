/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A thread's stacks, walked by rules (unwind_rule.h) and remembered, so that the
 * next walk only looks whether they are still there. One thread owns it.
 *
 * A walk is a sequence of states S0, S1, ..., each a return address with rsp and
 * rbp after the return to it. S0 is what the hook's caller will be after the hook's return. S(i+1)
 * follows from Si by the rule of its return address and from at most two words of the stack, the
 * slots: the next return address at CFA - 8, and rbp where the frame saved it.
 *
 * When an earlier stack is right for now, so that no rule need be asked:
 * Let S0 ... Sn be an earlier walk. If now's first state is S0, and at each step the slots hold
 * what they held, then by induction now's walk is the same: Si is now's state too, its rule
 * is a function of its return address (while no code is unloaded: then all is forgotten), so the CFA is the same, so
 * the slots are the same words, and S(i+1) is now's. So the slots are compared from the innermost frame outward up to
 * the first difference, and no word is read that is not justified by the frames inside of it. From the first difference
 * on, rules are asked again, until a state is met that an earlier stack had too. rbp is left out of the comparison
 * where nothing depends on it: Si "needs" rbp if the rule of Si or of an outer frame goes by it before a frame in
 * between has restored it. Where Si does not need rbp, walks that differ in its rbp alone have the same return
 * addresses and the same rsp from there on, which is all that a traceback is made of. So rbp is compared in S0 if S0
 * needs it, and the slot that a frame restored it from if the next state needs it. A function without a frame pointer
 * under a caller with a variable-length array shows why it has to be: same slots, another caller's caller.
 *
 * What is remembered: the spine, which is the last stack that was walked, outermost
 * frame first; and branches, the innermost frames of recent stacks by return
 * address and rsp of their first, each of which meets the spine at a state. A program that
 * alternates between a few places goes by the branches, one that goes
 * up and down in recursions by the spine.
 */

#include "agent/stack_range.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACK_BRANCHES_LOG2_FIRST 6
#define STACK_BRANCHES_LOG2_MAX   12
#define STACK_BRANCH_FRAMES       12

struct stack_frame {
        uint64_t pc, sp;          /* return address; rsp after the return: the CFA of the frame inside */
        uint64_t bp;              /* rbp then; may be an earlier walk's where !needs_bp */
        uint64_t path;            /* what the namer keeps for a chain beside its name */
        uint32_t chain;           /* name of this frame and all outer ones */
        uint32_t saved : 16;      /* this frame's function saved its caller's rbp at CFA - saved; 0: unchanged */
        uint32_t goes_by_bp : 1;  /* the CFA is rbp + offset */
        uint32_t needs_bp : 1;    /* this frame or an outer one goes by rbp before it is restored */
        uint32_t restores_bp : 1; /* the caller needs_bp, and has it from our slot */
};

struct stack_branch_frame {
        uint64_t pc;
        uint32_t sp_offset; /* from the rsp of the innermost */
        uint32_t saved : 16;
        uint32_t restores_bp : 1;
};

struct stack_branch {
        uint32_t generation;
        uint32_t node;                                             /* traceback of the whole stack */
        uint32_t n_inner;                                          /* 0..STACK_BRANCH_FRAMES */
        uint32_t join;                                             /* index in the spine where the branch meets it */
        uint32_t join_chain;                                       /* what that frame was */
        uint32_t needs_bp;                                         /* the innermost frame does */
        uint32_t used_at;                                          /* memo's clock */
        uint64_t sp;                                               /* of the innermost frame */
        struct stack_branch_frame frames[STACK_BRANCH_FRAMES + 1]; /* innermost first; frames[n_inner] is the spine's */
        uint64_t bp[STACK_BRANCH_FRAMES + 1];
};

/** Who names what was walked. Names are numbers, 0 is none.
 * path: before any chain of a stack is asked for, once for each of its new frames, outermost first: a number that
 * depends on the frame and the outer one's number (0 for none) alone.
 * chain: a frame on top of outer frames; @outer: their name, 0 for none; @depth: how many frames that makes; @path: of
 * the frame.
 * The same arguments may get another name later, but never the name of others. 0: no room.
 * node: the traceback of a whole stack. @frames: [n], outermost first. 0: no room. */
struct stack_namer;
struct stack_namer_functions {
        uint64_t (*path)(struct stack_namer *namer, uint64_t outer, uint64_t pc);
        uint32_t (*chain)(struct stack_namer *namer, uint32_t outer, uint32_t depth, uint64_t pc, uint64_t path);
        uint32_t (*node)(struct stack_namer *namer, const struct stack_frame *frames, uint32_t n_frames);
};

struct stack_namer {
        const struct stack_namer_functions *functions;
};

struct stack_memo {
        struct stack_ranges ranges;
        uint32_t generation; /* of branches that count */
        uint32_t changing;   /* left set by a longjmp out of a signal handler: nothing here is right */
        uint32_t clock;      /* captures */
        uint32_t n_spine, capacity;
        bool unusable;
        bool ends_outside;                  /* the spine ends in code that is in no object */
        struct stack_frame *spine, *walked; /* [capacity] */
        struct stack_branch *branches;      /* [1 << branches_log2] */
        uint32_t branches_log2;
        uint32_t n_evicted; /* branches that had to go for another since there is room for as many */
};

#define STACK_MEMO_E_CANT 1

/** stack_memo_reset() - forget all stacks: modules were unloaded, or names have another meaning; O(1) */
void stack_memo_reset(struct stack_memo *memo);

/** stack_memo_reset_thread() - begin, in zeroed memory or in what another thread left; takes memory at the first
 * capture */
void stack_memo_reset_thread(struct stack_memo *memo);

/** stack_memo_capture() - the traceback of the calling thread's stack
 * @cfa: of a hook that is still running and has a frame pointer, which is: the word at @cfa - 8 is its return
 * address, the one at @cfa - 16 its caller's rbp.
 * *nodep: what the namer said of the whole stack; 0 where there is no room. The stack ends at its outermost frame, in
 * code without unwind tables, or where the tables lead out of it.
 * Return: 0; STACK_MEMO_E_CANT: a frame is beyond our rules, or there is no memory. */
int stack_memo_capture(struct stack_memo *memo, struct stack_namer *namer, uintptr_t cfa, uint32_t *nodep);
