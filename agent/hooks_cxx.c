/* SPDX-License-Identifier: Apache-2.0 */

/*
 * operator new and delete, in all forms. A program linked with tcmalloc or
 * jemalloc does not pass through malloc; elsewhere operator new calls malloc, and
 * the block counts once: for the outermost hook, with the size that was asked
 * for. An exception may leave through a hook, so nothing here needs undoing.
 *
 * The functions bear their mangled names, which C allows.
 */

#include "agent/hooks.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"

#include <stddef.h>

struct nothrow;

/* name, parameters, arguments, alignment */
#define EACH_NEW(X)                                                                                                    \
        X(_Znwm, (size_t size), (size), 1)                                                                             \
        X(_Znam, (size_t size), (size), 1)                                                                             \
        X(_ZnwmRKSt9nothrow_t, (size_t size, const struct nothrow *nothrow), (size, nothrow), 1)                       \
        X(_ZnamRKSt9nothrow_t, (size_t size, const struct nothrow *nothrow), (size, nothrow), 1)                       \
        X(_ZnwmSt11align_val_t, (size_t size, size_t alignment), (size, alignment), alignment)                         \
        X(_ZnamSt11align_val_t, (size_t size, size_t alignment), (size, alignment), alignment)                         \
        X(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const struct nothrow *nothrow),          \
          (size, alignment, nothrow), alignment)                                                                       \
        X(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t alignment, const struct nothrow *nothrow),          \
          (size, alignment, nothrow), alignment)

#define EACH_DELETE(X)                                                                                                 \
        X(_ZdlPv, (void *block), (block))                                                                              \
        X(_ZdaPv, (void *block), (block))                                                                              \
        X(_ZdlPvm, (void *block, size_t size), (block, size))                                                          \
        X(_ZdaPvm, (void *block, size_t size), (block, size))                                                          \
        X(_ZdlPvRKSt9nothrow_t, (void *block, const struct nothrow *nothrow), (block, nothrow))                        \
        X(_ZdaPvRKSt9nothrow_t, (void *block, const struct nothrow *nothrow), (block, nothrow))                        \
        X(_ZdlPvSt11align_val_t, (void *block, size_t alignment), (block, alignment))                                  \
        X(_ZdaPvSt11align_val_t, (void *block, size_t alignment), (block, alignment))                                  \
        X(_ZdlPvmSt11align_val_t, (void *block, size_t size, size_t alignment), (block, size, alignment))              \
        X(_ZdaPvmSt11align_val_t, (void *block, size_t size, size_t alignment), (block, size, alignment))              \
        X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const struct nothrow *nothrow),         \
          (block, alignment, nothrow))                                                                                 \
        X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *block, size_t alignment, const struct nothrow *nothrow),         \
          (block, alignment, nothrow))

/* No C++ library anywhere, and still somebody calls an operator of it: malloc does. */
static void *new_by_malloc(size_t size, size_t alignment) {
        return alignment > 16 ? real.memalign(alignment, size) : real.malloc(size ? size : 1);
}

/* Says what the malloc will look like that operator new is about to call. */
static inline void expect_inner_alloc(uintptr_t cfa, size_t size, size_t alignment) {
        thread_state.inner_size = size;
        thread_state.inner_slack = alignment; /* 0 becomes 1, others become a multiple of the alignment */
        thread_state.inner_cfa = cfa;
}

#define DEFINE_NEW(name, parameters, arguments, alignment_)                                                            \
        HOOK void *name parameters;                                                                                    \
        static void *find##name parameters;                                                                            \
        static void *(*real##name)parameters = find##name;                                                             \
        static void *otherwise##name parameters {                                                                      \
                return new_by_malloc(size, alignment_);                                                                \
        }                                                                                                              \
        static void *find##name parameters {                                                                           \
                void *function = real_cxx_symbol(#name);                                                               \
                real##name = function ? (void *(*)parameters)function : otherwise##name;                               \
                return real##name arguments;                                                                           \
        }                                                                                                              \
        HOOK void *name parameters {                                                                                   \
                struct epoch *epoch = agent_epoch(DOMAIN_BIT_MALLOC);                                                  \
                uintptr_t cfa = HOOK_CFA;                                                                              \
                void *block;                                                                                           \
                                                                                                                       \
                if (!epoch || (thread_state.inner_cfa && thread_inner_alloc(cfa, size)) || thread_in_python(cfa))      \
                        return real##name arguments;                                                                   \
                expect_inner_alloc(cfa, size, alignment_);                                                             \
                block = real##name arguments;                                                                          \
                thread_state.inner_cfa = 0;                                                                            \
                if (likely(block != NULL))                                                                             \
                        recorder_alloc(epoch, DOMAIN_INDEX_MALLOC, block, size, cfa);                                  \
                return block;                                                                                          \
        }

#define DEFINE_DELETE(name, parameters, arguments)                                                                     \
        HOOK void name parameters;                                                                                     \
        static void find##name parameters;                                                                             \
        static void(*real##name) parameters = find##name;                                                              \
        static void otherwise##name parameters {                                                                       \
                real.free(block);                                                                                      \
        }                                                                                                              \
        static void find##name parameters {                                                                            \
                void *function = real_cxx_symbol(#name);                                                               \
                real##name = function ? (void(*) parameters)function : otherwise##name;                                \
                real##name arguments;                                                                                  \
        }                                                                                                              \
        HOOK void name parameters {                                                                                    \
                struct epoch *epoch;                                                                                   \
                uintptr_t cfa = HOOK_CFA;                                                                              \
                                                                                                                       \
                if (unlikely(!block) || unlikely(real_is_pool(block)))                                                 \
                        return;                                                                                        \
                epoch = agent_epoch(DOMAIN_BIT_MALLOC);                                                                \
                if (!epoch || (thread_state.inner_free && thread_inner_free(cfa, block))) {                            \
                        real##name arguments;                                                                          \
                        return;                                                                                        \
                }                                                                                                      \
                recorder_free(epoch, block, cfa);                                                                      \
                thread_state.inner_free_cfa = cfa;                                                                     \
                thread_state.inner_free = block;                                                                       \
                real##name arguments;                                                                                  \
                thread_state.inner_free = NULL;                                                                        \
        }

EACH_NEW(DEFINE_NEW)
EACH_DELETE(DEFINE_DELETE)
