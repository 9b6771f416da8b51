/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Looking for the real functions. The first hooked call of a process comes from
 * the dynamic loader, before any constructor; from there on dlsym works. dlsym
 * allocates where it fails (its error text), and then calls our hooks: that is what
 * the pool is for. Several threads may look at once; they find the same.
 */

#include "agent/real.h"

#include "agent/object.h"
#include "agent/object_symbol.h"
#include "agent/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Not the newest version of these symbols, and weak: they moved into libc with glibc 2.34. */
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");
__asm__(".symver dlopen, dlopen@GLIBC_2.2.5");
#pragma weak dlsym
#pragma weak dlopen

/* glibc before 2.34 in a program that does not link libdl: no dlsym, but these. */
extern void *__libc_malloc(size_t size) __attribute__((weak));
extern void *__libc_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__libc_realloc(void *block, size_t size) __attribute__((weak));
extern void *__libc_memalign(size_t alignment, size_t size) __attribute__((weak));
extern void __libc_free(void *block) __attribute__((weak));

char real_pool[REAL_POOL_BYTES] __attribute__((aligned(16)));
static _Atomic size_t pool_used;

struct pool_block {
        size_t size;
        size_t padding;
};

static void free_unless_pool(void *block);
static void *realloc_unless_pool(void *block, size_t size);

static void *pool_allocate(size_t alignment, size_t size) {
        size_t used = atomic_load(&pool_used), start, end;
        do {
                start = (used + sizeof(struct pool_block) + alignment - 1) & ~(alignment - 1);
                if (size > REAL_POOL_BYTES || start > REAL_POOL_BYTES - size) {
                        errno = ENOMEM;
                        return NULL;
                }
                end = (start + size + 15) & ~(size_t)15;
        } while (!atomic_compare_exchange_weak(&pool_used, &used, end));
        ((struct pool_block *)(void *)(real_pool + start))[-1].size = size;
        real.free = free_unless_pool;
        real.realloc = realloc_unless_pool;
        return real_pool + start;
}

/* What the hooks call before the real functions are known: look for them, or, inside of that, use the pool. */

static void *boot_malloc(size_t size);

static bool boot(void) {
        if (thread_state.resolving)
                return false;
        real_setup();
        return real.malloc != boot_malloc;
}

static void *boot_malloc(size_t size) {
        return boot() ? real.malloc(size) : pool_allocate(16, size);
}

static void boot_free(void *block) {
        if (boot())
                real.free(block);
}

static void *boot_calloc(size_t count, size_t size) {
        size_t bytes;
        if (boot())
                return real.calloc(count, size);
        if (__builtin_mul_overflow(count, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return pool_allocate(16, bytes); /* never used before: zero */
}

static void *boot_realloc(void *block, size_t size) {
        return boot() ? real.realloc(block, size) : block ? NULL : pool_allocate(16, size);
}

static void *boot_memalign(size_t alignment, size_t size) {
        return boot() ? real.memalign(alignment, size) : pool_allocate(alignment < 16 ? 16 : alignment, size);
}

static void *boot_aligned_alloc(size_t alignment, size_t size) {
        return boot() ? real.aligned_alloc(alignment, size) : pool_allocate(alignment < 16 ? 16 : alignment, size);
}

static int boot_posix_memalign(void **blockp, size_t alignment, size_t size) {
        if (boot())
                return real.posix_memalign(blockp, alignment, size);
        *blockp = pool_allocate(alignment < 16 ? 16 : alignment, size);
        return *blockp ? 0 : ENOMEM;
}

static void *boot_valloc(size_t size) {
        return boot() ? real.valloc(size) : pool_allocate(4096, size);
}

static void *boot_pvalloc(size_t size) {
        return boot() ? real.pvalloc(size) : pool_allocate(4096, (size + 4095) & ~(size_t)4095);
}

/* What these two call once the pool was used: programs do so all the time, and few use the pool. */
static void (*found_free)(void *) = boot_free;
static void *(*found_realloc)(void *, size_t) = boot_realloc;

/* A block of the pool is left where it is. */
static void free_unless_pool(void *block) {
        if (!real_is_pool(block))
                found_free(block);
}

/* One that grows becomes a real one. */
static void *realloc_unless_pool(void *block, size_t size) {
        if (!real_is_pool(block))
                return found_realloc(block, size);
        size_t had = ((const struct pool_block *)block)[-1].size;
        void *moved = real.malloc(size);
        return moved ? memcpy(moved, block, had < size ? had : size) : NULL;
}

/* A libc that lacks one of these: callers of it can't exist but for tests that probe. */

static void *no_memory_1(size_t size) {
        errno = ENOMEM;
        return NULL;
}

static void *no_memory_2(size_t alignment, size_t size) {
        errno = ENOMEM;
        return NULL;
}

static int posix_by_memalign(void **blockp, size_t alignment, size_t size) {
        int saved_errno = errno;
        if (alignment % sizeof(void *) || alignment == 0 || (alignment & (alignment - 1)))
                return EINVAL;
        void *block = real.memalign(alignment, size);
        errno = saved_errno;
        if (!block)
                return ENOMEM;
        *blockp = block;
        return 0;
}

static void free_any_size(void *block, size_t size) {
        real.free(block);
}

static void free_any_alignment(void *block, size_t alignment, size_t size) {
        real.free(block);
}

/* Looked for only by programs that call them: few libraries have them. */

static void boot_free_sized(void *block, size_t size) {
        void *function = real_symbol("free_sized");
        real.free_sized = function ? (void (*)(void *, size_t))function : free_any_size;
        real.free_sized(block, size);
}

static void boot_free_aligned_sized(void *block, size_t alignment, size_t size) {
        void *function = real_symbol("free_aligned_sized");
        real.free_aligned_sized = function ? (void (*)(void *, size_t, size_t))function : free_any_alignment;
        real.free_aligned_sized(block, alignment, size);
}

struct real_functions real = {
        .malloc = boot_malloc,
        .free = boot_free,
        .calloc = boot_calloc,
        .realloc = boot_realloc,
        .posix_memalign = boot_posix_memalign,
        .aligned_alloc = boot_aligned_alloc,
        .memalign = boot_memalign,
        .valloc = boot_valloc,
        .pvalloc = boot_pvalloc,
        .free_sized = boot_free_sized,
        .free_aligned_sized = boot_free_aligned_sized,
};

/* dlsym; what it allocates comes from the pool. A failure leaves an error for dlerror(). It stays: dlerror() would
 * translate it, under locks of libc that our caller may hold (setlocale allocates), and the next dl function drops it.
 */
static void *find(void *where, const char *name) {
        int saved_errno = errno;
        unsigned before = thread_state.resolving;
        void *found;
        if (!dlsym)
                return NULL;
        thread_state.resolving = 1;
        found = dlsym(where, name);
        thread_state.resolving = before;
        errno = saved_errno;
        return found;
}

/* Of those that are loaded; it stays so, because there will be a pointer into it. Return: NULL where it is not. */
static void *find_library(const char *name) {
        int saved_errno = errno;
        unsigned before = thread_state.resolving;
        void *library;
        if (!dlopen)
                return NULL;
        thread_state.resolving = 1;
        library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
        thread_state.resolving = before;
        errno = saved_errno;
        return library;
}

void *real_symbol(const char *name) {
        return find(RTLD_NEXT, name);
}

enum malloc_order real_malloc_order(void) {
        void *function = find(RTLD_DEFAULT, "malloc");
        struct object object, ours;
        if (!function || !object_find((uintptr_t)function, &object) || !object_find((uintptr_t)find, &ours))
                return MALLOC_HOOKED;
        /* an executable at a fixed address that takes malloc's address has an entry for it, but does not define it */
        if (object.name[0] == '\0')
                return object_symbol(&object, "malloc") ? MALLOC_LINKED_IN : MALLOC_HOOKED;
        return object.start == ours.start ? MALLOC_HOOKED : MALLOC_PRELOADED;
}

const volatile char *real_single_threaded(void) {
        static const char never;
        /* an executable may have a copy of it, which is then the one that libc writes to */
        const char *flag = find(RTLD_DEFAULT, "__libc_single_threaded");

        return flag ? flag : &never;
}

void *real_cxx_symbol(const char *name) {
        static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
        void *function = real_symbol(name);
        for (unsigned i = 0; !function && i < sizeof libraries / sizeof *libraries; i++) {
                void *library = find_library(libraries[i]);
                function = library ? find(library, name) : NULL;
        }
        return function;
}

#define FIND(field, otherwise)                                                                                         \
        do {                                                                                                           \
                void *found_ = real_symbol(#field);                                                                    \
                real.field = found_ ? (__typeof__(real.field))found_ : (otherwise);                                    \
        } while (0)

/* The pool may have been used already, or be used by another thread just now: then those that know it stay. */
#define FIND_BEHIND_POOL(field, otherwise)                                                                             \
        do {                                                                                                           \
                __typeof__(real.field) expected_ = boot_##field;                                                       \
                void *found_ = real_symbol(#field);                                                                    \
                found_##field = found_ ? (__typeof__(real.field))found_ : (otherwise);                                 \
                __atomic_compare_exchange_n(&real.field, &expected_, found_##field, false, __ATOMIC_SEQ_CST,           \
                                            __ATOMIC_SEQ_CST);                                                         \
        } while (0)

void real_setup(void) {
        /* malloc last: until then the pool serves what dlsym needs */
        FIND(memalign, __libc_memalign ? __libc_memalign : no_memory_2);
        FIND(posix_memalign, posix_by_memalign);
        FIND(aligned_alloc, real.memalign);
        FIND(valloc, no_memory_1);
        FIND(pvalloc, no_memory_1);
        FIND(calloc, __libc_calloc ? __libc_calloc : boot_calloc);
        FIND_BEHIND_POOL(realloc, __libc_realloc ? __libc_realloc : boot_realloc);
        FIND_BEHIND_POOL(free, __libc_free ? __libc_free : boot_free);
        FIND(malloc, __libc_malloc ? __libc_malloc : boot_malloc);
}
