/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The functions behind our hooks: found by dlsym, never linked. Until they are
 * known, and while dlsym itself allocates, memory comes from a small static pool.
 */

#include "agent/thread.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REAL_POOL_BYTES (64 * 1024)

struct real_functions {
        void *(*malloc)(size_t);
        void (*free)(void *);
        void *(*calloc)(size_t, size_t);
        void *(*realloc)(void *, size_t);
        int (*posix_memalign)(void **, size_t, size_t);
        void *(*aligned_alloc)(size_t, size_t);
        void *(*memalign)(size_t, size_t);
        void *(*valloc)(size_t);
        void *(*pvalloc)(size_t);
        void (*free_sized)(void *, size_t);
        void (*free_aligned_sized)(void *, size_t, size_t);
};

/* Always callable: they begin as functions that look for the real ones first. free and realloc take blocks from the
 * pool, too; once there are such, they are not libc's own but those that tell these apart. */
extern struct real_functions real AGENT_HIDDEN;

/** real_setup() - look for the functions of struct real_functions; any thread, any number of times */
void real_setup(void);

/** real_symbol() - the next definition of @name after the agent's own
 * May allocate (from the pool) and takes the loader's lock. Return: NULL where there is none. */
void *real_symbol(const char *name);

/* Whose malloc the program calls. */
enum malloc_order {
        MALLOC_HOOKED,    /* ours, or nobody knows */
        MALLOC_LINKED_IN, /* the executable's own, which comes before every preloaded library */
        MALLOC_PRELOADED, /* that of a library that was preloaded before us; it may well call ours in its turn */
};

/** real_malloc_order() - after object_setup(); takes the loader's lock */
enum malloc_order real_malloc_order(void);

/** real_single_threaded() - what libc itself goes by when it leaves out locks (glibc 2.32 and later)
 * Takes the loader's lock. Return: what is not 0 while the process has one thread; always 0 where libc does not say. */
const volatile char *real_single_threaded(void);

/** real_cxx_symbol() - the same for an operator of C++, also from a C++ library that was loaded RTLD_LOCAL */
void *real_cxx_symbol(const char *name);

extern char real_pool[REAL_POOL_BYTES] AGENT_HIDDEN;

/** real_is_pool() - whether a block came from the pool; such a block is never given back */
static inline bool real_is_pool(const void *block) {
        return (uintptr_t)block - (uintptr_t)real_pool < REAL_POOL_BYTES;
}
