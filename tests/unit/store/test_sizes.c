/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/sizes.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"

#include <errno.h>

START_TEST(random_sizes_come_back)
{
        for (uint64_t seed = 1; seed <= 300; seed++) {
                uint64_t state = seed, last = 0, size, count, sum = 0, blocks = 0;
                struct snapshot_size sizes[64], entry;
                uint8_t bytes[SIZES_BYTES_MAX(64)];
                size_t n = snapshot_random_next(&state) % 64;
                for (size_t i = 0; i < n; i++) {
                        last += (i > 0) +
                                snapshot_random_next(&state) % (UINT64_C(1) << snapshot_random_next(&state) % 45);
                        sizes[i] = (struct snapshot_size){last, 1 + snapshot_random_next(&state) % 5};
                        sum += last * sizes[i].count;
                        blocks += sizes[i].count;
                }
                size_t length = sizes_encode(sizes, n, bytes, &size, &count);
                ck_assert_msg(size == sum && count == blocks, "seed %llu", (unsigned long long)seed);
                struct sizes_reader reader = sizes_begin(bytes, length);
                for (size_t i = 0; i < n; i++) {
                        ck_assert_int_eq(sizes_next(&reader, &entry), 1);
                        ck_assert_msg(entry.size == sizes[i].size && entry.count == sizes[i].count, "seed %llu",
                                      (unsigned long long)seed);
                }
                ck_assert_int_eq(sizes_next(&reader, &entry), 0);
        }
}
END_TEST

START_TEST(the_largest_numbers_come_back)
{
        struct snapshot_size sizes[] = {{0, UINT64_MAX - 1}, {UINT64_MAX, 1}}, entry;
        uint8_t bytes[SIZES_BYTES_MAX(2)];
        uint64_t size, count;
        size_t length = sizes_encode(sizes, 2, bytes, &size, &count);
        ck_assert_uint_gt(length, 0);
        ck_assert(size == UINT64_MAX && count == UINT64_MAX);
        struct sizes_reader reader = sizes_begin(bytes, length);
        ck_assert_int_eq(sizes_next(&reader, &entry), 1);
        ck_assert(entry.size == 0 && entry.count == UINT64_MAX - 1);
        ck_assert_int_eq(sizes_next(&reader, &entry), 1);
        ck_assert(entry.size == UINT64_MAX && entry.count == 1);
}
END_TEST

START_TEST(what_is_no_list_of_sizes_is_refused)
{
        uint64_t size, count;
        uint8_t bytes[SIZES_BYTES_MAX(2)];
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{8, 1}, {8, 1}}, 2, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{9, 1}, {8, 1}}, 2, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{8, 0}}, 1, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{UINT64_MAX, 2}}, 1, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{1, UINT64_MAX}, {2, 1}}, 2, bytes, &size, &count), 0);
}
END_TEST

START_TEST(the_form_is_the_documented_one)
{
        /* k = 1; 3: (3 >> 1) + 1 = 2 as 010, low bit 1; 5: v = 5 - 3 - 1 = 1: 1, 1; two blocks of it: 010, of 3: 1 */
        static const uint8_t expected[] = {0x81, 0x5e, 0x80}; /* 0101 1 11 0 10 000000 */
        uint8_t bytes[SIZES_BYTES_MAX(2)];
        uint64_t size, count;
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{3, 1}, {5, 2}}, 2, bytes, &size, &count),
                          sizeof expected);
        ck_assert_mem_eq(bytes, expected, sizeof expected);
}
END_TEST

START_TEST(scattered_sizes_take_few_bytes)
{
        enum { N = 3000 };
        static struct snapshot_size sizes[N];
        static uint8_t bytes[SIZES_BYTES_MAX(N)];
        uint64_t state = 1, size, count;
        for (size_t i = 0; i < N; i++)
                sizes[i] = (struct snapshot_size){i * 350 + snapshot_random_next(&state) % 350, 1};
        ck_assert_uint_le(sizes_encode(sizes, N, bytes, &size, &count), N * 11 / 8);
        for (size_t i = 0; i < N; i++)
                sizes[i] = (struct snapshot_size){i, 2};
        ck_assert_uint_le(sizes_encode(sizes, N, bytes, &size, &count), N * 4 / 8 + 2);
}
END_TEST

START_TEST(damaged_bytes_are_refused)
{
        static const struct {
                uint8_t bytes[24];
                size_t length;
                int before; /* entries that are good */
        } cases[] = {
                {{0x40, 0x80}, 2, 0},                                /* a bit that means nothing */
                {{0x00, 0x00}, 2, 0},                                /* more zeros than fill a byte */
                {{0x00, 0x80, 0x00}, 3, 1},                          /* the same, at the end */
                {{0x00, 0x08}, 2, 0},                                /* cut in a size */
                {{0x05, 0x80}, 2, 1},                                /* whole: 0 in five bits, and what fills up */
                {{0x08, 0x80}, 2, 0},                                /* cut in the lower bits */
                {{0x80, 0x80}, 2, 0},                                /* no count */
                {{0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 11, 0}, /* over 64 bits */
                {{0x3f, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 11, 0},    /* 1 << 63, and more zeros than fill a byte */
                {{0x3f, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 11, 0},    /* 2 << 63 */
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct sizes_reader reader = sizes_begin(cases[i].bytes, cases[i].length);
                struct snapshot_size entry;
                int n = 0, r;
                while ((r = sizes_next(&reader, &entry)) == 1)
                        n++;
                if (i == 4) {
                        ck_assert(r == 0 && n == 1 && entry.size == 0);
                        continue;
                }
                ck_assert_msg(r == -EBADMSG, "case %zu: %d after %d", i, r, n);
                ck_assert_int_eq(sizes_next(&reader, &entry), -EBADMSG); /* and stays so */
        }
        struct sizes_reader reader = sizes_begin("", 0);
        struct snapshot_size entry;
        ck_assert_int_eq(sizes_next(&reader, &entry), 0);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
        for (uint64_t seed = 1; seed <= 3000; seed++) {
                uint64_t state = seed, last = 0;
                uint8_t bytes[32];
                size_t n = snapshot_random_next(&state) % sizeof bytes;
                for (size_t i = 0; i < n; i++)
                        bytes[i] = (uint8_t)(snapshot_random_next(&state) >> 8 & snapshot_random_next(&state));
                struct sizes_reader reader = sizes_begin(bytes, n);
                struct snapshot_size entry;
                for (bool first = true; sizes_next(&reader, &entry) == 1; first = false) {
                        ck_assert_msg((first || entry.size > last) && entry.count > 0, "seed %llu",
                                      (unsigned long long)seed);
                        last = entry.size;
                }
        }
}
END_TEST

CHECK_MAIN("sizes", random_sizes_come_back, the_largest_numbers_come_back, what_is_no_list_of_sizes_is_refused,
           the_form_is_the_documented_one, scattered_sizes_take_few_bytes, damaged_bytes_are_refused,
           random_bytes_do_no_harm)
