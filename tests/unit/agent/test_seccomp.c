/* SPDX-License-Identifier: Apache-2.0 */

/* Filters as programs write them, and what the kernel would say to a system call. */

#include "agent/seccomp.h"
#include "tests/support/check_main.h"

#include <check.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#define WORD(field)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define KILL         RETURN(SECCOMP_RET_KILL_PROCESS)
#define ALLOW        RETURN(SECCOMP_RET_ALLOW)
/* Goes on where @test holds, else skips one. */
#define IF(test, k)  BPF_JUMP(BPF_JMP | (test) | BPF_K, (k), 0, 1)

static void add(struct sock_filter *code, size_t n) {
        const struct sock_fprog program = {(unsigned short)n, code};
        seccomp_add(seccomp_reserve(), &program);
}

#define ADD(...)                                                                                                       \
        do {                                                                                                           \
                struct sock_filter code[] = {__VA_ARGS__};                                                             \
                add(code, sizeof code / sizeof *code);                                                                 \
        } while (0)

static bool allows(long number, long first_argument) {
        const long arguments[6] = {first_argument};
        return seccomp_allows(number, arguments);
}

START_TEST(without_a_filter_everything_is_allowed)
{
        ck_assert(!seccomp_filtered);
        ck_assert(allows(SYS_futex, 0));
}
END_TEST

START_TEST(strict_mode_forbids_everything)
{
        seccomp_forbid_all();
        ck_assert(seccomp_filtered);
        ck_assert(!allows(SYS_write, 1));
}
END_TEST

START_TEST(a_filter_without_memory_forbids_everything)
{
        const struct sock_fprog program = {0};
        seccomp_add(NULL, &program);
        ck_assert(!allows(SYS_futex, 0));
}
END_TEST

START_TEST(what_is_answered_with_an_error_may_be_called)
{
        ADD(WORD(nr), IF(BPF_JEQ, SYS_futex), RETURN(SECCOMP_RET_ERRNO | 1), IF(BPF_JEQ, SYS_madvise),
            RETURN(SECCOMP_RET_LOG), IF(BPF_JEQ, SYS_getpid), RETURN(SECCOMP_RET_TRAP), IF(BPF_JEQ, SYS_gettid),
            RETURN(SECCOMP_RET_TRACE), IF(BPF_JEQ, SYS_poll), RETURN(SECCOMP_RET_USER_NOTIF), IF(BPF_JEQ, SYS_mmap),
            RETURN(SECCOMP_RET_KILL_THREAD), IF(BPF_JEQ, SYS_munmap), KILL, ALLOW);
        ck_assert(allows(SYS_futex, 0));
        ck_assert(allows(SYS_madvise, 0));
        ck_assert(allows(SYS_read, 0));
        ck_assert(!allows(SYS_getpid, 0));
        ck_assert(!allows(SYS_gettid, 0));
        ck_assert(!allows(SYS_poll, 0));
        ck_assert(!allows(SYS_mmap, 0));
        ck_assert(!allows(SYS_munmap, 0));
}
END_TEST

START_TEST(each_filter_has_a_say)
{
        ADD(WORD(nr), IF(BPF_JEQ, SYS_futex), KILL, ALLOW);
        ADD(WORD(nr), IF(BPF_JEQ, SYS_madvise), KILL, ALLOW);
        ck_assert(!allows(SYS_futex, 0));
        ck_assert(!allows(SYS_madvise, 0));
        ck_assert(allows(SYS_getpid, 0));
}
END_TEST

/* As libseccomp writes it. */
START_TEST(architecture_and_both_halves_of_an_argument)
{
        ADD(WORD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), KILL, WORD(nr),
            BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), KILL,
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 4),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 3), WORD(args), IF(BPF_JEQ, 2), KILL, ALLOW);
        ck_assert(!allows(SYS_read, 0x100000002));
        ck_assert(allows(SYS_read, 0x100000003));
        ck_assert(allows(SYS_read, 2));
        ck_assert(!allows(0x40000000 + SYS_read, 0));
}
END_TEST

START_TEST(jumps)
{
        ADD(WORD(args), IF(BPF_JGT, 100), KILL, IF(BPF_JSET, 8), KILL, BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 50),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), KILL, BPF_STMT(BPF_JMP | BPF_JA, 1), KILL, ALLOW);
        ck_assert(allows(1, 100));
        ck_assert(!allows(1, 101));
        ck_assert(!allows(1, 8));
        ck_assert(!allows(1, 50));
        ck_assert(allows(1, 49));
}
END_TEST

/* Kills where the calculation gives 0, beginning with 12 and what is asked for in X. */
static bool computes(uint32_t operation, uint32_t operand, uint32_t result) {
        ADD(BPF_STMT(BPF_LD | BPF_W | BPF_IMM, operand), BPF_STMT(BPF_MISC | BPF_TAX, 0),
            BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 12), BPF_STMT(BPF_ALU | operation | BPF_X, 0), BPF_STMT(BPF_ST, 3),
            BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3), BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_STX, 4),
            BPF_STMT(BPF_LD | BPF_W | BPF_MEM, 4), IF(BPF_JEQ, result), ALLOW, KILL);
        return allows(1, 0);
}

START_TEST(calculations)
{
        ck_assert(computes(BPF_ADD, 5, 17));
        ck_assert(computes(BPF_SUB, 13, UINT32_MAX));
        ck_assert(computes(BPF_MUL, 3, 36));
        ck_assert(computes(BPF_DIV, 5, 2));
        ck_assert(computes(BPF_OR, 3, 15));
        ck_assert(computes(BPF_AND, 6, 4));
        ck_assert(computes(BPF_XOR, 6, 10));
        ck_assert(computes(BPF_LSH, 4, 192));
        ck_assert(computes(BPF_RSH, 2, 3));
        ck_assert(computes(BPF_NEG, 0, (uint32_t)-12));
        ck_assert(!computes(BPF_ADD, 5, 16));
}
END_TEST

START_TEST(length_of_the_data_and_an_action_in_a)
{
        ADD(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), IF(BPF_JEQ, sizeof(struct seccomp_data)),
            BPF_STMT(BPF_LD | BPF_W | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
        ck_assert(allows(1, 0));
}
END_TEST

START_TEST(a_refused_filter_forbids_nothing)
{
        seccomp_drop(seccomp_reserve());
        ck_assert(allows(1, 0));
}
END_TEST

CHECK_MAIN("seccomp", without_a_filter_everything_is_allowed, strict_mode_forbids_everything,
           a_filter_without_memory_forbids_everything, what_is_answered_with_an_error_may_be_called,
           each_filter_has_a_say, architecture_and_both_halves_of_an_argument, jumps, calculations,
           length_of_the_data_and_an_action_in_a, a_refused_filter_forbids_nothing)
