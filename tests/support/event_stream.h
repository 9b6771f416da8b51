/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The records about blocks that a program wrote, in a file: words as in proto/record.h with lap 0, one
 * record behind the other. What else was in its ring is left out, and the positions that MOVE_IN and MOVE_BACK
 * name are those in the file. Recorded once from a real program, replayed by tests/bench/replay.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct event_stream;

/** event_stream_create() - Return: a stream to write; NULL with errno */
struct event_stream *event_stream_create(const char *path);

/** event_stream_put() - one record
 * @words: with its header; @position: in the ring it comes from. Return: false when the disk is full. */
bool event_stream_put(struct event_stream *stream, const uint64_t *words, uint64_t position);

/** event_stream_close() - NULL is fine. Return: bytes that were written; 0 on an error. */
uint64_t event_stream_close(struct event_stream *stream);
