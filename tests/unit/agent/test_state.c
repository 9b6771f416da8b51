/* SPDX-License-Identifier: Apache-2.0 */

/* When a hook has nothing to do, and that it does not stay so. The program itself is not traced (TRACEMALLOCD_OFF). */

#include "agent/state.h"
#include "tests/support/check_main.h"

static struct epoch *epoch, *found;

static void begin(void) {
        ck_assert_int_eq(epoch_new(16, true, &epoch), 0);
        atomic_store(&epoch_control(epoch)->mode, TRACE_EXACT);
        atomic_store(&epoch_control(epoch)->domains, DOMAIN_BIT_MALLOC);
        atomic_store(&current_epoch, epoch);
        atomic_store(&process_page.gate, GATE_RECORDING);
        agent_watch_python(false);
}

static void be_inert(void) {
        atomic_store(&process_page.gate, GATE_NEW);
        ck_assert_ptr_null(agent_closed(DOMAIN_BIT_MALLOC));
        ck_assert_int_eq(agent_gate(), GATE_INERT);
}

static void set_mode(uint32_t mode) {
        atomic_store(&epoch_control(epoch)->mode, mode);
}

static unsigned allocations_that_pass(void) {
        unsigned n = 0;
        while (n <= AGENT_TICKS && agent_passes(true, &found))
                n++;
        return n;
}

START_TEST(new_gate_is_asked)
{
        atomic_store(&process_page.gate, GATE_NEW);
        ck_assert(!agent_passes(true, &found));
        ck_assert_ptr_null(found);
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_null(found);
}
END_TEST

START_TEST(recording_gate_gives_its_epoch_while_the_daemon_wants_blocks)
{
        begin();
        thread_state.ticks = AGENT_TICKS;
        ck_assert(!agent_passes(true, &found));
        ck_assert_ptr_eq(found, epoch);
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_eq(found, epoch);
        set_mode(TRACE_OFF);
        ck_assert(agent_passes(true, &found));
        ck_assert(agent_passes(false, &found));
        set_mode(TRACE_EXACT);
        ck_assert(!agent_passes(true, &found));
        ck_assert_ptr_eq(found, epoch);
        atomic_store(&epoch_control(epoch)->domains, DOMAIN_BIT_MMAP);
        ck_assert(agent_passes(true, &found));
}
END_TEST

/* So that it notices the daemon's end, and looks at the socket. */
START_TEST(what_is_neither_on_nor_off_is_asked)
{
        begin();
        set_mode(TRACE_ENDED);
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_null(found);
        set_mode(TRACE_OFF);
        epoch->socket = (struct socket_way *)epoch;
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_null(found);
}
END_TEST

START_TEST(closed_gate_asks_once_in_so_many_allocations)
{
        be_inert();
        for (int i = 0; i < 3; i++) {
                ck_assert_uint_eq(allocations_that_pass(), i == 0 ? 0 : AGENT_TICKS - 1);
                ck_assert_ptr_null(found);
                ck_assert_ptr_null(agent_epoch(DOMAIN_BIT_MALLOC));
        }
        for (int i = 0; i < 2 * AGENT_TICKS; i++)
                ck_assert(agent_passes(false, &found));
}
END_TEST

/* The first look finds nothing to ask: the test has no daemon whose page would be in force. */
START_TEST(mode_off_asks_once_in_so_many_allocations)
{
        begin();
        set_mode(TRACE_OFF);
        thread_state.ticks = AGENT_TICKS;
        for (int i = 0; i < 3; i++) {
                ck_assert_uint_eq(allocations_that_pass(), AGENT_TICKS - 1);
                ck_assert_ptr_null(found);
                ck_assert_ptr_null(agent_epoch(DOMAIN_BIT_MALLOC));
        }
        for (int i = 0; i < 2 * AGENT_TICKS; i++)
                ck_assert(agent_passes(false, &found));
        ck_assert_int_eq(agent_gate(), GATE_RECORDING);
}
END_TEST

START_TEST(daemon_that_ends_closes_the_gate)
{
        begin();
        set_mode(TRACE_ENDED);
        ck_assert_ptr_null(agent_epoch(DOMAIN_BIT_MALLOC));
        ck_assert_int_eq(agent_gate(), GATE_IDLE);
        ck_assert(agent_passes(false, &found));
}
END_TEST

START_TEST(nothing_passes_while_python_is_looked_for)
{
        be_inert();
        agent_watch_python(true);
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_null(found);
        ck_assert_int_eq(agent_gate(), GATE_INERT);
        agent_watch_python(false);
        ck_assert(agent_passes(false, &found));
        begin();
        agent_watch_python(true);
        ck_assert(!agent_passes(false, &found));
        ck_assert_ptr_null(found);
        ck_assert_ptr_eq(agent_epoch(DOMAIN_BIT_MALLOC), epoch);
        set_mode(TRACE_ENDED);
        ck_assert_ptr_null(agent_epoch(DOMAIN_BIT_MALLOC));
        ck_assert_int_eq(agent_gate(), GATE_IDLE);
        ck_assert(!agent_passes(false, &found));
        agent_watch_python(false);
        ck_assert(agent_passes(false, &found));
}
END_TEST

CHECK_MAIN("state", new_gate_is_asked, recording_gate_gives_its_epoch_while_the_daemon_wants_blocks,
           what_is_neither_on_nor_off_is_asked, closed_gate_asks_once_in_so_many_allocations,
           mode_off_asks_once_in_so_many_allocations, daemon_that_ends_closes_the_gate,
           nothing_passes_while_python_is_looked_for)
