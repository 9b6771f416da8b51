/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/clock.h"
#include "daemon/base/log_limit.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct log_limit limit;

static bool passes(uint64_t now_ms, const char *format, const char *message) {
        return log_limit_passes(&limit, now_ms, format, LOG_LEVEL_ERROR, message);
}

START_TEST(of_a_flood_a_few_lines_pass_and_the_newest_tells_of_the_others)
{
        static const char format[] = "disk full: %d";
        unsigned n_passed = 0;
        uint64_t n = 0;
        char message[32];
        memset(&limit, 0, sizeof limit);
        for (int i = 0; i < 5000; i++) {
                snprintf(message, sizeof message, "disk full: %d", i);
                n_passed += passes(1000, format, message);
        }
        ck_assert_uint_eq(n_passed, LOG_LIMIT_LINES);
        ck_assert_ptr_null(log_limit_take(&limit, 1000 + LOG_LIMIT_MS - 1, &n)); /* not yet */
        const struct log_place *place = log_limit_take(&limit, 1000 + LOG_LIMIT_MS, &n);
        ck_assert_ptr_nonnull(place);
        ck_assert_str_eq(place->message, "disk full: 4999");
        ck_assert_int_eq(place->level, LOG_LEVEL_ERROR);
        ck_assert_uint_eq(n, 5000 - LOG_LIMIT_LINES);
        ck_assert_ptr_null(log_limit_take(&limit, UINT64_MAX, &n)); /* once */
        ck_assert(passes(1000 + LOG_LIMIT_MS, format, "again"));
}
END_TEST

START_TEST(one_place_takes_nothing_from_another)
{
        static const char flood[] = "flood", other[] = "other";
        uint64_t n;
        memset(&limit, 0, sizeof limit);
        for (int i = 0; i < 5000; i++)
                passes(1, flood, flood);
        ck_assert(passes(1, other, other));
        ck_assert_ptr_eq(log_limit_take(&limit, UINT64_MAX, &n)->format, flood);
        ck_assert_ptr_null(log_limit_take(&limit, UINT64_MAX, &n));
}
END_TEST

START_TEST(more_places_than_there_is_room_for_share_the_last)
{
        static const char formats[2 * LOG_LIMIT_PLACES];
        uint64_t n;
        memset(&limit, 0, sizeof limit);
        for (int i = 0; i < LOG_LIMIT_PLACES - 1; i++)
                ck_assert(passes(1, &formats[i], "first"));
        for (int i = 0; i < LOG_LIMIT_LINES; i++)
                ck_assert(passes(1, &formats[LOG_LIMIT_PLACES + i], "beyond"));
        ck_assert(!passes(1, &formats[LOG_LIMIT_PLACES], "beyond"));
        ck_assert(passes(1, &formats[0], "first"));
        ck_assert_str_eq(log_limit_take(&limit, UINT64_MAX, &n)->message, "beyond");
}
END_TEST

/* What log.c writes on standard error, counted. */
static size_t n_lines(void (*log)(void), char *text, size_t size) {
        int fds[2], saved = dup(STDERR_FILENO);
        ck_assert_int_eq(pipe(fds), 0);
        dup2(fds[1], STDERR_FILENO);
        close(fds[1]);
        log();
        dup2(saved, STDERR_FILENO);
        close(saved);
        size_t length = 0, n = 0;
        for (ssize_t r; (r = read(fds[0], text + length, size - 1 - length)) > 0;)
                length += (size_t)r;
        close(fds[0]);
        text[length] = '\0';
        for (const char *at = text; (at = strchr(at, '\n')); at++)
                n++;
        return n;
}

static void flood(void) {
        for (int i = 0; i < 1000; i++)
                log_error("no room for %d\n", i);
        log_warning("something else");
        log_close();
        log_close();
}

/* As many lines as there can be in the time that it took, which may be long on a busy machine. */
START_TEST(a_flood_in_the_log_ends_with_how_many_lines_were_left_out)
{
        char text[16384];
        log_open(LOG_LEVEL_INFO);
        int64_t before = clock_ns(CLOCK_MONOTONIC);
        size_t n = n_lines(flood, text, sizeof text);
        int64_t n_windows = 1 + (clock_ns(CLOCK_MONOTONIC) - before) / (LOG_LIMIT_MS * INT64_C(1000000));
        ck_assert_uint_ge(n, LOG_LIMIT_LINES + 2);
        ck_assert_uint_le(n, (LOG_LIMIT_LINES + 1) * (size_t)n_windows + 1);
        ck_assert_msg(strstr(text, "no room for 0?\n") && strstr(text, "something else"), "%s", text);
        ck_assert_msg(n_windows > 1 || strstr(text, "error: no room for 999? (and 979 more like this)\n"), "%s", text);
}
END_TEST

static void few(void) {
        for (int i = 0; i < 100; i++)
                log_info("line %d", i);
        log_close();
}

START_TEST(whoever_has_debug_lines_has_all_lines)
{
        char text[16384];
        log_open(LOG_LEVEL_DEBUG);
        ck_assert_uint_eq(n_lines(few, text, sizeof text), 100);
}
END_TEST

CHECK_MAIN("base/log_limit", of_a_flood_a_few_lines_pass_and_the_newest_tells_of_the_others,
           one_place_takes_nothing_from_another, more_places_than_there_is_room_for_share_the_last,
           a_flood_in_the_log_ends_with_how_many_lines_were_left_out, whoever_has_debug_lines_has_all_lines)
