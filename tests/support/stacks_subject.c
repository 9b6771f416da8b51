/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program whose stacks are hard to walk: run under the checking build of the
 * agent, which judges. Each part allocates from a stack of its kind, many times and in
 * turns, so that what is remembered of one stack is tried on the next.
 *
 * usage: stacks_subject [PLUGIN PLUGIN]
 */

#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE  __attribute__((noinline, noclone))
#define BARRIER() __asm__ volatile("" ::: "memory")

/* Allocates and frees; not a tail call. */
static NOINLINE void allocate(size_t size) {
        void *volatile block = malloc(size);
        free(block);
        BARRIER();
}

/* Rounds, each a little different. */
#define ROUNDS 300

static NOINLINE void with_array(size_t n) {
        volatile char array[n + 1];
        array[n] = 1;
        allocate(n);
        BARRIER();
}

static NOINLINE void with_alloca(size_t n) {
        volatile char *memory = alloca(n + 1);
        memory[n] = 1;
        with_array(n / 2);
        allocate(n + 1);
        BARRIER();
}

/* One side of a scale each: the sum of both sizes is the same, so that the innermost frames stay where they are
 * while the frames outside of them move. */
static NOINLINE void scale_left(size_t n, size_t sum) {
        volatile char *memory = alloca(n);
        memory[0] = 1;
        with_array(sum - n);
        BARRIER();
}

static NOINLINE void scale_right(size_t n, size_t sum) {
        volatile char *memory = alloca(n);
        memory[0] = 2;
        with_array(sum - n);
        allocate(2);
        BARRIER();
}

static void variable_arrays(void) {
        for (size_t i = 1; i < ROUNDS; i++) {
                with_array(i * 7 % 1000);
                with_alloca(i * 31 % 3000);
                scale_left(i % 16 * 16 + 16, 512);
                scale_right(i % 16 * 16 + 16, 512);
                scale_left(i * 5 % 16 * 16 + 16, 512);
        }
}

/* Aligned more than the stack is: the compiler aligns it, and describes the CFA by an expression. */
static NOINLINE void aligned(size_t n) {
        _Alignas(64) volatile char buffer[128];

        buffer[n % 128] = 1;
        allocate(n);
        BARRIER();
}

static NOINLINE void recursion(unsigned depth, unsigned from) {
        volatile char frame[64];
        frame[depth % 64] = 1;
        if (depth % from == 0)
                allocate(depth);
        if (depth > 0)
                recursion(depth - 1, from);
        if (depth % from == 1)
                allocate(depth);
        BARRIER();
}

/* Hand-written, with CFI. */
void asm_pushes(void (*function)(size_t), size_t n);
void asm_rbp_is_data(void (*function)(size_t), size_t n);
void asm_by_rbp(void (*function)(size_t), size_t n);
void asm_by_r12(void (*function)(size_t), size_t n);
void asm_expression(void (*function)(size_t), size_t n);
void asm_rows(void (*function)(size_t), size_t n);
void asm_no_cfi(void (*function)(size_t), size_t n);

__asm__(".text\n"
        ".type asm_pushes, @function\n"
        "asm_pushes:\n"
        ".cfi_startproc\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_offset rbx, -16\n"
        "push $1\n.cfi_adjust_cfa_offset 8\n"
        "push $2\n.cfi_adjust_cfa_offset 8\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "add $16, %rsp\n.cfi_adjust_cfa_offset -16\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore rbx\n"
        "ret\n"
        ".cfi_endproc\n.size asm_pushes, . - asm_pushes\n"

        ".type asm_rbp_is_data, @function\n"
        "asm_rbp_is_data:\n" /* rbp holds anything at all during the call */
        ".cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_offset rbp, -16\n"
        "lea (%rsi, %rsi, 4), %rbp\n"
        "sub $16, %rsp\n.cfi_adjust_cfa_offset 16\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "add $16, %rsp\n.cfi_adjust_cfa_offset -16\n"
        "pop %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore rbp\n"
        "ret\n"
        ".cfi_endproc\n.size asm_rbp_is_data, . - asm_rbp_is_data\n"

        ".type asm_by_rbp, @function\n"
        "asm_by_rbp:\n"
        ".cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset rbp, -16\n"
        "mov %rsp, %rbp\n.cfi_def_cfa_register rbp\n"
        "mov %rsi, %rax\nand $15, %eax\nshl $4, %eax\nsub %rax, %rsp\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "leave\n.cfi_def_cfa rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n.size asm_by_rbp, . - asm_by_rbp\n"

        ".type asm_by_r12, @function\n"
        "asm_by_r12:\n" /* a register that our rules do not know */
        ".cfi_startproc\n"
        "push %r12\n.cfi_def_cfa_offset 16\n.cfi_offset r12, -16\n"
        "mov %rsp, %r12\n.cfi_def_cfa_register r12\n"
        "sub $32, %rsp\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "mov %r12, %rsp\n.cfi_def_cfa_register rsp\n"
        "pop %r12\n.cfi_def_cfa_offset 8\n"
        "ret\n"
        ".cfi_endproc\n.size asm_by_r12, . - asm_by_r12\n"

        ".type asm_expression, @function\n"
        "asm_expression:\n" /* DW_CFA_def_cfa_expression: DW_OP_breg7 32 */
        ".cfi_startproc\n"
        "sub $24, %rsp\n.cfi_escape 0x0f, 2, 0x77, 32\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "add $24, %rsp\n.cfi_def_cfa rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n.size asm_expression, . - asm_expression\n"

        ".type asm_rows, @function\n"
        "asm_rows:\n" /* one call before and one after an early return */
        ".cfi_startproc\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_offset rbx, -16\n"
        "mov %rsi, %rbx\n"
        "push %rdi\n.cfi_adjust_cfa_offset 8\n"
        "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
        "mov %rdi, %rax\nmov %rbx, %rdi\ncall *%rax\n"
        "test $1, %bl\njz 1f\n"
        ".cfi_remember_state\n"
        "add $16, %rsp\n.cfi_adjust_cfa_offset -16\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore rbx\n"
        "ret\n"
        "1: .cfi_restore_state\n"
        "mov 8(%rsp), %rax\nmov %rbx, %rdi\ncall *%rax\n"
        "add $16, %rsp\n.cfi_adjust_cfa_offset -16\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n"
        "ret\n"
        ".cfi_endproc\n.size asm_rows, . - asm_rows\n"

        ".type asm_no_cfi, @function\n"
        "asm_no_cfi:\n" /* the stack ends here */
        "sub $24, %rsp\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\ncall *%rax\n"
        "add $24, %rsp\n"
        "ret\n"
        ".size asm_no_cfi, . - asm_no_cfi\n");

static void assembly(void) {
        for (size_t i = 1; i < ROUNDS; i++) {
                asm_pushes(allocate, i);
                asm_rbp_is_data(with_array, i);
                asm_by_rbp(allocate, i);
                asm_by_rbp(with_alloca, i);
                asm_by_r12(allocate, i);
                asm_expression(allocate, i);
                asm_rows(allocate, i);
                asm_rows(with_array, i);
                asm_no_cfi(allocate, i);
                aligned(i);
        }
}

/* Signal handlers, on this stack and on another, that allocate and that leave by longjmp. */
static sigjmp_buf back;
static volatile sig_atomic_t leave;

static NOINLINE void handler(int number) {
        allocate((size_t)number);
        with_array(100);
        if (leave)
                siglongjmp(back, 1);
}

static NOINLINE void raise_deep(unsigned depth) {
        volatile char frame[32];
        frame[0] = 1;
        if (depth == 0)
                raise(SIGUSR1);
        else
                raise_deep(depth - 1);
        BARRIER();
}

static void signals(int flags) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags | SA_NODEFER};
        stack_t stack = {.ss_size = 65536};
        stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sigaltstack(&stack, NULL);
        sigaction(SIGUSR1, &action, NULL);
        for (unsigned i = 1; i < ROUNDS; i++) {
                leave = i % 3 == 0;
                if (sigsetjmp(back, 1) == 0)
                        raise_deep(i % 20);
                allocate(i);
        }
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        munmap(stack.ss_sp, 65536);
}

/* A timer that interrupts anywhere, hooks too, and leaves by longjmp now and then. libc's malloc does not survive
 * that, so what is interrupted calls mmap, which is a hook of ours and one system call. */
static volatile sig_atomic_t n_alarms;

static NOINLINE void map(size_t n) {
        void *volatile memory = mmap(NULL, n + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(memory, n + 1);
        BARRIER();
}

static NOINLINE void map_deep(unsigned depth) {
        volatile char frame[64];
        frame[depth % 64] = 1;
        if (depth % 3 == 0)
                map(depth);
        if (depth > 0)
                map_deep(depth - 1);
        BARRIER();
}

static void alarm_handler(int number) {
        n_alarms++;
        map(7);
        if (n_alarms % 5 == 0)
                siglongjmp(back, 1);
}

static void interrupted(void) {
        struct sigaction action = {.sa_handler = alarm_handler};
        struct itimerspec every = {.it_interval = {0, 300000}, .it_value = {0, 300000}};
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
        timer_t timer;
        sigaction(SIGUSR2, &action, NULL);
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
                return;
        timer_settime(timer, 0, &every, NULL);
        sigsetjmp(back, 1);
        for (volatile unsigned i = 0; n_alarms < 100; i++)
                map_deep(i % 12);
        signal(SIGUSR2, SIG_IGN);
        timer_delete(timer);
}

/* Coroutines, on stacks that come and go. */
static ucontext_t main_context, contexts[4];

static NOINLINE void yield(unsigned id) {
        swapcontext(&contexts[id], &main_context);
        BARRIER();
}

static void coroutine(unsigned id) {
        for (unsigned i = 0; i < 40; i++) {
                recursion(id * 3 + i % 4, 2);
                with_array(i + id);
                yield(id);
                allocate(i);
        }
}

static void start(unsigned id, void *memory, size_t size) {
        getcontext(&contexts[id]);
        contexts[id].uc_stack.ss_sp = memory;
        contexts[id].uc_stack.ss_size = size;
        contexts[id].uc_link = &main_context;
        makecontext(&contexts[id], (void (*)(void))coroutine, 1, id);
}

static void coroutines(void) {
        for (unsigned round = 0; round < 8; round++) {
                size_t size = round % 2 ? 65536 : 32768;
                char *mapped = mmap(NULL, size * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                char *block = malloc(size * 2);
                start(0, mapped, size);
                start(1, mapped + size, size);
                start(2, block, size);
                start(3, block + size, size);
                for (unsigned i = 0; i < 41; i++)
                        for (unsigned id = 0; id < 4; id++) {
                                swapcontext(&main_context, &contexts[id]);
                                allocate(id);
                        }
                munmap(mapped, size * 2);
                free(block);
        }
}

/* Code made at run time: sub $24, %rsp; mov %rdi, %rax; mov %rsi, %rdi; call *%rax; add $24, %rsp; ret */
static void generated(void) {
        static const uint8_t code[] = {0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0xf8, 0x48, 0x89,
                                       0xf7, 0xff, 0xd0, 0x48, 0x83, 0xc4, 0x18, 0xc3};
        for (unsigned round = 0; round < 20; round++) {
                char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                void (*function)(void (*)(size_t), size_t) = (void (*)(void (*)(size_t), size_t))(page + round * 32);

                memcpy(page + round * 32, code, sizeof code);
                mprotect(page, 4096, PROT_READ | PROT_EXEC);
                for (size_t i = 1; i < 20; i++) {
                        function(allocate, i);
                        function(with_array, i);
                }
                munmap(page, 4096);
        }
}

/* Other code at the same addresses. */
static void plugins(char **paths) {
        for (unsigned i = 0; i < 40; i++) {
                void *library = dlopen(paths[i % 2], RTLD_NOW);
                void (*run)(void (*)(size_t), size_t) = NULL;

                if (library)
                        *(void **)&run = dlsym(library, "plugin_run");
                for (size_t n = 1; run && n < 10; n++)
                        run(allocate, n);
                if (library)
                        dlclose(library);
        }
}

static void *thread(void *argument) {
        size_t id = (size_t)argument;
        for (unsigned i = 0; i < 50; i++) {
                recursion((unsigned)(id + i) % 30, 4);
                with_array(id * 8);
                asm_by_rbp(allocate, i);
        }
        return NULL;
}

static void threads(void) {
        for (unsigned round = 0; round < 10; round++) {
                pthread_t ids[8];
                for (size_t i = 0; i < 8; i++)
                        pthread_create(&ids[i], NULL, thread, (void *)i);
                for (size_t i = 0; i < 8; i++)
                        pthread_join(ids[i], NULL);
        }
}

static NOINLINE void forked(void) {
        pid_t pid = fork();
        if (pid == 0) {
                recursion(20, 2);
                with_array(30);
                exit(0);
        }
        waitpid(pid, NULL, 0);
        allocate(1);
}

static jmp_buf out;

static NOINLINE void jump_from(unsigned depth) {
        volatile char frame[48];
        frame[0] = 1;
        allocate(depth);
        if (depth == 0)
                longjmp(out, 1);
        jump_from(depth - 1);
        BARRIER();
}

static void jumps(void) {
        for (volatile unsigned i = 0; i < ROUNDS; i++) {
                if (setjmp(out) == 0)
                        jump_from(i % 15);
                allocate(i);
        }
}

/* Functions that go on with another stack and find their caller's by rbp, as __morestack of -fsplit-stack and Rust's
 * stacker do. The stacks lie above and below each other, and come and go. */
#define CROSSED    4
#define STACK_SIZE 32768

static char *crossed[CROSSED];

void on_stack(void *top, void (*function)(size_t), size_t argument);
__asm__(".text\n"
        ".globl on_stack\n"
        ".type on_stack, @function\n"
        "on_stack:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "mov %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "mov %rdi, %rsp\n"
        "mov %rdx, %rdi\n"
        "call *%rsi\n"
        "mov %rbp, %rsp\n"
        "pop %rbp\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size on_stack, . - on_stack\n");

static NOINLINE void cross(size_t n) {
        size_t level = n % 8, round = n / 8;
        allocate(round);
        recursion((unsigned)(round % 5), 2);
        if (level < CROSSED)
                on_stack(crossed[(level * 2 + level / 2 + round % 2) % CROSSED] + STACK_SIZE, cross, n + 1);
        with_array(round);
        BARRIER();
}

static void stacks_crossed(void) {
        for (unsigned round = 0; round < ROUNDS / 3; round++) {
                char *mapped = mmap(NULL, STACK_SIZE * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                crossed[0] = malloc(STACK_SIZE);
                for (unsigned i = 1; i < CROSSED; i++)
                        crossed[i] = mapped + (i - 1) * STACK_SIZE;
                cross(round * 8);
                allocate(round);
                free(crossed[0]);
                munmap(mapped, STACK_SIZE * 3);
        }
}

int main(int argc, char **argv) {
        variable_arrays();
        assembly();
        recursion(200, 7);
        recursion(60, 1);
        recursion(70, 1);
        recursion(6000, 97);
        signals(0);
        signals(SA_ONSTACK);
        interrupted();
        coroutines();
        stacks_crossed();
        generated();
        if (argc == 3)
                plugins(argv + 1);
        threads();
        jumps();
        forked();
        printf("done\n");
        return 0;
}
