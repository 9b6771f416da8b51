/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TIME_FORMAT_MAX 64

/** time_format_rfc3339() - UTC with microseconds: "2026-11-22T11:02:48.123456Z". Return: @text. */
const char *time_format_rfc3339(char text[TIME_FORMAT_MAX], int64_t unix_ns);

/** time_format_local() - for people, in their time zone: "2026-11-22 11:02:48". Return: @text. */
const char *time_format_local(char text[TIME_FORMAT_MAX], int64_t unix_ns);

/** time_format_table() - as time_format_local(); with @brief, an instant of today as "10:30:00", others without seconds
 * Return: @text. */
const char *time_format_table(char text[TIME_FORMAT_MAX], int64_t unix_ns, bool brief);

/** time_format_span() - "350 ms", "12.3 s", "4 min 10 s", "3 h 5 min", "2 d 4 h"; negative counts as 0. Return: @text.
 */
const char *time_format_span(char text[TIME_FORMAT_MAX], int64_t ns);
