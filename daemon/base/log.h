/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's log: one line an event to stderr, with a journal priority
 * ("<6>") in front when stderr is the journal (sd-daemon(3)), else with the time.
 * Any thread; a line is one write(2).
 */

enum log_level {
        LOG_LEVEL_ERROR = 3,   /* an operation failed that a user asked for */
        LOG_LEVEL_WARNING = 4, /* a peer was dropped, events were lost */
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
};

/** log_open() - choose level and form; before that, info and above is logged */
void log_open(enum log_level level);

/** log_level_parse() - "error", "warning", "info", "debug"
 * Return: 0; -EINVAL. */
int log_level_parse(const char *name, enum log_level *levelp);

/** log_line() - printf-like, no newline at the end; control characters become '?' */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** log_limited() - the same, but of one @format only so many lines in a while (log_limit.h), unless debug is logged
 * @format: a string literal */
void log_limited(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** log_tell_left_out() - how many lines log_limited() has left out, where it is time; call it every few seconds */
void log_tell_left_out(void);

/** log_close() - the same, time or not: for the end of the program */
void log_close(void);

#define log_error(...)   log_limited(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_limited(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_limited(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
