/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What hooks call to record an event. @cfa is __builtin_dwarf_cfa() in the hook.
 * errno is not touched. In a signal handler that interrupted a recording hook of the same thread
 * nothing waits, and an allocation gets the empty traceback.
 */

#include "agent/epoch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** recorder_alloc() - after the real allocation; @domain: enum domain_index */
void recorder_alloc(struct epoch *epoch, unsigned domain, const void *block, size_t size, uintptr_t cfa);

/** recorder_free() - before the real free */
void recorder_free(struct epoch *epoch, const void *block, uintptr_t cfa);

/** recorder_move_out() - before the real realloc
 * Return: position for the other two; RING_NO_POSITION. */
uint64_t recorder_move_out(struct epoch *epoch, const void *block, uintptr_t cfa);

/** recorder_move_in() - after it; @position: of recorder_move_out() in the same epoch */
void recorder_move_in(struct epoch *epoch, const void *block, size_t size, uint64_t position, uintptr_t cfa);

/** recorder_move_back() - the realloc failed */
void recorder_move_back(struct epoch *epoch, uint64_t position, uintptr_t cfa);

/** recorder_track() - a block that the program told of, in its own words; @domain: enum domain_index
 * @address, @size: below RECORD_PAYLOAD_LIMIT */
void recorder_track(struct epoch *epoch, unsigned domain, uintptr_t address, size_t size, uintptr_t cfa);

/** recorder_untrack() - it is gone */
void recorder_untrack(struct epoch *epoch, unsigned domain, uintptr_t address, uintptr_t cfa);

/** recorder_map() - after the real mmap; @length: bytes, rounded up to pages here */
void recorder_map(struct epoch *epoch, const void *address, size_t length, uintptr_t cfa);

/** recorder_unmap() - before the real munmap */
void recorder_unmap(struct epoch *epoch, const void *address, size_t length, uintptr_t cfa);

/** recorder_note() - a record of the process itself: FORK, FORK_DONE, EXIT, EXEC, EXEC_BACK, DOMAIN, PHASE
 * @type: enum record_type; @payload: its one word, or nothing; flushes the socket way.
 * Return: false where there was no room. */
bool recorder_note(struct epoch *epoch, unsigned type, uint32_t argument, uint64_t payload, uintptr_t cfa);

/** recorder_check_modules() - after a dlclose */
void recorder_check_modules(struct epoch *epoch, uintptr_t cfa);
