/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What wraps CPython's allocators. The outermost call of a thread is recorded, with
 * the size that was asked for, as domain python; what that call does on its way
 * (large objects go on to malloc, arenas come from mmap) is the same block, or
 * nobody's. Frees are recorded before they happen, as everywhere.
 */

#include "agent/hooks.h"
#include "agent/python.h"
#include "agent/python_settled.h"
#include "agent/recorder.h"
#include "agent/recording.h"

#include <errno.h>

#define INLINE   static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

/* Begins a call that counts. Return: NULL where it does not: inside of another, or nothing is traced. */
static struct epoch *enter(uintptr_t cfa) {
        struct epoch *epoch;
        if (unlikely(thread_state.python != 0) && thread_in_python_slow(cfa)) {
                if (thread_state.python_probe)
                        thread_state.python_probe = 2;
                return NULL;
        }
        epoch = agent_epoch(DOMAIN_BIT_PYTHON);
        if (epoch)
                thread_state.python = cfa;
        return epoch;
}

/* The same where the thread has settled. Return: NULL: it has not, or enter() would say no. */
INLINE struct epoch *enter_settled(uintptr_t cfa) {
        struct epoch *epoch = python_settled_epoch();
        if (likely(epoch != NULL))
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
static struct epoch *enter_alloc(enum python_allocator_kind kind, uintptr_t cfa) {
        struct epoch *epoch;
        uint32_t state = atomic_load_explicit(&python.state, memory_order_acquire);
        if (unlikely(state == PYTHON_OFF))
                return NULL;
        epoch = enter(cfa);
        if (unlikely(state == PYTHON_PENDING) && kind != PYTHON_RAW && check(epoch, cfa) == PYTHON_OFF && epoch) {
                leave();
                return NULL;
        }
        return epoch;
}

INLINE void put_alloc(struct epoch *epoch, unsigned room, uint32_t node, const void *block, size_t size) {
        ring_put(&epoch->ring, room, 3, record_header(RECORD_ALLOC, 0, DOMAIN_INDEX_PYTHON, node), (uintptr_t)block,
                 size, 0);
}

/* The block stays counted while it moves; where it was not known it is from now on, at its full size. */
INLINE void put_moved(struct epoch *epoch, unsigned room, uint32_t node, uint64_t position, const void *block,
                      size_t size) {
        if (unlikely(position == RING_NO_POSITION))
                put_alloc(epoch, room, node, block, size);
        else
                ring_put(&epoch->ring, room, 4, record_header(RECORD_MOVE_IN, 0, DOMAIN_INDEX_PYTHON, node),
                         (uintptr_t)block, size, position);
}

/* The wrappers where the thread has not settled, or is inside of another call. */

static void *allocated(struct epoch *epoch, enum python_allocator_kind kind, void *block, size_t size, uintptr_t cfa) {
        leave();
        if (kind == PYTHON_OBJ)
                thread_state.python_new = (uintptr_t)block;
        if (!block)
                return NULL;
        struct recording recording = recording_begin(cfa);
        if (recording_takes(block, size))
                put_alloc(epoch, recording.room | RING_KEEP_RESERVE, recording.room ? python_node(epoch, kind) : 0,
                          block, size);
        recording_end(epoch, recording);
        return block;
}

static NOINLINE void *unsettled_malloc(enum python_allocator_kind kind, void *context, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        void *block = python.next[kind].malloc(context, size);
        return epoch ? allocated(epoch, kind, block, size, cfa) : block;
}

static NOINLINE void *unsettled_calloc(enum python_allocator_kind kind, void *context, size_t count, size_t size,
                                       uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        void *block = python.next[kind].calloc(context, count, size);
        return epoch ? allocated(epoch, kind, block, count * size, cfa) : block;
}

/* The layer was on probation when the block came, perhaps. */
static __attribute__((noinline)) void forget(void *block, uintptr_t cfa) {
        struct epoch *epoch = block ? agent_epoch(DOMAIN_BIT_PYTHON) : NULL;
        if (epoch)
                recorder_free(epoch, block, cfa);
}

static NOINLINE void *unsettled_realloc(enum python_allocator_kind kind, void *context, void *block, size_t size,
                                        uintptr_t cfa) {
        struct epoch *epoch = enter_alloc(kind, cfa);
        void *now;
        if (!epoch || !block) {
                if (unlikely(atomic_load_explicit(&python.state, memory_order_relaxed) == PYTHON_OFF))
                        forget(block, cfa);
                now = python.next[kind].realloc(context, block, size);
                return epoch ? allocated(epoch, kind, now, size, cfa) : now;
        }
        thread_state.python_block = block;
        uint64_t position = recorder_move_out(epoch, block, cfa);
        now = python.next[kind].realloc(context, block, size);
        leave();
        if (!now) {
                recorder_move_back(epoch, position, cfa);
                return NULL;
        }
        struct recording recording = recording_begin(cfa);
        put_moved(epoch, recording.room, recording.room ? python_node(epoch, kind) : 0, position, now, size);
        recording_end(epoch, recording);
        return now;
}

static NOINLINE void unsettled_free(enum python_allocator_kind kind, void *context, void *block, uintptr_t cfa) {
        struct epoch *epoch = enter(cfa);
        if (epoch) {
                recorder_free(epoch, block, cfa);
                thread_state.python_block = block;
        }
        python.next[kind].free(context, block);
        if (epoch)
                leave();
}

/* The wrappers. A thread that has settled, outside of any other call, records at once: nothing is to be found out, and
 * there is no socket way whose turn it could be. Inlined, since each is called all the time from many places. */

INLINE void *settled_allocated(struct epoch *epoch, enum python_allocator_kind kind, void *block, size_t size,
                               uintptr_t cfa) {
        leave();
        if (kind == PYTHON_OBJ)
                thread_state.python_new = (uintptr_t)block;
        if (unlikely(!block))
                return NULL;
        struct recording recording = recording_begin_outermost(cfa);
        if (likely(recording_takes(block, size)))
                put_alloc(epoch, RING_MAY_WAIT | RING_KEEP_RESERVE, python_settled_node(epoch, kind), block, size);
        thread_guard_leave(recording.previous);
        return block;
}

/* @type: RECORD_FREE or RECORD_MOVE_OUT; Return: its position. */
INLINE uint64_t settled_put_old(struct epoch *epoch, unsigned type, const void *block, uintptr_t cfa) {
        struct recording recording = recording_begin_outermost(cfa);
        uint64_t position = RING_NO_POSITION;
        if (likely(recording_takes(block, 0)))
                position =
                        ring_put(&epoch->ring, RING_MAY_WAIT, 2, record_header(type, 0, 0, 0), (uintptr_t)block, 0, 0);
        thread_guard_leave(recording.previous);
        return position;
}

INLINE void *hook_malloc(enum python_allocator_kind kind, void *context, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_settled(cfa);
        if (unlikely(!epoch))
                return unsettled_malloc(kind, context, size, cfa);
        return settled_allocated(epoch, kind, python.next[kind].malloc(context, size), size, cfa);
}

INLINE void *hook_calloc(enum python_allocator_kind kind, void *context, size_t count, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_settled(cfa);
        if (unlikely(!epoch))
                return unsettled_calloc(kind, context, count, size, cfa);
        /* the interpreter has looked whether the product overflows */
        return settled_allocated(epoch, kind, python.next[kind].calloc(context, count, size), count * size, cfa);
}

INLINE void *hook_realloc(enum python_allocator_kind kind, void *context, void *block, size_t size, uintptr_t cfa) {
        struct epoch *epoch = enter_settled(cfa);
        if (unlikely(!epoch))
                return unsettled_realloc(kind, context, block, size, cfa);
        if (!block)
                return settled_allocated(epoch, kind, python.next[kind].realloc(context, NULL, size), size, cfa);
        thread_state.python_block = block;
        uint64_t position = settled_put_old(epoch, RECORD_MOVE_OUT, block, cfa);
        void *now = python.next[kind].realloc(context, block, size);
        leave();
        if (unlikely(!now)) {
                recorder_move_back(epoch, position, cfa);
                return NULL;
        }
        struct recording recording = recording_begin_outermost(cfa);
        put_moved(epoch, RING_MAY_WAIT, python_settled_node(epoch, kind), position, now, size);
        thread_guard_leave(recording.previous);
        return now;
}

/* Code objects are known by their type; whoever frees one has just looked at it. */
INLINE void note_code(const void *block) {
        if (unlikely(((const uintptr_t *)block)[PYTHON_OBJECT_TYPE / sizeof(uintptr_t)] ==
                     atomic_load_explicit(&python.type_of_code, memory_order_relaxed)))
                python_freeing((uintptr_t)block);
}

INLINE void hook_free(enum python_allocator_kind kind, void *context, void *block, uintptr_t cfa) {
        if (unlikely(!block))
                return;
        if (kind == PYTHON_OBJ)
                note_code(block);
        struct epoch *epoch = enter_settled(cfa);
        if (unlikely(!epoch)) {
                unsettled_free(kind, context, block, cfa);
                return;
        }
        thread_state.python_block = block;
        settled_put_old(epoch, RECORD_FREE, block, cfa);
        python.next[kind].free(context, block);
        leave();
}

#define DEFINE_WRAPPERS(name, kind)                                                                                    \
        static NOINLINE void *name##_malloc(void *context, size_t size) {                                              \
                return hook_malloc(kind, context, size, HOOK_CFA);                                                     \
        }                                                                                                              \
        static NOINLINE void *name##_calloc(void *context, size_t count, size_t size) {                                \
                return hook_calloc(kind, context, count, size, HOOK_CFA);                                              \
        }                                                                                                              \
        static NOINLINE void *name##_realloc(void *context, void *block, size_t size) {                                \
                return hook_realloc(kind, context, block, size, HOOK_CFA);                                             \
        }                                                                                                              \
        static NOINLINE void name##_free(void *context, void *block) {                                                 \
                hook_free(kind, context, block, HOOK_CFA);                                                             \
        }

DEFINE_WRAPPERS(outer_raw, PYTHON_RAW)
DEFINE_WRAPPERS(mem, PYTHON_MEM)
DEFINE_WRAPPERS(obj, PYTHON_OBJ)

/* The raw allocator is called by the others as well, for each block of more than 512 bytes. Then enter() would say no,
 * whatever else there is to find out. */
INLINE bool is_inner(uintptr_t cfa) {
        return cfa < thread_state.python && likely(!thread_state.python_probe);
}

static void *raw_malloc(void *context, size_t size) {
        return is_inner(HOOK_CFA) ? python.next[PYTHON_RAW].malloc(context, size) : outer_raw_malloc(context, size);
}

static void *raw_calloc(void *context, size_t count, size_t size) {
        return is_inner(HOOK_CFA) ? python.next[PYTHON_RAW].calloc(context, count, size)
                                  : outer_raw_calloc(context, count, size);
}

static void *raw_realloc(void *context, void *block, size_t size) {
        return is_inner(HOOK_CFA) ? python.next[PYTHON_RAW].realloc(context, block, size)
                                  : outer_raw_realloc(context, block, size);
}

static void raw_free(void *context, void *block) {
        if (unlikely(!block))
                return;
        python_raw_free();
        if (is_inner(HOOK_CFA))
                python.next[PYTHON_RAW].free(context, block);
        else
                outer_raw_free(context, block);
}

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
