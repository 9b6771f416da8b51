/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a program asks of the kernel by syscall() itself: a fork, a seccomp filter; and prctl(), for the same. syscall()
 * has no frame of ours for anything else: some calls return twice, or on another stack.
 */

#include "agent/hooks.h"
#include "agent/real.h"
#include "agent/seccomp.h"
#include "agent/sys.h"

#include <assert.h>
#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/prctl.h>

typedef long syscall_function(long number, long a, long b, long c, long d, long e, long f);

static syscall_function first_syscall, fork_syscall, seccomp_syscall;
static syscall_function *volatile real_syscall __attribute__((used)) = first_syscall;

/* A clone() may go on in another frame, or twice in its caller's, which is_fork() has left by then: ours are
 * only those that are forks. */
static_assert(SYS_seccomp == 317 && SYS_fork == 57 && SYS_clone == 56 && SYS_clone3 == 435, "as below");
__asm__(".pushsection .text\n"
        ".globl syscall\n"
        ".type syscall, @function\n"
        "syscall:\n"
        ".cfi_startproc\n"
        "endbr64\n"
        "cmpl $317, %edi\n"
        "je seccomp_syscall\n"
        "cmpl $57, %edi\n"
        "je fork_syscall\n"
        "cmpl $56, %edi\n"
        "je 2f\n"
        "cmpl $435, %edi\n"
        "je 2f\n"
        "1:\n"
        "jmp *real_syscall(%rip)\n"
        "2:\n"
        "pushq %rdi\n"
        "pushq %rsi\n"
        "pushq %rdx\n"
        "pushq %rcx\n"
        "pushq %r8\n"
        "pushq %r9\n"
        "subq $8, %rsp\n"
        ".cfi_adjust_cfa_offset 56\n"
        "call is_fork\n"
        "addq $8, %rsp\n"
        "popq %r9\n"
        "popq %r8\n"
        "popq %rcx\n"
        "popq %rdx\n"
        "popq %rsi\n"
        "popq %rdi\n"
        ".cfi_adjust_cfa_offset -56\n"
        "testb %al, %al\n"
        "jnz fork_syscall\n"
        "jmp 1b\n"
        ".cfi_endproc\n"
        ".size syscall, .-syscall\n"
        ".popsection\n");

static long always(long number, long a, long b, long c, long d, long e, long f) {
        long r = sys_call_always(number, a, b, c, d, e, f);
        if (r >= 0 || r <= -4096)
                return r;
        errno = (int)-r;
        return -1;
}

void hooks_syscall_setup(void) {
        syscall_function *found = (syscall_function *)real_symbol("syscall");
        real_syscall = found ? found : always;
}

static long first_syscall(long number, long a, long b, long c, long d, long e, long f) {
        hooks_syscall_setup();
        return real_syscall(number, a, b, c, d, e, f);
}

/* The arguments of clone3(), which may lie nowhere: programs ask so whether the kernel has it. */
static bool read_clone_args(const struct clone_args *args, size_t size, uint64_t *flagsp, uint64_t *stackp) {
        uintptr_t start = (uintptr_t)args;
        if (size < CLONE_ARGS_SIZE_VER0 || !sys_is_readable(start) ||
            !sys_is_readable(start + CLONE_ARGS_SIZE_VER0 - sizeof(uint64_t)))
                return false;
        *flagsp = args->flags;
        *stackp = args->stack;
        return true;
}

/* Before clone() and clone3(): notes what will be shared.
 * Return: whether the child has its own memory, and this stack and thread-local storage, as that of fork() has. */
static __attribute__((used)) bool is_fork(long number, long a, long b) {
        uint64_t flags = (uint64_t)a, stack = (uint64_t)b;
        if (number == SYS_clone3 && !read_clone_args((const struct clone_args *)a, (size_t)b, &flags, &stack))
                return false;
        hooks_about_to_share(flags);
        return !(flags & (CLONE_VM | CLONE_THREAD | CLONE_SETTLS)) && stack == 0;
}

/* @number: SYS_fork, SYS_clone, SYS_clone3 */
static __attribute__((used)) long fork_syscall(long number, long a, long b, long c, long d, long e, long f) {
        hooks_about_to_fork(HOOK_CFA);
        return hooks_forked((pid_t)real_syscall(number, a, b, c, d, e, f), HOOK_CFA);
}

/* What the kernel answered to a filter or to strict mode. */
static void answered(long r, bool strict, struct seccomp_filter *filter, const struct sock_fprog *program) {
        if (r < 0)
                seccomp_drop(filter);
        else if (strict)
                seccomp_forbid_all();
        else
                seccomp_add(filter, program);
}

static __attribute__((used)) long seccomp_syscall(long number, long operation, long flags, long program, long d, long e,
                                                  long f) {
        bool strict = operation == SECCOMP_SET_MODE_STRICT;
        if (!strict && operation != SECCOMP_SET_MODE_FILTER)
                return real_syscall(number, operation, flags, program, d, e, f);
        struct seccomp_filter *filter = strict ? NULL : seccomp_reserve();
        long r = real_syscall(number, operation, flags, program, d, e, f);
        answered(r, strict, filter, (const struct sock_fprog *)program);
        return r;
}

HOOK int prctl(int option, ...) {
        REAL(prctl);
        unsigned long mode, b, c, d;
        struct seccomp_filter *filter;
        va_list rest;
        int r;

        va_start(rest, option);
        mode = va_arg(rest, unsigned long);
        b = va_arg(rest, unsigned long);
        c = va_arg(rest, unsigned long);
        d = va_arg(rest, unsigned long);
        va_end(rest);
        if (option != PR_SET_SECCOMP || (mode != SECCOMP_MODE_STRICT && mode != SECCOMP_MODE_FILTER))
                return real_prctl(option, mode, b, c, d);
        filter = mode == SECCOMP_MODE_FILTER ? seccomp_reserve() : NULL;
        r = real_prctl(option, mode, b, c, d);
        answered(r, mode == SECCOMP_MODE_STRICT, filter, (const struct sock_fprog *)b);
        return r;
}
