/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The short way of the hooks of Python's allocators. What each event depends on - the gate, which epoch is there,
 * whether the Python layer is on and the daemon knows that, whether what the thread remembers of its stack still
 * means what it meant - a thread finds out once, in python_node(), and notes with which process_page.version it began
 * to ask: it has settled. While that version stands, all of it stands:
 *
 *   - Whoever changes one of these calls agent_changed() after it, and no version comes twice. So a thread that finds
 *     the version with which it began to ask has missed no change but one that is just being made, as it would have
 *     one step later too, had it asked again.
 *   - The child of a fork finds version 0, with which no thread settles.
 *   - What a thread remembers of its stack is marked while it changes (python_stack.changing). So what a signal handler
 *     leaves by longjmp is not believed, although the thread stays settled: epoch and stack are the ones that the
 *     version stands for, whichever of them were noted last.
 *
 * That mark, what the daemon alone changes (mode, domains, traceback limit) and what becomes of a trie's nodes is
 * looked at each time.
 */

#include "agent/python.h"
#include "agent/python_stack.h"
#include "agent/state.h"

/** python_thread() - the thread state whose stack is the caller's; 0: there is none
 * With the GIL, the interpreter knows whose it is, in sub-interpreters too. */
static inline uintptr_t python_thread(enum python_allocator_kind kind) {
        uintptr_t current = (uintptr_t)python.api.thread_current();
        return likely(kind != PYTHON_RAW) ? current : python_own_thread(current);
}

/** python_is_settled() - whether what this thread has settled still holds */
static inline bool python_is_settled(void) {
        return likely(thread_state.settled == atomic_load_explicit(&process_page.version, memory_order_acquire));
}

/** python_settled_epoch() - agent_epoch(DOMAIN_BIT_PYTHON) for a call that is inside of no other
 * Return: NULL: it is inside of another, or this thread has not settled, or nothing is recorded. */
static inline struct epoch *python_settled_epoch(void) {
        if (unlikely((thread_state.python | thread_state.guard) != 0) || unlikely(!python_is_settled()))
                return NULL;
        struct epoch *epoch = thread_state.settled_epoch;
        if (!epoch)
                __builtin_unreachable();
        return likely(agent_takes(epoch_control(epoch), DOMAIN_BIT_PYTHON)) ? epoch : NULL;
}

/** python_settled_node() - python_node() in a call that python_settled_epoch() let begin, with the @epoch that it gave
 * What was settled then holds still, but for what a signal handler may have done in between: it may have renamed the
 * stack for an epoch that it found, or have left its own walk by longjmp. And while this call lasts, no code object is
 * freed that its frames run. */
static inline __attribute__((always_inline)) uint32_t python_settled_node(struct epoch *epoch,
                                                                          enum python_allocator_kind kind) {
        struct python_stack *stack = thread_state.settled_stack;
        if (unlikely(stack->names.trie != &epoch->trie) || unlikely(stack->changing) ||
            unlikely(stack->names.limit !=
                     atomic_load_explicit(&epoch_control(epoch)->traceback_limit, memory_order_relaxed)) ||
            unlikely(stack->trie_version != trie_version(&epoch->trie)))
                return python_node(epoch, kind);
        uintptr_t thread = python_thread(kind);
        uintptr_t top = likely(thread != 0) ? python_layout_top(&python.layout, thread) : 0;
        if (unlikely(top == 0))
                return 0;
        uint32_t node = python_stack_look_up(stack, &python.layout, thread, top);
        return likely(node != 0) ? node : python_stack_walk(stack, &python.layout, thread, top);
}

/** python_node_quick() - python_node(), the short way where it can be
 * @kind: whose allocator the thread calls; the guard is set */
static inline uint32_t python_node_quick(struct epoch *epoch, enum python_allocator_kind kind) {
        if (likely(python_is_settled()) && likely(thread_state.settled_epoch == epoch))
                return python_settled_node(epoch, kind);
        return python_node(epoch, kind);
}
