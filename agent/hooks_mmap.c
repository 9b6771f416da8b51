/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Domain mmap, only where it was asked for. The daemon keeps a map of intervals,
 * so partial munmap and MAP_FIXED need nothing here. What libc maps inside of
 * malloc does not pass through these.
 */

#include "agent/hooks.h"
#include "agent/real.h"
#include "agent/recorder.h"
#include "agent/state.h"
#include "agent/sys.h"

#include <errno.h>
#include <stdarg.h>

HOOK void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);

#define PAGE ((uintptr_t)4096)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

typedef void *map_function(void *address, size_t length, int protection, int flags, int fd, off_t offset);
typedef int unmap_function(void *address, size_t length);
typedef void *remap_function(void *address, size_t old_length, size_t length, int flags, void *wanted);

/* Return: the real function; NULL inside of dlsym or without one: then the system call itself will do. */
static void *find(_Atomic uintptr_t *cached, const char *name) {
        uintptr_t function = atomic_load_explicit(cached, memory_order_relaxed);
        if (unlikely(!function) && !thread_state.resolving) {
                function = (uintptr_t)real_symbol(name);
                atomic_store_explicit(cached, function, memory_order_relaxed);
        }
        return (void *)function;
}

static long with_errno(long result) {
        if (result < 0 && result > -4096) {
                errno = (int)-result;
                return -1;
        }
        return result;
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off_t offset, uintptr_t cfa) {
        static _Atomic uintptr_t cached;
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MMAP);
        map_function *function = (map_function *)find(&cached, "mmap");
        void *mapped = function ? function(address, length, protection, flags, fd, offset)
                                : (void *)with_errno(sys_call_always(SYS_mmap, (long)address, (long)length, protection,
                                                                     flags, fd, offset));
        /* what Python's allocators map are arenas, for blocks that count on their own */
        if (epoch && mapped != MAP_FAILED && !thread_in_python(cfa))
                recorder_map(epoch, mapped, length, cfa);
        return mapped;
}

HOOK void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
        return map(address, length, protection, flags, fd, offset, HOOK_CFA);
}

HOOK void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
        return map(address, length, protection, flags, fd, offset, HOOK_CFA);
}

HOOK int munmap(void *address, size_t length) {
        static _Atomic uintptr_t cached;
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MMAP);
        unmap_function *function = (unmap_function *)find(&cached, "munmap");
        /* not what the kernel will refuse: misaligned, empty */
        if (epoch && length && (uintptr_t)address % PAGE == 0)
                recorder_unmap(epoch, address, length, HOOK_CFA);
        return function ? function(address, length)
                        : (int)with_errno(sys_call_always(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0));
}

/* To map a page where it is changes nothing. */
static bool is_mapped(uintptr_t page) {
        return sys_call(SYS_mremap, (long)page, PAGE, PAGE, 0, 0, 0) != -EFAULT;
}

struct range {
        uintptr_t start;
        size_t length; /* 0: none */
};

/* What a mremap() leaves, for another thread to get at once: nothing where the kernel will refuse. */
static struct range to_be_left(uintptr_t address, size_t old_length, size_t length, int flags) {
        uintptr_t end = address + ((old_length + PAGE - 1) & ~(PAGE - 1));
        uintptr_t start = flags & MREMAP_MAYMOVE ? address : address + ((length + PAGE - 1) & ~(PAGE - 1));
        if (address % PAGE || length == 0 || start >= end || (flags & MREMAP_DONTUNMAP) || !is_mapped(start) ||
            !is_mapped(end - PAGE))
                return (struct range){0};
        return (struct range){.start = start, .length = end - start};
}

/* The record that frees what will be left has to come first. Where mremap() is refused all the same, that stays with
 * the traceback of this call. */
HOOK void *mremap(void *address, size_t old_length, size_t length, int flags, ...) {
        static _Atomic uintptr_t cached;
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MMAP);
        remap_function *function = (remap_function *)find(&cached, "mremap");
        struct range left = {0};
        va_list list;
        va_start(list, flags);
        void *wanted = va_arg(list, void *); /* garbage where it was not passed; then nobody reads it */
        va_end(list);
        if (epoch)
                left = to_be_left((uintptr_t)address, old_length, length, flags);
        if (left.length)
                recorder_unmap(epoch, (void *)left.start, left.length, HOOK_CFA);
        void *moved = function ? function(address, old_length, length, flags, wanted)
                               : (void *)with_errno(sys_call_always(SYS_mremap, (long)address, (long)old_length,
                                                                    (long)length, flags, (long)wanted, 0));
        if (epoch && moved != MAP_FAILED)
                recorder_map(epoch, moved, length, HOOK_CFA);
        else if (left.length)
                recorder_map(epoch, (void *)left.start, left.length, HOOK_CFA);
        return moved;
}
