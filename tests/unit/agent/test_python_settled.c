/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a thread has settled holds no more once something has changed that it goes by: the agent's own hooks and life,
 * around allocators of an interpreter that is not there. The program itself is not traced (TRACEMALLOCD_OFF).
 */

#include "agent/hooks.h"
#include "agent/python_settled.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/python_objects.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_KEEPONFORK
#define MADV_KEEPONFORK 19
#endif

static struct epoch *epoch;
static uintptr_t thread; /* its one frame stands in one code object */
static struct python_allocator hooked, hooked_raw;

/* ---- the interpreter ---- */

static void *thread_current(void) {
        return (void *)thread;
}

static void *plain_malloc(void *context, size_t size) {
        return malloc(size);
}

static void *malloc_by_raw(void *context, size_t size) {
        return hooked_raw.malloc(hooked_raw.context, size);
}

static void *make_frame(void) {
        void *frame = new_object(), *code = new_object();
        fill_code(&python.layout, code);
        put_word(frame, python.layout.frame_code, (uintptr_t)code);
        return frame;
}

/* 3.8: a frame is an object, and one that has not begun counts. */
static void make_interpreter(void) {
        ck_assert_int_eq(python_layout_find(3 << 24 | 8 << 16, NULL, &python.layout), 0);
        thread = (uintptr_t)new_object();
        put_word((void *)thread, python.layout.thread_frame, (uintptr_t)make_frame());
        python.api.thread_current = python.api.thread_of_caller = thread_current;
        python.next[PYTHON_OBJ].malloc = python.next[PYTHON_RAW].malloc = plain_malloc;
        atomic_store(&python.state, PYTHON_ON);
        hooked = hooks_python_wrap(PYTHON_OBJ, NULL);
        hooked_raw = hooks_python_wrap(PYTHON_RAW, NULL);
}

/* ---- what is traced ---- */

static void begin(void) {
        make_interpreter();
        ck_assert_int_eq(epoch_new(16, true, &epoch), 0);
        atomic_store(&epoch_control(epoch)->mode, TRACE_EXACT);
        atomic_store(&epoch_control(epoch)->domains, DOMAIN_BIT_PYTHON);
        atomic_store(&epoch_control(epoch)->traceback_limit, 5);
        atomic_store(&current_epoch, epoch);
        atomic_store(&process_page.gate, GATE_RECORDING);
        agent_changed();
}

/* Return: whether an allocation of Python's was recorded. */
static bool records(void) {
        uint64_t before = atomic_load(&epoch->ring.header->head);
        free(hooked.malloc(hooked.context, 10));
        return atomic_load(&epoch->ring.header->head) != before;
}

static void settle(void) {
        ck_assert(records());
        ck_assert(python_is_settled());
        ck_assert(records());
}

START_TEST(change_of_the_gate_unsettles)
{
        begin();
        settle();
        atomic_store(&process_page.gate, GATE_NEW);
        ck_assert_ptr_null(agent_closed(DOMAIN_BIT_PYTHON)); /* it is told to trace nothing */
        ck_assert_int_eq(agent_gate(), GATE_INERT);
        ck_assert(!python_is_settled());
        ck_assert(!records());
}
END_TEST

/* The last that a daemon left in its page is EXACT, if it was killed. */
START_TEST(end_of_a_daemon_unsettles)
{
        begin();
        settle();
        agent_not_exact(epoch, TRACE_ENDED);
        ck_assert_int_eq(agent_gate(), GATE_IDLE);
        ck_assert_int_eq(atomic_load(&epoch_control(epoch)->mode), TRACE_EXACT);
        ck_assert(!python_is_settled());
        ck_assert(!records());
}
END_TEST

/* Also where the kernel leaves it what its parent's page says. It would write into the parent's ring. */
START_TEST(child_of_a_fork_has_settled_nothing)
{
        int status;
        begin();
        sys_madvise(&process_page, sizeof process_page, MADV_KEEPONFORK);
        settle();
        pid_t pid = fork();
        if (pid == 0)
                _exit(python_is_settled() ? 1 : records() ? 2 : 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        ck_assert(python_is_settled());
}
END_TEST

/* Between the gate's opening and its first agent_changed(): what is settled then would hold in the next child of a
 * fork, which finds that version again. */
START_TEST(nothing_is_settled_with_the_version_of_a_forks_child)
{
        begin();
        atomic_store(&process_page.version, 0);
        ck_assert(records());
        ck_assert(!python_is_settled());
        agent_changed();
        settle();
}
END_TEST

START_TEST(change_of_the_layer_unsettles)
{
        begin();
        settle();
        python_freeing(0x1000);
        ck_assert(!python_is_settled());
        settle();
}
END_TEST

/* Return: the traceback of the last record. */
static uint32_t last_node(uint64_t before) {
        return record_argument(epoch->ring.data[before / 8]);
}

static uint32_t node_of_an_allocation(void) {
        uint64_t before = atomic_load(&epoch->ring.header->head);
        ck_assert(records());
        return last_node(before);
}

/* A walk that a signal handler left by longjmp: what it was changing is not believed, settled or not. */
START_TEST(stack_that_is_half_changed_is_not_believed)
{
        begin();
        settle();
        uint32_t node = node_of_an_allocation();
        struct python_stack *stack = thread_state.settled_stack;
        ck_assert_uint_ne(node, 0);
        stack->changing = 1;
        stack->names.codes = NULL; /* half of the names, too */
        for (unsigned i = 0; i < 1 << PYTHON_STACK_PAIRS_LOG2; i++)
                stack->memo[i][0].node = stack->memo[i][1].node = node + 1;
        ck_assert(python_is_settled());
        ck_assert_uint_eq(node_of_an_allocation(), node);
        ck_assert_uint_eq(stack->changing, 0);
}
END_TEST

static uint64_t bytes_recorded_by(const struct python_allocator *allocator) {
        uint64_t before = atomic_load(&epoch->ring.header->head);
        free(allocator->malloc(allocator->context, 1000));
        return atomic_load(&epoch->ring.header->head) - before;
}

START_TEST(raw_block_that_another_allocator_asks_for_is_recorded_once)
{
        begin();
        settle();
        python.next[PYTHON_OBJ].malloc = malloc_by_raw;
        ck_assert_uint_eq(bytes_recorded_by(&hooked), 24);
        ck_assert_uint_eq(bytes_recorded_by(&hooked_raw), 24);
}
END_TEST

/* Left by longjmp, from a frame below this one. */
START_TEST(raw_block_after_an_allocator_that_was_left_is_recorded)
{
        begin();
        settle();
        thread_state.python = 1;
        ck_assert_uint_eq(bytes_recorded_by(&hooked_raw), 24);
        ck_assert_uint_eq(thread_state.python, 0);
}
END_TEST

CHECK_MAIN("python_settled", change_of_the_gate_unsettles, end_of_a_daemon_unsettles,
           child_of_a_fork_has_settled_nothing, nothing_is_settled_with_the_version_of_a_forks_child,
           change_of_the_layer_unsettles, stack_that_is_half_changed_is_not_believed,
           raw_block_that_another_allocator_asks_for_is_recorded_once,
           raw_block_after_an_allocator_that_was_left_is_recorded)
