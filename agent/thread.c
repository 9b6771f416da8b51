/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Slots for threads: a list that only grows. There is no hook for a thread's end
 * (a pthread key would take one of the program's, and its destructor may run before
 * those that still allocate), so a slot is taken from a dead thread when the list
 * has grown.
 */

#include "agent/thread.h"

#include "agent/sys.h"

#include <errno.h>

/* About as long as a walk takes. */
#define SHARED_PAUSES 64

__thread struct thread_state thread_state = {.settled = THREAD_UNSETTLED};

static struct thread *_Atomic slots;
static _Atomic uint32_t n_slots;
static _Atomic uint32_t reap_at = 16; /* slots at which dead threads are looked for next */

static struct thread *take_free_slot(int tid) {
        for (struct thread *slot = atomic_load(&slots); slot; slot = slot->next) {
                int nobody = 0;
                if (atomic_load(&slot->owner) == 0 && atomic_compare_exchange_strong(&slot->owner, &nobody, tid))
                        return slot;
        }
        return NULL;
}

static void reap_dead(void) {
        int pid = sys_getpid();
        for (struct thread *slot = atomic_load(&slots); slot; slot = slot->next) {
                int owner = atomic_load(&slot->owner);
                if (owner && sys_call(SYS_tgkill, pid, owner, 0, 0, 0, 0) == -ESRCH)
                        atomic_compare_exchange_strong(&slot->owner, &owner, 0);
        }
}

static struct thread *new_slot(int tid) {
        static _Atomic uintptr_t chunk; /* a page of slots; in its low bits, how many of them are handed out */
        const uintptr_t per_chunk = 4096 / sizeof(struct thread);
        uintptr_t taken = atomic_load(&chunk);
        struct thread *slot;

        do {
                if (taken == 0 || (taken & 4095) >= per_chunk) {
                        /* two threads here at once make two chunks, and the rest of one is never used */
                        slot = sys_map_memory(4096);
                        if (!slot)
                                return NULL;
                        atomic_store(&chunk, (uintptr_t)slot + 1);
                        break;
                }
                slot = (struct thread *)(taken & ~(uintptr_t)4095) + (taken & 4095);
        } while (!atomic_compare_exchange_weak(&chunk, &taken, taken + 1));

        atomic_store(&slot->owner, tid);
        slot->next = atomic_load(&slots);
        while (!atomic_compare_exchange_weak(&slots, &slot->next, slot))
                ;
        atomic_fetch_add(&n_slots, 1);
        return slot;
}

static struct thread *claim(void) {
        int tid = sys_gettid();
        struct thread *slot = take_free_slot(tid);
        if (!slot && atomic_load(&n_slots) >= atomic_load(&reap_at)) {
                reap_dead();
                atomic_store(&reap_at, atomic_load(&n_slots) * 2);
                slot = take_free_slot(tid);
        }
        return slot ? slot : new_slot(tid);
}

struct thread *thread_new(void) {
        struct thread *thread = claim();
        if (!thread)
                return NULL;
        stack_memo_reset_thread(&thread->memo);
        thread_state.self = thread;
        return thread;
}

uint64_t *thread_keys(struct thread *thread, uint32_t n_frames) {
        if (likely(thread->capacity >= n_frames))
                return thread->keys;
        if (thread->keys)
                sys_unmap(thread->keys, thread->capacity * sizeof *thread->keys);
        thread->keys = sys_map_memory(n_frames * sizeof *thread->keys);
        thread->capacity = thread->keys ? n_frames : 0;
        return thread->keys;
}

bool thread_others(void) {
        int pid = sys_getpid();
        for (struct thread *slot = atomic_load(&slots); slot; slot = slot->next) {
                int owner = atomic_load(&slot->owner);
                if (slot != thread_state.self && owner && sys_call(SYS_tgkill, pid, owner, 0, 0, 0, 0) == 0)
                        return true;
        }
        return false;
}

void thread_after_fork(void) {
        struct thread *self = thread_state.self;
        for (struct thread *slot = atomic_load(&slots); slot; slot = slot->next)
                atomic_store(&slot->owner, slot == self ? sys_gettid() : 0);
        atomic_store(&thread_state.shared_taken, 0); /* whoever recorded is not here */
}

bool thread_in_python_slow(uintptr_t cfa) {
        /* as below: at or above the wrapper's frame nothing is inside of it any more */
        if (cfa < thread_state.python || sys_on_signal_stack())
                return true;
        thread_state.python = 0;
        return false;
}

/* A guard on one of two stacks says nothing of what is on the other, and two walks at the same time would spoil each
 * other's memo: both follow pointers of it. */
void thread_share(void) {
        if (thread_state.guard == 0)
                thread_state.guard = THREAD_GUARD_SHARED;
}

static bool take_shared(void) {
        for (unsigned i = 0; i < SHARED_PAUSES; i++) {
                if (!atomic_exchange_explicit(&thread_state.shared_taken, 1, memory_order_acquire))
                        return true;
                __builtin_ia32_pause();
        }
        return false; /* the other one waits, or this interrupted it */
}

bool thread_guard_enter_slow(uintptr_t cfa, uintptr_t *previousp) {
        if (*previousp == THREAD_GUARD_SHARED) {
                if (!take_shared())
                        return false;
                *previousp = THREAD_GUARD_TAKEN;
                return true;
        }
        /* Below the frame that set it: interrupted. At or above it: that frame is gone, it was left by a
         * longjmp, unless we are on another stack. */
        if (cfa < thread_state.guard || sys_on_signal_stack())
                return false;
        *previousp = 0;
        thread_state.guard = cfa;
        atomic_signal_fence(memory_order_seq_cst);
        return true;
}
