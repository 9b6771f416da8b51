/* SPDX-License-Identifier: Apache-2.0 */

/*
 * operator new and delete, in all forms. A program linked with tcmalloc or
 * jemalloc does not pass through malloc; elsewhere operator new calls malloc, and
 * the block counts once: for the outermost hook, with the size that was asked
 * for. An exception may leave through a hook, so nothing here needs undoing.
 * No operator of C++ has a block from the agent's pool: those are dlsym's, which calls malloc.
 */

#include "agent/hooks.h"
#include "agent/hooks_entry.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"

#include <stddef.h>

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
        static void *find##name parameters;                                                                            \
        void *(*real##name)parameters = find##name;                                                                    \
        static void *otherwise##name parameters {                                                                      \
                return new_by_malloc(size, alignment_);                                                                \
        }                                                                                                              \
        static void *find##name parameters {                                                                           \
                void *function = real_cxx_symbol(#name);                                                               \
                real##name = function ? (void *(*)parameters)function : otherwise##name;                               \
                return real##name arguments;                                                                           \
        }                                                                                                              \
        void *traced##name(HOOKS_UNPACK parameters, struct epoch *epoch) {                                             \
                uintptr_t cfa = HOOK_CFA;                                                                              \
                void *block;                                                                                           \
                if (unlikely(!epoch))                                                                                  \
                        epoch = agent_epoch(DOMAIN_BIT_MALLOC);                                                        \
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
        static void find##name parameters;                                                                             \
        void(*real##name) parameters = find##name;                                                                     \
        static void otherwise##name parameters {                                                                       \
                real.free(block);                                                                                      \
        }                                                                                                              \
        static void find##name parameters {                                                                            \
                void *function = real_cxx_symbol(#name);                                                               \
                real##name = function ? (void(*) parameters)function : otherwise##name;                                \
                real##name arguments;                                                                                  \
        }                                                                                                              \
        void traced##name(HOOKS_UNPACK parameters, struct epoch *epoch) {                                              \
                uintptr_t cfa = HOOK_CFA;                                                                              \
                if (unlikely(!block))                                                                                  \
                        return;                                                                                        \
                if (unlikely(!epoch))                                                                                  \
                        epoch = agent_epoch(DOMAIN_BIT_MALLOC);                                                        \
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
