/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One event: guard, stack, record. The guard is held for all of it, so that what
 * the unwinder may allocate, and signal handlers in between, neither recurse nor wait.
 */

#include "agent/recorder.h"

#include "agent/capture.h"
#include "agent/python.h"
#include "agent/recording.h"

#include <errno.h>

#define PAGE_MASK UINT64_C(4095)

struct recording recording_begin_nested(uintptr_t cfa) {
        struct recording recording;
        recording.room = thread_guard_enter(cfa, &recording.previous) ? RING_MAY_WAIT : 0;
        return recording;
}

static inline uint32_t capture(struct epoch *epoch, struct recording recording, uintptr_t cfa) {
        if (unlikely(!recording.room))
                return 0;
        uint32_t node = capture_traceback(epoch, cfa);
        if (unlikely(atomic_load_explicit(&epoch->modules.n_unsent, memory_order_relaxed) != 0))
                agent_bring_files(epoch, false);
        return node;
}

void recorder_alloc(struct epoch *epoch, unsigned domain, const void *block, size_t size, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        uint32_t node = capture(epoch, recording, cfa);
        if (recording_takes(block, size))
                ring_put(&epoch->ring, recording.room | RING_KEEP_RESERVE, 3,
                         record_header(RECORD_ALLOC, 0, domain, node), (uintptr_t)block, size, 0);
        recording_end(epoch, recording);
}

void recorder_free(struct epoch *epoch, const void *block, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        if (recording_takes(block, 0))
                ring_put(&epoch->ring, recording.room, 2, record_header(RECORD_FREE, 0, 0, 0), (uintptr_t)block, 0, 0);
        recording_end(epoch, recording);
}

uint64_t recorder_move_out(struct epoch *epoch, const void *block, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        uint64_t position = RING_NO_POSITION;
        if (recording_takes(block, 0))
                position = ring_put(&epoch->ring, recording.room, 2, record_header(RECORD_MOVE_OUT, 0, 0, 0),
                                    (uintptr_t)block, 0, 0);
        recording_end(epoch, recording);
        return position;
}

void recorder_move_in(struct epoch *epoch, const void *block, size_t size, uint64_t position, uintptr_t cfa) {
        if (position == RING_NO_POSITION) {
                recorder_alloc(epoch, DOMAIN_INDEX_MALLOC, block, size, cfa);
                return;
        }
        struct recording recording = recording_begin(cfa);
        uint32_t node = capture(epoch, recording, cfa);
        ring_put(&epoch->ring, recording.room, 4, record_header(RECORD_MOVE_IN, 0, DOMAIN_INDEX_MALLOC, node),
                 (uintptr_t)block, size, position);
        recording_end(epoch, recording);
}

void recorder_move_back(struct epoch *epoch, uint64_t position, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        if (position != RING_NO_POSITION)
                ring_put(&epoch->ring, recording.room, 2, record_header(RECORD_MOVE_BACK, 0, 0, 0), position, 0, 0);
        recording_end(epoch, recording);
}

void recorder_track(struct epoch *epoch, unsigned domain, uintptr_t address, size_t size, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        /* as PyTraceMalloc_Track() has it: where there is a Python stack, that is the traceback */
        uint32_t node = recording.room ? python_node(epoch, PYTHON_RAW) : 0;

        if (!node)
                node = capture(epoch, recording, cfa);
        ring_put(&epoch->ring, recording.room | RING_KEEP_RESERVE, 3, record_header(RECORD_ALLOC, 0, domain, node),
                 address, size, 0);
        recording_end(epoch, recording);
}

void recorder_untrack(struct epoch *epoch, unsigned domain, uintptr_t address, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        ring_put(&epoch->ring, recording.room, 2, record_header(RECORD_FREE, 0, domain, 0), address, 0, 0);
        recording_end(epoch, recording);
}

void recorder_map(struct epoch *epoch, const void *address, size_t length, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        uint32_t node = capture(epoch, recording, cfa);
        if (recording_takes(address, length))
                ring_put(&epoch->ring, recording.room | RING_KEEP_RESERVE, 3,
                         record_header(RECORD_MAP, 0, DOMAIN_INDEX_MMAP, node), (uintptr_t)address,
                         (length + PAGE_MASK) & ~PAGE_MASK, 0);
        recording_end(epoch, recording);
}

void recorder_unmap(struct epoch *epoch, const void *address, size_t length, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        if (recording_takes(address, length))
                ring_put(&epoch->ring, recording.room, 3, record_header(RECORD_UNMAP, 0, DOMAIN_INDEX_MMAP, 0),
                         (uintptr_t)address, (length + PAGE_MASK) & ~PAGE_MASK, 0);
        recording_end(epoch, recording);
}

bool recorder_note(struct epoch *epoch, unsigned type, uint32_t argument, uint64_t payload, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        uint64_t header = record_header(type, 0, 0, argument), position;
        if (record_words(type) == 1)
                position = ring_put(&epoch->ring, recording.room, 1, header, 0, 0, 0);
        else
                position = ring_put(&epoch->ring, recording.room, 2, header, payload, 0, 0);
        if (recording.room && type != RECORD_FORK_DONE)
                agent_bring_files(epoch, type == RECORD_EXIT);
        if (recording.room && epoch->socket)
                agent_drain(epoch, true);
        thread_guard_leave(recording.previous);
        return position != RING_NO_POSITION;
}

void recorder_check_modules(struct epoch *epoch, uintptr_t cfa) {
        struct recording recording = recording_begin(cfa);
        int saved_errno = errno;
        modules_check_unloaded(&epoch->modules, recording.room);
        errno = saved_errno;
        recording_end(epoch, recording);
}
