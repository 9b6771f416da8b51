/* SPDX-License-Identifier: Apache-2.0 */

/*
 * malloc and its kin. Each hook asks first whether anything is to be recorded
 * (and arms the agent at the first call of all), then calls the real function: an
 * allocation is recorded after it, a free before it. Blocks from the agent's pool are
 * never the real function's business.
 */

#include "agent/hooks.h"
#include "agent/python.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
static inline void *allocated(struct epoch *epoch, void *block, size_t size, uintptr_t cfa) {
        if (unlikely(atomic_load_explicit(&python_watch, memory_order_relaxed) != 0))
                python_look(epoch, cfa);
        if (!epoch || unlikely(!block))
                return block;
        if (unlikely((thread_state.inner_cfa | thread_state.python) != 0) && is_inner(size, cfa))
                return block;
        recorder_alloc(epoch, DOMAIN_INDEX_MALLOC, block, size, cfa);
        return block;
}

/* Records a free unless operator delete, or a wrapped Python allocator, has. */
static inline void freeing(void *block, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        if (!epoch)
                return;
        if (unlikely(thread_state.inner_free != NULL) && thread_inner_free(cfa, block)) {
                thread_state.inner_free = NULL;
                return;
        }
        if (unlikely(thread_state.python_block == block) && thread_in_python(cfa))
                return;
        recorder_free(epoch, block, cfa);
}

/* Out of line, as the other hooks that are called most: a hook that has nothing to record saves no registers. */
static __attribute__((noinline)) void *traced_malloc(size_t size, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        return allocated(epoch, real.malloc(size), size, cfa);
}

HOOK void *malloc(size_t size) {
        if (unlikely(agent_is_closed()))
                return real.malloc(size);
        return traced_malloc(size, HOOK_CFA);
}

static __attribute__((noinline)) void *traced_calloc(size_t count, size_t size, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        /* a product that overflows has no block */
        return allocated(epoch, real.calloc(count, size), count * size, cfa);
}

HOOK void *calloc(size_t count, size_t size) {
        if (unlikely(agent_is_closed()))
                return real.calloc(count, size);
        return traced_calloc(count, size, HOOK_CFA);
}

static __attribute__((noinline)) void traced_free(void *block, uintptr_t cfa) {
        freeing(block, cfa);
        real.free(block);
}

HOOK void free(void *block) {
        if (unlikely(!block) || unlikely(real_is_pool(block)))
                return;
        if (unlikely(agent_is_closed()))
                real.free(block);
        else
                traced_free(block, HOOK_CFA);
}

HOOK void free_sized(void *block, size_t size) {
        if (!block || real_is_pool(block))
                return;
        freeing(block, HOOK_CFA);
        real.free_sized(block, size);
}

HOOK void free_aligned_sized(void *block, size_t alignment, size_t size) {
        if (!block || real_is_pool(block))
                return;
        freeing(block, HOOK_CFA);
        real.free_aligned_sized(block, alignment, size);
}

/* A block from the pool that grows becomes a real one; the pool's is left where it is. */
static void *move_from_pool(const void *block, size_t size) {
        void *moved = real.malloc(size);
        size_t had = real_pool_size(block);
        return moved ? memcpy(moved, block, had < size ? had : size) : NULL;
}

static void *reallocate(void *block, size_t size, uintptr_t cfa) {
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);
        if (unlikely(block && real_is_pool(block)))
                return allocated(epoch, move_from_pool(block, size), size, cfa);
        if (!epoch)
                return real.realloc(block, size);
        if (!block)
                return allocated(epoch, real.realloc(NULL, size), size, cfa);
        if (size == 0) {
                /* frees, and may or may not return another block of size 0 */
                recorder_free(epoch, block, cfa);
                return allocated(epoch, real.realloc(block, 0), 0, cfa);
        }
        if (unlikely(thread_state.python != 0) && thread_in_python(cfa)) {
                freeing(block, cfa);
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

HOOK void *realloc(void *block, size_t size) {
        if (unlikely(agent_is_closed()) && likely(!block || !real_is_pool(block)))
                return real.realloc(block, size);
        return reallocate(block, size, HOOK_CFA);
}

/* glibc's calls realloc where we would see it once more; the sum is all that it adds. */
HOOK void *reallocarray(void *block, size_t count, size_t size) {
        size_t bytes;
        if (__builtin_mul_overflow(count, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return reallocate(block, bytes, HOOK_CFA);
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
