/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Between the entries of the hooks that are called all the time (hooks_entry.c) and what these go on to
 * (hooks_malloc.c, hooks_cxx.c). An entry has no frame of its own: it jumps, to the real function or to traced_NAME().
 * So that one has the hook's arguments, and its frame is the hook's, of which HOOK_CFA speaks.
 */

#include "agent/thread.h"

#include <stddef.h>

struct epoch;
struct nothrow;

/* Each calls the real function and records, in @epoch or, where that is NULL, in the one that agent_epoch() gives. */
void *traced_malloc(size_t size, struct epoch *epoch);
void *traced_calloc(size_t count, size_t size, struct epoch *epoch);
void *traced_realloc(void *block, size_t size, struct epoch *epoch);
void traced_free(void *block, struct epoch *epoch);

/* operator new and delete, by their mangled names, which C allows: name, parameters, arguments, alignment */
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

#define HOOKS_UNPACK(...) __VA_ARGS__

#define DECLARE_NEW(name, parameters, arguments, alignment)                                                            \
        extern void *(*real##name)parameters AGENT_HIDDEN;                                                             \
        void *traced##name(HOOKS_UNPACK parameters, struct epoch *epoch);

#define DECLARE_DELETE(name, parameters, arguments)                                                                    \
        extern void(*real##name) parameters AGENT_HIDDEN;                                                              \
        void traced##name(HOOKS_UNPACK parameters, struct epoch *epoch);

EACH_NEW(DECLARE_NEW)
EACH_DELETE(DECLARE_DELETE)
