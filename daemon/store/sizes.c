/* SPDX-License-Identifier: Apache-2.0 */

/* Sizes as differences, 7 bits a byte. Writer and readers. */

#include "daemon/store/sizes.h"

#include <errno.h>

static uint8_t *put_integer(uint8_t *at, uint64_t value) {
        for (; value >= 0x80; value >>= 7)
                *at++ = (uint8_t)(value | 0x80);
        *at++ = (uint8_t)value;
        return at;
}

static bool get_integer(struct sizes_reader *reader, uint64_t *valuep) {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
                uint8_t byte = *reader->at++;
                if (shift == 63 && byte > 1)
                        return false;
                value |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *valuep = value;
                        return true;
                }
        }
        return false;
}

size_t sizes_encode(const struct snapshot_size *sizes, size_t n_sizes, uint8_t *bytes, uint64_t *sizep,
                    uint64_t *countp) {
        uint8_t *at = bytes;
        uint64_t last = 0, size = 0, count = 0, product;
        for (size_t i = 0; i < n_sizes; i++) {
                if ((i > 0 && sizes[i].size <= last) || sizes[i].count == 0 ||
                    __builtin_mul_overflow(sizes[i].size, sizes[i].count, &product) ||
                    __builtin_add_overflow(size, product, &size) ||
                    __builtin_add_overflow(count, sizes[i].count, &count))
                        return 0;
                at = put_integer(at, sizes[i].size - last);
                at = put_integer(at, sizes[i].count);
                last = sizes[i].size;
        }
        *sizep = size;
        *countp = count;
        return (size_t)(at - bytes);
}

int sizes_next(struct sizes_reader *reader, struct snapshot_size *entryp) {
        if (reader->at == reader->end)
                return 0;
        uint64_t difference, count, size;
        if (!get_integer(reader, &difference) || !get_integer(reader, &count) || count == 0 ||
            (difference == 0 && !reader->first) || __builtin_add_overflow(reader->last, difference, &size))
                return -EBADMSG;
        reader->last = size;
        reader->first = false;
        *entryp = (struct snapshot_size){.size = size, .count = count};
        return 1;
}
