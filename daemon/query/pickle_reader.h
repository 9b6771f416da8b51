/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From the bytes of a file that tracemalloc.Snapshot.dump() of CPython 3.6 to
 * 3.14 wrote to a snapshot. A reader of that one shape and no pickle machine:
 * nothing is looked up by name, called or built; all else is refused, with the
 * byte at which it was seen.
 *
 * Bytes come in pieces of any length. Memory goes by what was read, not by what
 * a length in the file claims, and has a bound. One thread at a time.
 *
 *   kept          domain, size, traceback (file names, line numbers), total_nframe of each block; the limit
 *   left out      the order of the traces, attributes that tracemalloc does not know
 *   refused       numbers below 0 and above 2^63 - 1 (sizes, also their sum) or 2^32 - 1 (domains, lines, frames),
 *                 tracebacks without frames, objects of other classes, text that is no UTF-8
 *
 * File names become bytes as the operating system has them: U+DC80..U+DCFF, of
 * which Python's surrogateescape makes names that are no UTF-8, become the bytes
 * they stand for. Where that would be another name to Python (escapes that happen
 * to form a character), and for all other lone surrogates, the three bytes of
 * UTF-8's scheme are kept. Both compare as Python compares them (text.h).
 */

#include "daemon/live/snapshot.h"

#include <stddef.h>
#include <stdint.h>

/* Above 0: pickle_reader_message() says in one line at which byte and why. The reader can only be freed then. */
enum pickle_outcome {
        PICKLE_E_REFUSED = 1, /* not such a file, or beyond a bound */
};

#define PICKLE_MEMORY_MAX (UINT64_C(1) << 30) /* some 60 million blocks */

struct pickle_reader;

/** pickle_reader_new() - expect the first byte
 * @memory_max: bytes that it may have at one time, for its tables and for the snapshot, at most
 * PICKLE_MEMORY_MAX
 * Return: 0; -ENOMEM. */
int pickle_reader_new(uint64_t memory_max, struct pickle_reader **readerp);

/** pickle_reader_free() - NULL is fine. Return: NULL. */
struct pickle_reader *pickle_reader_free(struct pickle_reader *r);

/** pickle_reader_feed() - the next bytes of the file, borrowed for the call
 * O(length). Return: 0; PICKLE_E_REFUSED; -ENOMEM. */
int pickle_reader_feed(struct pickle_reader *r, const void *bytes, size_t length);

/** pickle_reader_info() - the info that the snapshot will have, for label, uid and time
 * Strings in it are taken (malloc'd). Kind, limit and what is known are set by the reader. */
struct snapshot_info *pickle_reader_info(struct pickle_reader *r);

/** pickle_reader_finish() - that was the last byte
 * @snapshotp: set on 0, one reference; of kind SNAPSHOT_IMPORT
 * Call it once. Return: 0; PICKLE_E_REFUSED (too short, or no Snapshot); -ENOMEM. */
int pickle_reader_finish(struct pickle_reader *r, struct snapshot **snapshotp);

/** pickle_reader_message() - why it was refused
 * Return: one line of printable ASCII, "" if it was not; valid until pickle_reader_free(). */
const char *pickle_reader_message(const struct pickle_reader *r);

/** pickle_reader_foreign() - names of the attributes that were left out, for people
 * Return: as above: "a, b and 3 more", "" for none. After pickle_reader_finish(). */
const char *pickle_reader_foreign(const struct pickle_reader *r);
