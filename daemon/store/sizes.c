/* SPDX-License-Identifier: Apache-2.0 */

/* Sizes as a stream of bits. Differences of sizes that are spread at random are distributed geometrically, which is
 * what the code is made for: of 3000 blocks below 1 MiB each takes 10 bits, of 3000 below 1000 bytes 3. Writer and
 * readers. */

#include "daemon/store/sizes.h"

#include <errno.h>

#define COUNTED 0x80
#define K_MASK  0x3f

struct bit_writer {
        uint8_t *at;
        unsigned free_bits; /* of the byte at @at, which is there already; 0: none is */
};

static unsigned digits(uint64_t value) {
        return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* The lowest @n bits of @value */
static void put_bits(struct bit_writer *w, uint64_t value, unsigned n) {
        while (n > 0) {
                if (w->free_bits == 0) {
                        *++w->at = 0;
                        w->free_bits = 8;
                }
                unsigned taken = n < w->free_bits ? n : w->free_bits;
                n -= taken;
                w->free_bits -= taken;
                *w->at |= (uint8_t)((value >> n & ((1u << taken) - 1)) << w->free_bits);
        }
}

static void put_gamma(struct bit_writer *w, uint64_t value) {
        unsigned n = digits(value);
        put_bits(w, 0, n - 1);
        put_bits(w, value, n);
}

static bool add_up(const struct snapshot_size *sizes, size_t n_sizes, uint64_t *sizep, uint64_t *countp,
                   bool *countedp) {
        uint64_t size = 0, count = 0, product;
        *countedp = false;
        for (size_t i = 0; i < n_sizes; i++) {
                if ((i > 0 && sizes[i].size <= sizes[i - 1].size) || sizes[i].count == 0 ||
                    __builtin_mul_overflow(sizes[i].size, sizes[i].count, &product) ||
                    __builtin_add_overflow(size, product, &size) ||
                    __builtin_add_overflow(count, sizes[i].count, &count))
                        return false;
                *countedp |= sizes[i].count > 1;
        }
        *sizep = size;
        *countp = count;
        return true;
}

size_t sizes_encode(const struct snapshot_size *sizes, size_t n_sizes, uint8_t *bytes, uint64_t *sizep,
                    uint64_t *countp) {
        bool counted;
        if (!add_up(sizes, n_sizes, sizep, countp, &counted) || n_sizes == 0)
                return 0;
        unsigned n = digits(sizes[n_sizes - 1].size / n_sizes), k = n > 0 ? n - 1 : 0;
        bytes[0] = (uint8_t)(k | (counted ? COUNTED : 0));
        struct bit_writer w = {.at = bytes};
        for (size_t i = 0; i < n_sizes; i++) {
                uint64_t value = i == 0 ? sizes[0].size : sizes[i].size - sizes[i - 1].size - 1;
                put_gamma(&w, (value >> k) + 1); /* 2^64 - 1 comes alone, and then k is 63 */
                put_bits(&w, value, k);
                if (counted)
                        put_gamma(&w, sizes[i].count);
        }
        return (size_t)(w.at - bytes) + 1;
}

struct sizes_reader sizes_begin(const void *bytes, size_t length) {
        const uint8_t *at = bytes;
        struct sizes_reader reader = {.at = at, .end = at + length, .first = true};
        if (length > 0) {
                reader.k = *reader.at & K_MASK;
                reader.counted = *reader.at & COUNTED;
                reader.damaged = *reader.at & ~(COUNTED | K_MASK);
                reader.at++;
        }
        return reader;
}

static void fill(struct sizes_reader *r) {
        while (r->n_bits <= 56 && r->at < r->end) {
                r->bits |= (uint64_t)*r->at++ << (56 - r->n_bits);
                r->n_bits += 8;
        }
}

/* @n: up to 56 */
static void drop(struct sizes_reader *r, unsigned n) {
        r->bits <<= n;
        r->n_bits -= n;
}

/* Return: false: they end before. */
static bool get_bits(struct sizes_reader *r, unsigned n, uint64_t *valuep) {
        uint64_t value = 0;
        while (n > 0) {
                unsigned taken = n < 32 ? n : 32;
                fill(r);
                if (r->n_bits < taken)
                        return false;
                value = value << taken | r->bits >> 1 >> (63 - taken);
                drop(r, taken);
                n -= taken;
        }
        *valuep = value;
        return true;
}

/* How many 0 bits come before the next 1. Return: -1: they end before, @n 0 bits later. */
static int count_zeros(struct sizes_reader *r, unsigned *np) {
        unsigned n = 0;
        for (;;) {
                fill(r);
                unsigned zeros = r->bits ? (unsigned)__builtin_clzll(r->bits) : r->n_bits;
                if (zeros > 56)
                        zeros = 56;
                drop(r, zeros);
                n += zeros;
                if (r->n_bits > 0 && r->bits >> 63) {
                        *np = n;
                        return 0;
                }
                if (zeros == 0 || n > 64) {
                        *np = n;
                        return -1;
                }
        }
}

/* Return: 1; 0: nothing but what fills up the last byte; -EBADMSG. */
static int get_gamma(struct sizes_reader *r, uint64_t *valuep) {
        unsigned n;
        if (count_zeros(r, &n) < 0)
                return n < 8 ? 0 : -EBADMSG;
        return n < 64 && get_bits(r, n + 1, valuep) ? 1 : -EBADMSG;
}

static int get_size(struct sizes_reader *r, uint64_t *sizep) {
        uint64_t high, low = 0, size;
        int result = get_gamma(r, &high);
        if (result <= 0)
                return result;
        high--;
        if (!get_bits(r, r->k, &low) || (r->k > 0 && high >> (64 - r->k)))
                return -EBADMSG;
        size = high << r->k | low;
        if (!r->first && (size == UINT64_MAX || __builtin_add_overflow(r->last, size + 1, &size)))
                return -EBADMSG;
        *sizep = size;
        return 1;
}

int sizes_next(struct sizes_reader *reader, struct snapshot_size *entryp) {
        *entryp = (struct snapshot_size){.count = 1};
        if (reader->damaged)
                return -EBADMSG;
        int result = get_size(reader, &entryp->size);
        if (result == 1 && reader->counted && get_gamma(reader, &entryp->count) != 1)
                result = -EBADMSG;
        if (result < 0)
                reader->damaged = true;
        reader->last = entryp->size;
        reader->first = false;
        return result;
}
