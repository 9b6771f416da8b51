/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Python stack of a thread as a traceback node. A stack is remembered, outermost frame first, so that the next
 * walk only looks whether what is outside of its innermost frame is still there; of that one a memo says the rest.
 * Only a walk that finds another caller, or one that moved on, changes what is remembered.
 *
 * Each frame is remembered with the word that says where in its code it stands.
 * From the innermost frame outward: if a frame of now is at the address of a
 * remembered one, stands at the same place, and its caller is the remembered one's
 * caller, then it has the same name if the caller has. All frames are compared, down to the
 * outermost: another call may have put the same function at the same address under a
 * caller that stands elsewhere. No frame is read but those that the thread state leads to. Frames that now stand
 * elsewhere, and those inside of them, are named anew: from a memo, or else in the trie.
 *
 * A word and a code object mean what they meant only until some code object is freed
 * (python_stack_code_freed()): then all is forgotten. One thread owns a struct python_stack.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/definitions_writer.h"
#include "agent/python_code.h"
#include "agent/python_layout.h"
#include "agent/trie.h"

/* Keys of Python frames in a trie: this bit, number of the code, position in it (34 bits) */
#define PYTHON_KEY       (UINT64_C(1) << 60)
#define PYTHON_KEY_SHIFT 34

/* Where names go. */
struct python_names {
        struct trie *trie;
        struct definitions *definitions;
        struct python_codes *codes;
        uint32_t limit; /* traceback limit, 1..65535 */
};

struct python_stack_frame {
        uintptr_t frame, code;
        uint64_t word;
        /* owner of the frame, or whether a trace function sees it: what else says if and how it counts */
        uint32_t kind;
        uint32_t outer; /* name of the frame outside, when chain was found */
        uint32_t chain; /* name of this frame and all outer ones; the outer's where this one does not count */
        uint32_t depth; /* frames that count, this one included */
        uint32_t node;  /* traceback that ends here; 0: not asked for yet */
};

/* A frame that was named: by what is around it, what it runs, and where. */
struct python_stack_name {
        uintptr_t code;
        uint64_t word;
        uint32_t kind, outer;
        uint32_t generation; /* of the names; 0: nothing is here */
        uint32_t chain, depth, node;
};

#define PYTHON_STACK_FIND       256 /* a power of two */
#define PYTHON_STACK_NAMES_LOG2 10

struct python_stack {
        /* what names and words mean */
        struct python_names names;
        uint32_t trie_version, code_version;
        uint32_t generation;               /* of memo[]; another since the last time that all was forgotten */
        uint32_t changing;                 /* left set by a longjmp out of a signal handler: nothing here is right */
        uint32_t n_frames;                 /* of the remembered stack */
        uint32_t n_known;                  /* frames[] beyond it is garbage */
        uint32_t capacity;                 /* of frames and fresh */
        struct python_stack_frame *frames; /* outermost first */
        uintptr_t *fresh;                  /* scratch: frames on top of what is remembered, innermost first */
        uint32_t find[PYTHON_STACK_FIND];  /* by address: where in frames[] it may be */
        struct python_stack_name memo[1 << PYTHON_STACK_NAMES_LOG2];
};

/* Changes whenever a code object is freed. */
extern _Atomic uint32_t python_stack_code_version;

/** python_stack_code_freed() - a code object is about to be freed, in any thread */
static inline void python_stack_code_freed(void) {
        atomic_fetch_add_explicit(&python_stack_code_version, 1, memory_order_release);
}

/** python_stack_new() - Return: NULL where there is no memory. */
struct python_stack *python_stack_new(void);

/** python_stack_rename() - names go elsewhere from now on; what is remembered is forgotten
 * @names: copied */
void python_stack_rename(struct python_stack *stack, const struct python_names *names);

/** python_stack_node() - the traceback of a stack
 * @stack: renamed once, at least; @top: innermost frame of the calling thread, not 0
 * Takes no lock; no system call but where the stack is the deepest so far. Return: node; 0: no frame that counts,
 * or no room. */
uint32_t python_stack_node(struct python_stack *stack, const struct python_layout *layout, uintptr_t top);
