/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/frame.h"
#include "tests/support/check_main.h"

#include <string.h>

/* Gives the buffer @n bytes, as a socket would. */
static void feed(struct frame_buffer *b, const void *bytes, size_t n) {
        const uint8_t *from = bytes;
        while (n > 0) {
                uint8_t *space;
                size_t size;
                ck_assert_int_eq(frame_buffer_space(b, &space, &size), 0);
                size_t part = n < size ? n : size;
                memcpy(space, from, part);
                frame_buffer_commit(b, part);
                from += part;
                n -= part;
        }
}

static size_t make_frame(uint8_t *to, const char *text) {
        frame_header(to, (uint32_t)strlen(text));
        memcpy(to + FRAME_HEADER_BYTES, text, strlen(text));
        return FRAME_HEADER_BYTES + strlen(text);
}

static void expect(struct frame_buffer *b, const char *text) {
        const uint8_t *payload;
        size_t length;
        ck_assert_int_eq(frame_buffer_next(b, &payload, &length), 0);
        if (!text) {
                ck_assert_ptr_null(payload);
                return;
        }
        ck_assert_ptr_nonnull(payload);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert_int_eq(memcmp(payload, text, length), 0);
}

START_TEST(messages_come_out_whole_however_they_came_in)
{
        uint8_t bytes[64];
        size_t n = make_frame(bytes, "first");
        n += make_frame(bytes + n, "");
        n += make_frame(bytes + n, "third one");
        for (size_t step = 1; step <= n; step++) {
                static const char *const texts[] = {"first", "", "third one"};
                struct frame_buffer b;
                size_t seen = 0;
                frame_buffer_init(&b, 100);
                for (size_t at = 0; at < n; at += step) {
                        const uint8_t *payload;
                        size_t length;
                        feed(&b, bytes + at, step < n - at ? step : n - at);
                        while (frame_buffer_next(&b, &payload, &length) == 0 && payload) {
                                ck_assert_uint_lt(seen, 3);
                                ck_assert_uint_eq(length, strlen(texts[seen]));
                                ck_assert_int_eq(memcmp(payload, texts[seen++], length), 0);
                        }
                }
                ck_assert_uint_eq(seen, 3);
                frame_buffer_deinit(&b);
        }
}
END_TEST

START_TEST(a_longer_message_than_allowed_is_told_from_its_header_alone)
{
        struct frame_buffer b;
        uint8_t header[FRAME_HEADER_BYTES];
        const uint8_t *payload;
        size_t length;
        frame_buffer_init(&b, 100);
        frame_header(header, 101);
        feed(&b, header, sizeof header);
        ck_assert_int_eq(frame_buffer_next(&b, &payload, &length), FRAME_E_TOO_LONG);
        frame_buffer_deinit(&b);
        frame_buffer_init(&b, 100);
        frame_header(header, 100);
        feed(&b, header, sizeof header);
        expect(&b, NULL);
        frame_buffer_deinit(&b);
}
END_TEST

START_TEST(memory_stays_bounded_by_one_message_over_many)
{
        struct frame_buffer b;
        uint8_t bytes[1024];
        frame_buffer_init(&b, 1000);
        size_t n = make_frame(bytes, "x");
        for (int i = 0; i < 100000; i++) {
                feed(&b, bytes, n);
                expect(&b, "x");
        }
        ck_assert_uint_le(b.size, 16384);
        frame_buffer_deinit(&b);
}
END_TEST

CHECK_MAIN("base/frame", messages_come_out_whole_however_they_came_in,
           a_longer_message_than_allowed_is_told_from_its_header_alone, memory_stays_bounded_by_one_message_over_many)
