/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What wraps CPython's allocators. The outermost call of a thread is recorded, with
 * the size that was asked for, as domain python; what that call does on its way
 * (large objects go on to malloc, arenas come from mmap) is the same block, or
 * nobody's. Frees are recorded before they happen, as everywhere.
 */

#include <errno.h>

#include "agent/hooks.h"
#include "agent/python.h"
#include "agent/python_stack.h"
#include "agent/recorder.h"
#include "agent/recording.h"

#define INLINE static inline __attribute__((always_inline))

/* Begins a call that counts. Return: NULL where it does not: inside of another, or nothing is traced. */
INLINE struct epoch *enter(enum python_allocator_kind kind, uintptr_t cfa) {
        struct epoch *epoch;

        if (unlikely(thread_state.python != 0) && thread_in_python_slow(cfa)) {
                if (thread_state.python_probe)
                        thread_state.python_probe = 2;
                return NULL;
        }
        epoch = agent_epoch(DOMAIN_BIT_PYTHON);
        if (unlikely(!epoch))
                return NULL;
        thread_state.python = cfa;
        return epoch;
}

INLINE void leave(void) {
        atomic_signal_fence(memory_order_seq_cst);
        thread_state.python = 0;
}

/* Return: the state now. */
static __attribute__((noinline)) enum python_state check(struct epoch *epoch, uintptr_t cfa) {
        int saved_errno = errno;
        uintptr_t previous;

        python_used();
        if (epoch && thread_guard_enter(cfa, &previous)) {
                python_check_now();
                thread_guard_leave(previous);
        }
        errno = saved_errno;
        return atomic_load(&python.state);
}

/* An allocation is recorded while the layer is not off. */
INLINE struct epoch *enter_alloc(enum python_allocator_kind kind, uintptr_t cfa) {
        struct epoch *epoch;
        uint32_t state = atomic_load_explicit(&python.state, memory_order_acquire);

        if (unlikely(state == PYTHON_OFF))
                return NULL;
        epoch = enter(kind, cfa);
        if (unlikely(state == PYTHON_PENDING) && kind != PYTHON_RAW && check(epoch, cfa) == PYTHON_OFF && epoch) {
                leave();
                return NULL;
        }
        return epoch;
}

INLINE uint32_t node_of(struct epoch *epoch, enum python_allocator_kind kind, struct recording recording) {
        uint32_t node = recording.room ? python_node(epoch, kind) : 0;

        if (unlikely(atomic_load_explicit(&python.untold, memory_order_relaxed) != 0) && recording.room)
                agent_bring_files(epoch, true); /* once, and nobody else may have a reason to */
        return node;
}

INLINE void put_alloc(struct epoch *epoch, enum python_allocator_kind kind, struct recording recording,
                      const void *block, size_t size) {
        if (recording_takes(block, size))
                ring_put(&epoch->ring, recording.room | RING_KEEP_RESERVE, 3,
                         record_header(RECORD_ALLOC, 0, DOMAIN_INDEX_PYTHON, node_of(epoch, kind, recording)),
                         (uintptr_t)block, size, 0);
        recording_end(epoch, recording);
}

INLINE void put_free(struct epoch *epoch, struct recording recording, const void *block) {
        if (recording_takes(block, 0))
                ring_put(&epoch->ring, recording.room, 2, record_header(RECORD_FREE, 0, 0, 0), (uintptr_t)block, 0, 0);
        recording_end(epoch, recording);
}

static __attribute__((noinline)) void record_alloc_inside(struct epoch *epoch, enum python_allocator_kind kind,
                                                          const void *block, size_t size, uintptr_t cfa) {
        put_alloc(epoch, kind, recording_begin(cfa), block, size);
}

static __attribute__((noinline)) void record_free_inside(struct epoch *epoch, const void *block, uintptr_t cfa) {
        put_free(epoch, recording_begin(cfa), block);
}

/* Flat: one call from a wrapper, of which there are many, and none further but for the stack; and what is
 * not inside of another recording carries nothing along for those that are. */
static __attribute__((noinline, flatten)) void record_alloc(struct epoch *epoch, enum python_allocator_kind kind,
                                                            const void *block, size_t size, uintptr_t cfa) {
        if (unlikely(!recording_is_outermost()))
                record_alloc_inside(epoch, kind, block, size, cfa);
        else
                put_alloc(epoch, kind, recording_begin_outermost(cfa), block, size);
}

static __attribute__((noinline, flatten)) void record_free(struct epoch *epoch, const void *block, uintptr_t cfa) {
        if (unlikely(!recording_is_outermost()))
                record_free_inside(epoch, block, cfa);
        else
                put_free(epoch, recording_begin_outermost(cfa), block);
}

INLINE void *allocated(struct epoch *epoch, enum python_allocator_kind kind, void *block, size_t size, uintptr_t cfa) {
        leave();
        if (kind == PYTHON_OBJ)
                thread_state.python_new = (uintptr_t)block;
        if (likely(block != NULL))
                record_alloc(epoch, kind, block, size, cfa);
        return block;
}

INLINE void *hook_malloc(enum python_allocator_kind kind, void *context, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        void *block = python.next[kind].malloc(context, size);

        return likely(epoch != NULL) ? allocated(epoch, kind, block, size, cfa) : block;
}

INLINE void *hook_calloc(enum python_allocator_kind kind, void *context, size_t count, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        void *block = python.next[kind].calloc(context, count, size);

        /* the interpreter has looked whether the product overflows */
        return likely(epoch != NULL) ? allocated(epoch, kind, block, count * size, cfa) : block;
}

/* The block stays counted while it moves; where it was not known it is from now on, at its full size. */
INLINE void *moved(struct epoch *epoch, enum python_allocator_kind kind, uint64_t position, void *block, size_t size,
                   uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        uint32_t node = block ? node_of(epoch, kind, recording) : 0;

        if (position == RING_NO_POSITION)
                ring_put(&epoch->ring, recording.room, 3, record_header(RECORD_ALLOC, 0, DOMAIN_INDEX_PYTHON, node),
                         (uintptr_t)block, size, 0);
        else
                ring_put(&epoch->ring, recording.room, 4, record_header(RECORD_MOVE_IN, 0, DOMAIN_INDEX_PYTHON, node),
                         (uintptr_t)block, size, position);
        recording_end(epoch, recording);
        return block;
}

/* The layer was on probation when the block came, perhaps. */
static __attribute__((noinline)) void forget(void *block, uintptr_t cfa) {
        struct epoch *epoch = block ? agent_epoch(DOMAIN_BIT_PYTHON) : NULL;

        if (epoch)
                recorder_free(epoch, block, cfa);
}

INLINE void *hook_realloc(enum python_allocator_kind kind, void *context, void *block, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        uint64_t position;
        void *now;

        if (unlikely(!epoch) || unlikely(!block)) {
                if (unlikely(atomic_load_explicit(&python.state, memory_order_relaxed) == PYTHON_OFF))
                        forget(block, cfa);
                now = python.next[kind].realloc(context, block, size);
                return epoch ? allocated(epoch, kind, now, size, cfa) : now;
        }
        thread_state.python_block = block;
        position = recorder_move_out(epoch, block, cfa);
        now = python.next[kind].realloc(context, block, size);
        leave();
        if (likely(now != NULL))
                return moved(epoch, kind, position, now, size, cfa);
        recorder_move_back(epoch, position, cfa);
        return NULL;
}

/* Code objects are known by their type; whoever frees one has just looked at it. */
INLINE void note_code(const void *block) {
        if (unlikely(((const uintptr_t *)block)[PYTHON_OBJECT_TYPE / sizeof(uintptr_t)] ==
                     atomic_load_explicit(&python.type_of_code, memory_order_relaxed)))
                python_freeing((uintptr_t)block);
}

INLINE void hook_free(enum python_allocator_kind kind, void *context, void *block, uintptr_t cfa) {
        struct epoch *epoch;

        if (unlikely(!block))
                return;
        if (kind == PYTHON_RAW)
                python_raw_free();
        if (kind == PYTHON_OBJ)
                note_code(block);
        epoch = enter(kind, cfa);
        if (likely(epoch != NULL)) {
                record_free(epoch, block, cfa);
                thread_state.python_block = block;
        }
        python.next[kind].free(context, block);
        if (likely(epoch != NULL))
                leave();
}

#define DEFINE_WRAPPERS(name, kind)                                                                                    \
        static void *name##_malloc(void *context, size_t size) {                                                       \
                return hook_malloc(kind, context, size, HOOK_CFA);                                                     \
        }                                                                                                              \
        static void *name##_calloc(void *context, size_t count, size_t size) {                                         \
                return hook_calloc(kind, context, count, size, HOOK_CFA);                                              \
        }                                                                                                              \
        static void *name##_realloc(void *context, void *block, size_t size) {                                         \
                return hook_realloc(kind, context, block, size, HOOK_CFA);                                             \
        }                                                                                                              \
        static void name##_free(void *context, void *block) {                                                          \
                hook_free(kind, context, block, HOOK_CFA);                                                             \
        }

DEFINE_WRAPPERS(raw, PYTHON_RAW)
DEFINE_WRAPPERS(mem, PYTHON_MEM)
DEFINE_WRAPPERS(obj, PYTHON_OBJ)

struct python_allocator hooks_python_wrap(enum python_allocator_kind kind, void *context) {
        static const struct python_allocator wrappers[PYTHON_ALLOCATORS] = {
                [PYTHON_RAW] = {.malloc = raw_malloc, .calloc = raw_calloc, .realloc = raw_realloc, .free = raw_free},
                [PYTHON_MEM] = {.malloc = mem_malloc, .calloc = mem_calloc, .realloc = mem_realloc, .free = mem_free},
                [PYTHON_OBJ] = {.malloc = obj_malloc, .calloc = obj_calloc, .realloc = obj_realloc, .free = obj_free},
        };
        struct python_allocator wrapper = wrappers[kind];

        wrapper.context = context;
        return wrapper;
}
