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
                uint8_t bytes[64 * SIZES_ENTRY_BYTES_MAX];
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
        uint8_t bytes[sizeof sizes / sizeof sizes[0] * SIZES_ENTRY_BYTES_MAX];
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
        uint8_t bytes[2 * SIZES_ENTRY_BYTES_MAX];
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{8, 1}, {8, 1}}, 2, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{9, 1}, {8, 1}}, 2, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{8, 0}}, 1, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{UINT64_MAX, 2}}, 1, bytes, &size, &count), 0);
        ck_assert_uint_eq(sizes_encode((struct snapshot_size[]){{1, UINT64_MAX}, {2, 1}}, 2, bytes, &size, &count), 0);
}
END_TEST

START_TEST(damaged_bytes_are_refused)
{
        static const struct {
                uint8_t bytes[24];
                size_t length;
        } cases[] = {
                {{8}, 1},                                                                       /* no count */
                {{0x88}, 1},                                                                    /* cut in an integer */
                {{8, 0}, 2},                                                                    /* count 0 */
                {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1}, 11},             /* over 64 bits */
                {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 1}, 13}, /* too long */
        };
        struct snapshot_size entry;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct sizes_reader reader = sizes_begin(cases[i].bytes, cases[i].length);
                ck_assert_int_eq(sizes_next(&reader, &entry), -EBADMSG);
        }
        static const uint8_t twice[] = {8, 1, 0, 1};
        struct sizes_reader reader = sizes_begin(twice, sizeof twice);
        ck_assert_int_eq(sizes_next(&reader, &entry), 1);
        ck_assert_int_eq(sizes_next(&reader, &entry), -EBADMSG);
        static const uint8_t over[] = {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1};
        reader = sizes_begin(over, sizeof over);
        ck_assert_int_eq(sizes_next(&reader, &entry), 1);
        ck_assert_int_eq(sizes_next(&reader, &entry), -EBADMSG);
}
END_TEST

CHECK_MAIN("sizes", random_sizes_come_back, the_largest_numbers_come_back, what_is_no_list_of_sizes_is_refused,
           damaged_bytes_are_refused)
