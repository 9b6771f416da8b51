/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs the program's seccomp filters as the kernel would: classic BPF over the number and the arguments of a system
 * call. In whichever thread makes one; filters are only ever added, and a forked child has its parent's.
 */

#include "agent/seccomp.h"

#include "agent/sys.h"

#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct seccomp_filter {
        struct seccomp_filter *next;
        uint32_t n;
        struct sock_filter code[BPF_MAXINSNS];
};

_Atomic bool seccomp_filtered;
static struct seccomp_filter *_Atomic filters;
static _Atomic bool all_forbidden;

struct seccomp_filter *seccomp_reserve(void) {
        return sys_map_memory(sizeof(struct seccomp_filter));
}

void seccomp_drop(struct seccomp_filter *filter) {
        if (filter)
                sys_unmap(filter, sizeof *filter);
}

void seccomp_forbid_all(void) {
        atomic_store(&all_forbidden, true);
        atomic_store(&seccomp_filtered, true);
}

void seccomp_add(struct seccomp_filter *filter, const struct sock_fprog *program) {
        if (!filter || program->len > BPF_MAXINSNS) {
                seccomp_forbid_all();
                return;
        }
        filter->n = program->len;
        memcpy(filter->code, program->filter, filter->n * sizeof *filter->code);
        filter->next = atomic_load(&filters);
        while (!atomic_compare_exchange_weak(&filters, &filter->next, filter))
                ;
        atomic_store(&seccomp_filtered, true);
}

struct machine {
        uint32_t a, x, memory[BPF_MEMWORDS];
};

static uint32_t compute(uint32_t operation, uint32_t a, uint32_t b) {
        switch (operation) {
        case BPF_ADD:
                return a + b;
        case BPF_SUB:
                return a - b;
        case BPF_MUL:
                return a * b;
        case BPF_DIV:
                return b ? a / b : 0;
        case BPF_OR:
                return a | b;
        case BPF_AND:
                return a & b;
        case BPF_XOR:
                return a ^ b;
        case BPF_LSH:
                return b < 32 ? a << b : 0;
        case BPF_RSH:
                return b < 32 ? a >> b : 0;
        default: /* BPF_NEG */
                return -a;
        }
}

static bool holds(uint32_t comparison, uint32_t a, uint32_t b) {
        switch (comparison) {
        case BPF_JEQ:
                return a == b;
        case BPF_JGT:
                return a > b;
        case BPF_JGE:
                return a >= b;
        default: /* BPF_JSET */
                return a & b;
        }
}

static uint32_t load(const struct machine *machine, const struct sock_filter *step, const struct seccomp_data *data) {
        uint32_t word = 0;
        switch (BPF_MODE(step->code)) {
        case BPF_ABS:
                if (step->k <= sizeof *data - sizeof word)
                        memcpy(&word, (const char *)data + step->k, sizeof word);
                return word;
        case BPF_MEM:
                return machine->memory[step->k % BPF_MEMWORDS];
        case BPF_LEN:
                return sizeof *data;
        default: /* BPF_IMM */
                return step->k;
        }
}

/* Everything but jumps and the end. */
static void take_step(struct machine *machine, const struct sock_filter *step, const struct seccomp_data *data) {
        switch (BPF_CLASS(step->code)) {
        case BPF_LD:
                machine->a = load(machine, step, data);
                return;
        case BPF_LDX:
                machine->x = load(machine, step, data);
                return;
        case BPF_ST:
                machine->memory[step->k % BPF_MEMWORDS] = machine->a;
                return;
        case BPF_STX:
                machine->memory[step->k % BPF_MEMWORDS] = machine->x;
                return;
        case BPF_ALU:
                machine->a =
                        compute(BPF_OP(step->code), machine->a, BPF_SRC(step->code) == BPF_X ? machine->x : step->k);
                return;
        default: /* BPF_MISC */
                if (BPF_MISCOP(step->code) == BPF_TAX)
                        machine->x = machine->a;
                else
                        machine->a = machine->x;
        }
}

/* Return: SECCOMP_RET_...; the kernel has seen that each filter comes to an end. */
static uint32_t run(const struct seccomp_filter *filter, const struct seccomp_data *data) {
        struct machine machine = {0};
        for (uint32_t at = 0; at < filter->n; at++) {
                const struct sock_filter *step = &filter->code[at];
                uint32_t operand = BPF_SRC(step->code) == BPF_X ? machine.x : step->k;
                if (BPF_CLASS(step->code) == BPF_RET)
                        return BPF_RVAL(step->code) == BPF_A ? machine.a : step->k;
                if (BPF_CLASS(step->code) != BPF_JMP)
                        take_step(&machine, step, data);
                else if (BPF_OP(step->code) == BPF_JA)
                        at += step->k;
                else
                        at += holds(BPF_OP(step->code), machine.a, operand) ? step->jt : step->jf;
        }
        return SECCOMP_RET_KILL_PROCESS;
}

bool seccomp_allows(long number, const long arguments[6]) {
        struct seccomp_data data = {
                .nr = (int)number, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = (uintptr_t)seccomp_allows};
        if (atomic_load(&all_forbidden))
                return false;
        for (int i = 0; i < 6; i++)
                data.args[i] = (uint64_t)arguments[i];
        for (const struct seccomp_filter *filter = atomic_load(&filters); filter; filter = filter->next) {
                uint32_t action = run(filter, &data) & SECCOMP_RET_ACTION_FULL;
                if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG && action != SECCOMP_RET_ERRNO)
                        return false;
        }
        return true;
}
