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
        if (epoch && length && ((uintptr_t)address & 4095) == 0)
                recorder_unmap(epoch, address, length, HOOK_CFA);
        return function ? function(address, length)
                        : (int)with_errno(sys_call_always(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0));
}

/* A refused mremap leaves the old mapping with the traceback of this call: the record that frees the old
 * range has to come first, because another thread may get it at once. */
HOOK void *mremap(void *address, size_t old_length, size_t length, int flags, ...) {
        static _Atomic uintptr_t cached;
        struct epoch *epoch = agent_epoch(DOMAIN_BIT_MMAP);
        remap_function *function = (remap_function *)find(&cached, "mremap");
        bool leaves = epoch && old_length && !(flags & MREMAP_DONTUNMAP);
        va_list list;
        va_start(list, flags);
        void *wanted = va_arg(list, void *); /* garbage where it was not passed; then nobody reads it */
        va_end(list);
        if (leaves)
                recorder_unmap(epoch, address, old_length, HOOK_CFA);
        void *moved = function ? function(address, old_length, length, flags, wanted)
                               : (void *)with_errno(sys_call_always(SYS_mremap, (long)address, (long)old_length,
                                                                    (long)length, flags, (long)wanted, 0));
        if (epoch && moved != MAP_FAILED)
                recorder_map(epoch, moved, length, HOOK_CFA);
        else if (leaves)
                recorder_map(epoch, address, old_length, HOOK_CFA);
        return moved;
}
