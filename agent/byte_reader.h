/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bytes of unwind tables, which are the program's own: a broken file must not make the agent read outside of them. No
 * lock, no memory, no libc.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes that are read once, front to back. After a read past the end everything is 0 and @bad. */
struct byte_reader {
        const uint8_t *at, *end;
        bool bad;
};

/** byte_reader_has() - whether @n bytes are left; if not it is @bad from now on */
static inline bool byte_reader_has(struct byte_reader *reader, uint64_t n) {
        if ((uint64_t)(reader->end - reader->at) < n)
                reader->bad = true;
        return !reader->bad;
}

/** byte_reader_unsigned() - a little-endian number of @size bytes, at most 8 */
static inline uint64_t byte_reader_unsigned(struct byte_reader *reader, unsigned size) {
        uint64_t value = 0;
        if (!byte_reader_has(reader, size))
                return 0;
        memcpy(&value, reader->at, size);
        reader->at += size;
        return value;
}

/** byte_reader_signed() - the same in two's complement; @size: 1 to 8 */
static inline int64_t byte_reader_signed(struct byte_reader *reader, unsigned size) {
        unsigned unused = 64 - size * 8;
        return (int64_t)(byte_reader_unsigned(reader, size) << unused) >> unused;
}

/** byte_reader_leb() - LEB128: 7 bits a byte, the lowest first */
static inline uint64_t byte_reader_leb(struct byte_reader *reader, bool is_signed) {
        uint64_t value = 0, byte;
        unsigned shift = 0;
        do {
                byte = byte_reader_unsigned(reader, 1);
                if (shift > 56) { /* no number that we can use is as long */
                        reader->bad = true;
                        return 0;
                }
                value |= (byte & 127) << shift;
                shift += 7;
        } while (byte & 128);
        if (is_signed && (byte & 64))
                value |= ~UINT64_C(0) << shift;
        return value;
}

/** byte_reader_uleb(), byte_reader_sleb() - of a number without a sign, and with one */
static inline uint64_t byte_reader_uleb(struct byte_reader *reader) {
        return byte_reader_leb(reader, false);
}

static inline int64_t byte_reader_sleb(struct byte_reader *reader) {
        return (int64_t)byte_reader_leb(reader, true);
}

/** byte_reader_skip() - pass over @n bytes */
static inline void byte_reader_skip(struct byte_reader *reader, uint64_t n) {
        if (byte_reader_has(reader, n))
                reader->at += n;
}
