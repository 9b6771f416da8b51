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

#include "agent/definitions_writer.h"
#include "agent/python_code.h"
#include "agent/python_layout.h"
#include "agent/thread.h"
#include "agent/trie.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
        uintptr_t frame, code; /* code: as the frame has it, for python_layout_code() */
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

#define PYTHON_STACK_FIND_LOG2  8
#define PYTHON_STACK_PAIRS_LOG2 9

struct python_stack {
        /* what names and words mean */
        struct python_names names;
        uint32_t trie_version, code_version;
        uint32_t generation;               /* of memo[]; another since the last time that all was forgotten */
        uint32_t changing;                 /* left set by a longjmp out of a signal handler: nothing here is right */
        uint32_t n_frames;                 /* of the remembered stack */
        uint32_t n_known;                  /* frames[] beyond it is garbage */
        uint32_t capacity;                 /* of frames and fresh */
        bool sees_trace;                   /* the last walk met a trace function; up to 3.9 */
        struct python_stack_frame *frames; /* outermost first */
        uintptr_t *fresh;                  /* scratch: frames on top of what is remembered, innermost first */
        uint32_t find[1 << PYTHON_STACK_FIND_LOG2]; /* by address: where in frames[] it may be */
        /* A name is in the pair of its hash, the later one first. One place alone made a program of which two frames
         * that allocate all the time had the same place walk for one of them each time. */
        struct python_stack_name memo[1 << PYTHON_STACK_PAIRS_LOG2][2];
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

/** python_stack_walk() - python_stack_node() where python_stack_look_up() finds nothing */
uint32_t python_stack_walk(struct python_stack *stack, const struct python_layout *layout, uintptr_t thread,
                           uintptr_t top);

static inline uint32_t python_stack_kind(const struct python_layout *layout, uintptr_t frame) {
        if (layout->frame_kind == PYTHON_FRAME_OBJECT)
                return python_word(frame, layout->frame_trace) != 0;
        return python_byte(frame, layout->frame_owner);
}

static inline struct python_stack_name *python_stack_name_pair(struct python_stack *stack, uint64_t word,
                                                               uint32_t outer) {
        uint64_t hash = (word ^ (uint64_t)outer << 32 ^ outer) * UINT64_C(0x9e3779b97f4a7c15);
        return stack->memo[hash >> (64 - PYTHON_STACK_PAIRS_LOG2)];
}

static inline bool python_stack_is_name(const struct python_stack *stack, const struct python_stack_name *name,
                                        uint64_t word, uintptr_t code, uint32_t kind, uint32_t outer) {
        return name->word == word && name->outer == outer && name->code == code && name->kind == kind &&
               name->generation == stack->generation;
}

/* Return: NULL: it is not known. */
static inline struct python_stack_name *python_stack_find_name(struct python_stack *stack, uint64_t word,
                                                               uintptr_t code, uint32_t kind, uint32_t outer) {
        struct python_stack_name *pair = python_stack_name_pair(stack, word, outer);
        if (likely(python_stack_is_name(stack, &pair[0], word, code, kind, outer)))
                return &pair[0];
        return python_stack_is_name(stack, &pair[1], word, code, kind, outer) ? &pair[1] : NULL;
}

static inline uint32_t *python_stack_find_slot(struct python_stack *stack, uintptr_t frame) {
        /* all bits: frames begin at the same places of their pages */
        return &stack->find[frame * UINT64_C(0x9e3779b97f4a7c15) >> (64 - PYTHON_STACK_FIND_LOG2)];
}

static inline bool python_stack_is_valid(const struct python_stack *stack) {
        return likely(stack->trie_version == trie_version(stack->names.trie)) && likely(!stack->changing) &&
               likely(stack->code_version == atomic_load_explicit(&python_stack_code_version, memory_order_acquire));
}

/* Whether @frame and all outside of it are remembered, the innermost as @f, and stand where they stood. Outside of the
 * outermost frame is one that none is equal to. */
static inline __attribute__((always_inline)) bool python_stack_stands_still(const struct python_stack *stack,
                                                                            const struct python_layout *layout,
                                                                            const struct python_stack_frame *f,
                                                                            uintptr_t frame, bool by_code) {
        const uint32_t code = layout->frame_code, word = layout->frame_word, previous = layout->frame_previous;
        for (; likely(f->frame == frame); f--) {
                if (unlikely(python_word(frame, word) != f->word) ||
                    (by_code && unlikely(python_word(frame, code) != f->code)))
                        return false;
                frame = python_word(frame, previous);
        }
        return likely(frame == 0) && likely(f < stack->frames);
}

/* Most walks end here: what is outside of the innermost frame stands as it is remembered, and that frame, whether or
 * not it is remembered, was there before. Nothing is changed. Return: the traceback; 0: it is for python_stack_walk().
 */
static inline __attribute__((always_inline)) uint32_t
python_stack_look_up(struct python_stack *stack, const struct python_layout *layout, uintptr_t thread, uintptr_t top) {
        uintptr_t outer_frame = python_word(top, layout->frame_previous), code = python_word(top, layout->frame_code);
        uint64_t word = python_word(top, layout->frame_word);
        bool by_code = layout->frame_kind == PYTHON_FRAME_OBJECT;
        uint32_t outer = 0;
        if (likely(outer_frame != 0)) {
                uint32_t i = *python_stack_find_slot(stack, outer_frame);
                const struct python_stack_frame *f = &stack->frames[i];
                if (unlikely(i >= stack->n_frames) || unlikely(f->frame != outer_frame)) {
                        /* another frame has its place; after a walk this is where it is */
                        if (stack->n_frames < 2)
                                return 0;
                        f = &stack->frames[stack->n_frames - 2];
                }
                if (unlikely(f->chain == 0))
                        return 0;
                if (!(by_code ? likely(!python_layout_is_traced(thread)) &&
                                        python_stack_stands_still(stack, layout, f, outer_frame, true)
                              : python_stack_stands_still(stack, layout, f, outer_frame, false)))
                        return 0;
                outer = f->chain;
        }
        uint32_t kind = python_stack_kind(layout, top);
        const struct python_stack_name *name = python_stack_find_name(stack, word, code, kind, outer);
        return likely(name != NULL) ? name->node : 0;
}

/** python_stack_node() - the traceback of a stack
 * @stack: renamed once, at least; @thread: state of the calling thread; @top: its innermost frame, not 0
 * Takes no lock; no system call but where the stack is the deepest so far. Return: node; 0: no frame that counts,
 * or no room. */
static inline uint32_t python_stack_node(struct python_stack *stack, const struct python_layout *layout,
                                         uintptr_t thread, uintptr_t top) {
        uint32_t node = python_stack_is_valid(stack) ? python_stack_look_up(stack, layout, thread, top) : 0;
        return likely(node != 0) ? node : python_stack_walk(stack, layout, thread, top);
}
