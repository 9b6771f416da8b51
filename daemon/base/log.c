/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines to stderr. Any thread: the level is set once before threads start. */

#include "daemon/base/log.h"

#include "daemon/base/clock.h"
#include "daemon/base/log_limit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048 /* longer lines are cut: no log line is a place for bulk */

static enum log_level level_max = LOG_LEVEL_INFO;
static bool to_journal;
static struct log_limit limit;
static pthread_mutex_t limit_mutex = PTHREAD_MUTEX_INITIALIZER;

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream that is the journal's. */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(enum log_level level) {
        level_max = level;
        to_journal = stderr_is_journal();
}

int log_level_parse(const char *name, enum log_level *levelp) {
        static const struct {
                const char *name;
                enum log_level level;
        } levels[] = {{"error", LOG_LEVEL_ERROR},
                      {"warning", LOG_LEVEL_WARNING},
                      {"info", LOG_LEVEL_INFO},
                      {"debug", LOG_LEVEL_DEBUG}};
        for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
                if (strcmp(name, levels[i].name) == 0) {
                        *levelp = levels[i].level;
                        return 0;
                }
        }
        return -EINVAL;
}

static size_t format_prefix(char *line, size_t size, enum log_level level) {
        if (to_journal)
                return (size_t)snprintf(line, size, "<%d>", level);
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &tm);
        static const char *const words[] = {[LOG_LEVEL_ERROR] = "error: ", [LOG_LEVEL_WARNING] = "warning: "};
        const char *word = level <= LOG_LEVEL_WARNING && words[level] ? words[level] : "";
        return (size_t)snprintf(line, size, "%02d:%02d:%02d.%03ld tracemallocd: %s", tm.tm_hour, tm.tm_min, tm.tm_sec,
                                now.tv_nsec / 1000000, word);
}

/* Return: its length, with a newline and no NUL at the end. */
static size_t format_line(char line[LINE_MAX_BYTES], enum log_level level, const char *format, va_list ap) {
        size_t prefix = format_prefix(line, LINE_MAX_BYTES, level);
        int n = vsnprintf(line + prefix, LINE_MAX_BYTES - prefix - 1, format, ap);
        size_t length = prefix + (n < 0 ? 0 : (size_t)n);
        if (length > LINE_MAX_BYTES - 2)
                length = LINE_MAX_BYTES - 2;
        /* names and paths in a message come from peers: they may not forge lines */
        for (size_t i = prefix; i < length; i++) {
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = '?';
        }
        line[length++] = '\n';
        return length;
}

void log_line(enum log_level level, const char *format, ...) {
        char line[LINE_MAX_BYTES];
        va_list ap;
        if (level > level_max)
                return;
        int saved_errno = errno;
        va_start(ap, format);
        ssize_t ignored = write(STDERR_FILENO, line, format_line(line, level, format, ap));
        (void)ignored;
        va_end(ap);
        errno = saved_errno;
}

/* With the mutex */
static void tell_left_out(uint64_t now_ms) {
        const struct log_place *place;
        uint64_t n;
        while ((place = log_limit_take(&limit, now_ms, &n))) {
                if (n > 1)
                        log_line(place->level, "%s (and %" PRIu64 " more like this)", place->message, n - 1);
                else
                        log_line(place->level, "%s", place->message);
        }
}

static uint64_t now_ms(void) {
        return (uint64_t)clock_ns(CLOCK_MONOTONIC) / 1000000;
}

void log_limited(enum log_level level, const char *format, ...) {
        char message[LINE_MAX_BYTES];
        va_list ap;
        if (level > level_max)
                return;
        int saved_errno = errno;
        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        pthread_mutex_lock(&limit_mutex);
        uint64_t now = now_ms();
        tell_left_out(now);
        if (level_max >= LOG_LEVEL_DEBUG || log_limit_passes(&limit, now, format, level, message))
                log_line(level, "%s", message);
        pthread_mutex_unlock(&limit_mutex);
        errno = saved_errno;
}

void log_tell_left_out(void) {
        pthread_mutex_lock(&limit_mutex);
        tell_left_out(now_ms());
        pthread_mutex_unlock(&limit_mutex);
}

void log_close(void) {
        pthread_mutex_lock(&limit_mutex);
        tell_left_out(UINT64_MAX);
        pthread_mutex_unlock(&limit_mutex);
}
