/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * System calls without libc: they leave errno alone, pass by whatever is
 * interposed, are no cancellation points and need no symbol that another libc
 * may lack. Each returns what the kernel does: a value, or -errno.
 */

#include "agent/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/** sys_call_always() - for the program, which may want to be killed for it */
static inline long sys_call_always(long number, long a, long b, long c, long d, long e, long f) {
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        register long r9 __asm__("r9") = f;
        long result;
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return result;
}

/** sys_call() - for the agent. Return: -EPERM for what the program's own filters would kill it for, too */
static inline long sys_call(long number, long a, long b, long c, long d, long e, long f) {
        if (atomic_load_explicit(&seccomp_filtered, memory_order_relaxed)) {
                const long arguments[6] = {a, b, c, d, e, f};
                if (!seccomp_allows(number, arguments))
                        return -EPERM;
        }
        return sys_call_always(number, a, b, c, d, e, f);
}

/** sys_map() - mmap; Return: the address, or NULL */
static inline void *sys_map(void *address, size_t length, int protection, int flags, int fd) {
        long result = sys_call(SYS_mmap, (long)address, (long)length, protection, flags, fd, 0);
        return result < 0 && result > -4096 ? NULL : (void *)result;
}

/** sys_map_memory() - zeroed private memory, charged when touched */
static inline void *sys_map_memory(size_t length) {
        return sys_map(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

/** sys_map_memory_now() - the same for what will be touched all over: a page fault costs many times what a page costs
 * in one call (0.8 against 13 us in a virtual machine) */
static inline void *sys_map_memory_now(size_t length) {
        return sys_map(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE,
                       -1);
}

static inline void sys_unmap(void *address, size_t length) {
        sys_call(SYS_munmap, (long)address, (long)length, 0, 0, 0, 0);
}

static inline int sys_mprotect(void *address, size_t length, int protection) {
        return (int)sys_call(SYS_mprotect, (long)address, (long)length, protection, 0, 0, 0);
}

static inline int sys_madvise(void *address, size_t length, int advice) {
        return (int)sys_call(SYS_madvise, (long)address, (long)length, advice, 0, 0, 0);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14; an older one refuses, and pages come by faults */
#endif

/** sys_populate() - have the pages of [@address, @address + @length) there before they are touched; best effort */
static inline void sys_populate(void *address, size_t length) {
        uintptr_t start = (uintptr_t)address & ~(uintptr_t)4095;
        sys_madvise((void *)start, ((uintptr_t)address + length - start + 4095) & ~(size_t)4095, MADV_POPULATE_WRITE);
}

static inline int sys_memfd_create(const char *name, unsigned flags) {
        return (int)sys_call(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
}

static inline int sys_ftruncate(int fd, uint64_t length) {
        return (int)sys_call(SYS_ftruncate, fd, (long)length, 0, 0, 0, 0);
}

static inline int sys_fcntl(int fd, int command, long argument) {
        return (int)sys_call(SYS_fcntl, fd, command, argument, 0, 0, 0);
}

static inline int sys_close(int fd) {
        return (int)sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline int sys_open(const char *path, int flags) {
        return (int)sys_call(SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);
}

static inline long sys_read(int fd, void *buffer, size_t length) {
        return sys_call(SYS_read, fd, (long)buffer, (long)length, 0, 0, 0);
}

static inline int sys_fstat(int fd, struct stat *st) {
        return (int)sys_call(SYS_fstat, fd, (long)st, 0, 0, 0, 0); /* x86-64: the kernel's struct is libc's */
}

static inline long sys_readlink(const char *path, char *buffer, size_t length) {
        return sys_call(SYS_readlink, (long)path, (long)buffer, (long)length, 0, 0, 0);
}

static inline int sys_socket(int domain, int type) {
        return (int)sys_call(SYS_socket, domain, type, 0, 0, 0, 0);
}

static inline int sys_connect(int fd, const void *address, socklen_t length) {
        return (int)sys_call(SYS_connect, fd, (long)address, length, 0, 0, 0);
}

static inline long sys_sendmsg(int fd, const struct msghdr *message, int flags) {
        return sys_call(SYS_sendmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline long sys_recvmsg(int fd, struct msghdr *message, int flags) {
        return sys_call(SYS_recvmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline int sys_poll(struct pollfd *fds, unsigned n_fds, int timeout_ms) {
        return (int)sys_call(SYS_poll, (long)fds, n_fds, timeout_ms, 0, 0, 0);
}

static inline int sys_futex(const void *word, int operation, uint32_t value, const struct timespec *timeout) {
        return (int)sys_call(SYS_futex, (long)word, operation, value, (long)timeout, 0, 0);
}

static inline int sys_getpid(void) {
        return (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static inline int sys_gettid(void) {
        return (int)sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static inline unsigned sys_geteuid(void) {
        return (unsigned)sys_call(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

static inline int sys_getrlimit(int resource, struct rlimit *limit) {
        return (int)sys_call(SYS_prlimit64, 0, resource, 0, (long)limit, 0, 0);
}

/** sys_on_signal_stack() - whether the caller runs on an alternate signal stack */
static inline bool sys_on_signal_stack(void) {
        stack_t stack;
        return sys_call(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0) == 0 && (stack.ss_flags & SS_ONSTACK);
}

/** sys_is_readable() - whether the 8 bytes at an address can be read: rt_sigprocmask copies its mask, the kernel's of 8
 * bytes, before it finds that there is no such operation. No mask is changed. */
static inline bool sys_is_readable(uintptr_t address) {
        return sys_call(SYS_rt_sigprocmask, -1, (long)address, 0, sizeof(uint64_t), 0, 0) == -EINVAL;
}

/** sys_clock_ns() - CLOCK_MONOTONIC, or with @coarse its cheap form (1 to 4 ms); that one, too, where the program has
 * filtered itself: it needs neither a system call, whatever the clock source, nor the counter that strict mode takes
 * away */
static inline uint64_t sys_clock_ns(bool coarse) {
        bool cheap = coarse || atomic_load_explicit(&seccomp_filtered, memory_order_relaxed);
        struct timespec now = {0};
        clock_gettime(cheap ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC, &now); /* the vdso's; fails never */
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
