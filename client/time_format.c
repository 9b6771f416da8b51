/* SPDX-License-Identifier: Apache-2.0 */

/* Instants and durations as text. */

#include "client/time_format.h"

#include "daemon/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

/* Seconds and the rest in nanoseconds, which is not negative even before 1970. */
static time_t split(int64_t unix_ns, int64_t *restp) {
        int64_t seconds = unix_ns / NS_PER_SECOND;
        int64_t rest = unix_ns % NS_PER_SECOND;
        if (rest < 0) {
                rest += NS_PER_SECOND;
                seconds--;
        }
        *restp = rest;
        return (time_t)seconds;
}

const char *time_format_rfc3339(char text[TIME_FORMAT_MAX], int64_t unix_ns) {
        int64_t rest;
        time_t seconds = split(unix_ns, &rest);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        size_t n = strftime(text, TIME_FORMAT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, TIME_FORMAT_MAX - n, ".%06" PRId64 "Z", rest / NS_PER_US);
        return text;
}

const char *time_format_local(char text[TIME_FORMAT_MAX], int64_t unix_ns) {
        int64_t rest;
        time_t seconds = split(unix_ns, &rest);
        struct tm tm;
        localtime_r(&seconds, &tm);
        strftime(text, TIME_FORMAT_MAX, "%Y-%m-%d %H:%M:%S", &tm);
        return text;
}

const char *time_format_table(char text[TIME_FORMAT_MAX], int64_t unix_ns, bool brief) {
        if (!brief)
                return time_format_local(text, unix_ns);
        int64_t rest;
        time_t seconds = split(unix_ns, &rest), now = split(clock_ns(CLOCK_REALTIME), &rest);
        struct tm tm, today;
        localtime_r(&seconds, &tm);
        localtime_r(&now, &today);
        bool same = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
        strftime(text, TIME_FORMAT_MAX, same ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &tm);
        return text;
}

const char *time_format_span(char text[TIME_FORMAT_MAX], int64_t ns) {
        if (ns < 0)
                ns = 0;
        int64_t s = ns / NS_PER_SECOND;
        if (s < 1)
                snprintf(text, TIME_FORMAT_MAX, "%" PRId64 " ms", ns / NS_PER_MS);
        else if (s < 60)
                snprintf(text, TIME_FORMAT_MAX, "%" PRId64 ".%" PRId64 " s", s, ns % NS_PER_SECOND / (100 * NS_PER_MS));
        else if (s < 3600)
                snprintf(text, TIME_FORMAT_MAX, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
        else if (s < 86400)
                snprintf(text, TIME_FORMAT_MAX, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
        else
                snprintf(text, TIME_FORMAT_MAX, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
        return text;
}
