/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Around each event that is recorded: the thread's guard, so that what happens in between
 * neither recurses nor waits, and the socket way's turn to send.
 */

#include "agent/epoch.h"
#include "agent/socket_way.h"
#include "agent/state.h"

#include <stddef.h>
#include <stdint.h>

struct recording {
        uintptr_t previous;
        unsigned room; /* RING_MAY_WAIT where nobody was interrupted */
};

/** recording_is_outermost() - whether recording_begin() has nothing to find out */
static inline bool recording_is_outermost(void) {
        return likely(thread_state.guard == 0);
}

/** recording_begin_outermost() - recording_begin() after recording_is_outermost() */
static inline struct recording recording_begin_outermost(uintptr_t cfa) {
        thread_state.guard = cfa;
        atomic_signal_fence(memory_order_seq_cst);
        return (struct recording){.previous = 0, .room = RING_MAY_WAIT};
}

/** recording_begin_nested() - recording_begin() where the guard is set: by a hook that this interrupted, by one that is
 * gone, or by a process that shares the thread's storage */
struct recording recording_begin_nested(uintptr_t cfa);

/** recording_begin() - set the thread's guard; @cfa: of the hook
 * Return: what recording_end() takes. */
static inline struct recording recording_begin(uintptr_t cfa) {
        return likely(recording_is_outermost()) ? recording_begin_outermost(cfa) : recording_begin_nested(cfa);
}

static inline void recording_end(struct epoch *epoch, struct recording recording) {
        if (unlikely(epoch->socket != NULL) && recording.room && socket_way_due(epoch->socket))
                agent_drain(epoch, false);
        thread_guard_leave(recording.previous);
}

/** recording_takes() - whether a record can hold these; no such block or size exists in user space otherwise */
static inline bool recording_takes(const void *block, size_t size) {
        return ((uint64_t)(uintptr_t)block | size) < RECORD_PAYLOAD_LIMIT;
}
