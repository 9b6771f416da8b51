/* SPDX-License-Identifier: Apache-2.0 */

/*
 * malloc and its kin. Each hook asks first whether anything is to be recorded
 * (and arms the agent at the first call of all), then calls the real function: an
 * allocation is recorded after it, a free before it. Blocks from the agent's pool are
 * nothing that is recorded. Those that are called all the time begin in hooks_entry.c.
 */

#include "agent/hooks.h"
#include "agent/hooks_entry.h"
#include "agent/python.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"

#include <errno.h>
#include <stdlib.h>

HOOK void *memalign(size_t alignment, size_t size);
HOOK void *valloc(size_t size);
HOOK void *pvalloc(size_t size);
HOOK void free_sized(void *block, size_t size);
HOOK void free_aligned_sized(void *block, size_t alignment, size_t size);

/* Whether operator new, or a wrapped Python allocator, records the block. */
static __attribute__((noinline)) bool is_inner(size_t size, uintptr_t cfa) {
        if (thread_in_python(cfa))
                return true;
        if (!thread_state.inner_cfa || !thread_inner_alloc(cfa, size))
                return false;
        thread_state.inner_cfa = 0;
        return true;
}

/* Records a block unless whoever called us will. */
static inline void *record(struct epoch *epoch, void *block, size_t size, uintptr_t cfa) {
        if (unlikely(!block))
                return NULL;
        if (unlikely((thread_state.inner_cfa | thread_state.python) != 0) && is_inner(size, cfa))
                return block;
        recorder_alloc(epoch, DOMAIN_INDEX_MALLOC, block, size, cfa);
        return block;
}

/* @epoch: of agent_epoch() */
static inline void *allocated(struct epoch *epoch, void *block, size_t size, uintptr_t cfa) {
        if (unlikely(atomic_load_explicit(&python_watch, memory_order_relaxed) != 0))
                python_look(epoch, cfa);
        return epoch ? record(epoch, block, size, cfa) : block;
}

/* Records a free unless operator delete, or a wrapped Python allocator, has. */
static inline void freeing(void *block, struct epoch *epoch, uintptr_t cfa) {
        if (unlikely(!epoch))
                return;
        if (unlikely(thread_state.inner_free != NULL) && thread_inner_free(cfa, block)) {
                thread_state.inner_free = NULL;
                return;
        }
        if (unlikely(thread_state.python_block == block) && thread_in_python(cfa))
                return;
        recorder_free(epoch, block, cfa);
}

/* @epoch: of agent_passes() */
static inline struct epoch *epoch_or_ask(struct epoch *epoch) {
        return likely(epoch != NULL) ? epoch : agent_epoch(DOMAIN_BIT_MALLOC);
}

/* Where agent_passes() found an epoch, nothing looks for Python. */
void *traced_malloc(size_t size, struct epoch *epoch) {
        if (likely(epoch != NULL))
                return record(epoch, real.malloc(size), size, HOOK_CFA);
        epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.malloc(size), size, HOOK_CFA);
}

void *traced_calloc(size_t count, size_t size, struct epoch *epoch) {
        epoch = epoch_or_ask(epoch);
        /* a product that overflows has no block */
        return allocated(epoch, real.calloc(count, size), count * size, HOOK_CFA);
}

void traced_free(void *block, struct epoch *epoch) {
        uintptr_t cfa = HOOK_CFA;
        if (likely(block != NULL) && likely(!real_is_pool(block)))
                freeing(block, epoch_or_ask(epoch), cfa);
        real.free(block);
}

HOOK void free_sized(void *block, size_t size) {
        if (!block || real_is_pool(block))
                return;
        freeing(block, agent_epoch(DOMAIN_BIT_MALLOC), HOOK_CFA);
        real.free_sized(block, size);
}

HOOK void free_aligned_sized(void *block, size_t alignment, size_t size) {
        if (!block || real_is_pool(block))
                return;
        freeing(block, agent_epoch(DOMAIN_BIT_MALLOC), HOOK_CFA);
        real.free_aligned_sized(block, alignment, size);
}

static inline void *reallocate(void *block, size_t size, struct epoch *epoch, uintptr_t cfa) {
        if (!block || unlikely(real_is_pool(block)))
                return allocated(epoch, real.realloc(block, size), size, cfa);
        if (unlikely(!epoch))
                return real.realloc(block, size);
        if (size == 0) {
                /* frees, and may or may not return another block of size 0 */
                recorder_free(epoch, block, cfa);
                return allocated(epoch, real.realloc(block, 0), 0, cfa);
        }
        if (unlikely(thread_state.python != 0) && thread_in_python(cfa)) {
                freeing(block, epoch, cfa);
                return real.realloc(block, size);
        }
        uint64_t position = recorder_move_out(epoch, block, cfa);
        void *moved = real.realloc(block, size);
        if (moved)
                recorder_move_in(epoch, moved, size, position, cfa);
        else
                recorder_move_back(epoch, position, cfa);
        return moved;
}

void *traced_realloc(void *block, size_t size, struct epoch *epoch) {
        return reallocate(block, size, epoch_or_ask(epoch), HOOK_CFA);
}

/* glibc's calls realloc where we would see it once more; the sum is all that it adds. */
HOOK void *reallocarray(void *block, size_t count, size_t size) {
        size_t bytes;
        if (__builtin_mul_overflow(count, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return reallocate(block, bytes, agent_epoch(DOMAIN_BIT_MALLOC), HOOK_CFA);
}

HOOK int posix_memalign(void **blockp, size_t alignment, size_t size) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        int r = real.posix_memalign(blockp, alignment, size);
        if (r == 0)
                allocated(epoch, *blockp, size, HOOK_CFA);
        return r;
}

HOOK void *aligned_alloc(size_t alignment, size_t size) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.aligned_alloc(alignment, size), size, HOOK_CFA);
}

HOOK void *memalign(size_t alignment, size_t size) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.memalign(alignment, size), size, HOOK_CFA);
}

HOOK void *valloc(size_t size) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.valloc(size), size, HOOK_CFA);
}

HOOK void *pvalloc(size_t size) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.pvalloc(size), size, HOOK_CFA);
}
