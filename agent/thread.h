/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the agent keeps for each thread: a few words of thread-local storage
 * (initial-exec, so that reaching them calls nothing), and a mapping for stacks.
 */

#include "agent/stack_memo.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch;
struct python_stack;

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* For variables that hooks read: -fvisibility leaves declarations to the global offset table. */
#define AGENT_HIDDEN __attribute__((visibility("hidden")))

/* What one thread keeps; found again by the thread that gets the slot after its owner's death. */
struct thread {
        struct thread *next;
        _Atomic int owner;     /* tid; 0: free */
        uint32_t limit;        /* traceback limit that memo's nodes have */
        const void *trie;      /* whose nodes they are, */
        uint32_t trie_version; /* and of which state of it */
        uint32_t capacity;     /* of keys */
        uint64_t *keys;        /* [capacity] a stack as the slow way of walking finds it, innermost first */
        struct stack_memo memo;
        struct python_stack *python; /* NULL until the first */
};

#define THREAD_UNSETTLED UINT64_MAX /* no version */

struct thread_state {
        struct thread *self;
        /* Stack pointer of the hook that is recording, 0 outside. A longjmp out of a signal handler can
         * leave it set; that is noticed by comparing stack pointers. THREAD_GUARD_SHARED: see thread_share(). */
        uintptr_t guard;

        /* operator new calls malloc: what that call looks like, so that the block is counted once. One
         * call only, so that an exception thrown out of operator new leaves next to nothing behind. */
        uintptr_t inner_cfa;
        size_t inner_size, inner_slack;
        /* operator delete calls free: the same */
        uintptr_t inner_free_cfa;
        void *inner_free;

        /* Inside of a wrapped Python allocator: stack pointer of its wrapper, else 0; and the block that it
         * frees or moves. What it calls on the way is not recorded once more. */
        uintptr_t python;
        void *python_block;
        uintptr_t python_new;  /* the last block of the obj allocator, if no object was made of it yet */
        uint32_t python_probe; /* 1: asks whether a wrapper is called; 2: it was */

        int32_t ticks;                 /* calls until the next look for a daemon while the gate is closed */
        uint32_t resolving;            /* inside dlsym */
        uint32_t fork_token;           /* of the fork that this thread is in */
        _Atomic uint32_t shared_taken; /* where the guard is shared: one of those that share it is recording */

        uint64_t settled; /* process_page.version with which the next two were found: python_settled.h */
        struct epoch *settled_epoch;
        struct python_stack *settled_stack; /* its names are in that epoch's trie */
};

extern __thread struct thread_state thread_state __attribute__((tls_model("initial-exec")));

/* A frame of operator new or delete between two hooks is smaller than this, a signal frame (its
 * floating point state alone) larger. */
#define THREAD_INNER_STACK_MAX 1024

/** thread_new() - give the calling thread a slot; Return: NULL where there is no memory. */
struct thread *thread_new(void);

/** thread_get() - the calling thread's slot; the guard is set
 * Return: NULL where there is no memory. */
static inline struct thread *thread_get(void) {
        struct thread *thread = thread_state.self;
        return likely(thread != NULL) ? thread : thread_new();
}

/** thread_keys() - room for @n_frames keys; Return: NULL where there is no memory. */
uint64_t *thread_keys(struct thread *thread, uint32_t n_frames);

/** thread_others() - whether another thread that has recorded is alive; one system call for each, at most */
bool thread_others(void);

/** thread_after_fork() - the calling thread is all that is left of its process's threads */
void thread_after_fork(void);

/* Above all stacks: the guard of thread-local storage that is several processes'. It stays. */
#define THREAD_GUARD_SHARED UINTPTR_MAX
/* What thread_guard_leave() is told by whoever has taken it. */
#define THREAD_GUARD_TAKEN  (UINTPTR_MAX - 1)

/** thread_share() - from now on the calling thread's storage is another process's, too, which shares this one's memory:
 * of what both do at the same time, one captures its stack and may wait */
void thread_share(void);

/** thread_guard_enter_slow() - thread_guard_enter() where the guard is set: by a hook that goes on, or by one that a
 * longjmp() left; or for good, by thread_share() */
bool thread_guard_enter_slow(uintptr_t cfa, uintptr_t *previousp);

/** thread_guard_enter() - begin to record
 * @cfa: of the hook; *previousp: for thread_guard_leave()
 * Return: false where this interrupted a hook of the same thread that was recording, or another process that shares
 * its storage is: then the caller may neither capture a stack nor wait. */
static inline bool thread_guard_enter(uintptr_t cfa, uintptr_t *previousp) {
        *previousp = thread_state.guard;
        if (unlikely(*previousp != 0))
                return thread_guard_enter_slow(cfa, previousp);
        thread_state.guard = cfa;
        atomic_signal_fence(memory_order_seq_cst);
        return true;
}

/** thread_guard_leave() - recording is over; @previous: of thread_guard_enter() */
static inline void thread_guard_leave(uintptr_t previous) {
        atomic_signal_fence(memory_order_seq_cst);
        if (unlikely(previous == THREAD_GUARD_TAKEN))
                atomic_store_explicit(&thread_state.shared_taken, 0, memory_order_release);
        else
                thread_state.guard = previous;
}

/** thread_is_recording() - whether this interrupted a hook of this thread that was recording, as far as its own storage
 * says */
static inline bool thread_is_recording(void) {
        return thread_state.guard != 0 && thread_state.guard != THREAD_GUARD_SHARED;
}

/** thread_in_python_slow() - thread_in_python() where a wrapper was entered, which a longjmp() may have left since */
bool thread_in_python_slow(uintptr_t cfa);

/** thread_in_python() - whether a hook is called by a wrapped Python allocator */
static inline bool thread_in_python(uintptr_t cfa) {
        return unlikely(thread_state.python != 0) && thread_in_python_slow(cfa);
}

/** thread_inner_alloc() - whether an allocation is the one that operator new makes; once true, it is no more */
static inline bool thread_inner_alloc(uintptr_t cfa, size_t size) {
        struct thread_state *state = &thread_state;
        return state->inner_cfa - cfa - 1 < THREAD_INNER_STACK_MAX && size - state->inner_size <= state->inner_slack;
}

/** thread_inner_free() - whether a free is the one that operator delete makes */
static inline bool thread_inner_free(uintptr_t cfa, const void *block) {
        const struct thread_state *state = &thread_state;
        return state->inner_free == block && state->inner_free_cfa - cfa - 1 < THREAD_INNER_STACK_MAX;
}
