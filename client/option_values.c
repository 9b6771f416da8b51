/* SPDX-License-Identifier: Apache-2.0 */

/* Values of options: numbers, words, times. Called by options.c. */

#include "client/option_values.h"

#include "client/memory.h"
#include "client/message.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *valuep) {
        if (!text[0] || strspn(text, "0123456789") != strlen(text))
                return OPTIONS_E_USAGE;
        errno = 0;
        uint64_t value = strtoull(text, NULL, 10);
        if (errno != 0 || value < min || value > max)
                return OPTIONS_E_USAGE;
        *valuep = value;
        return 0;
}

int option_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *valuep) {
        if (number_parse(text, min, max, valuep) == 0)
                return 0;
        bool digits = text[0] && text[strspn(text, "0123456789")] == '\0';
        if (max == UINT64_MAX && !digits) /* nobody is helped by where 64 bits end, but who is beyond it */
                message_error("%s takes a number from %" PRIu64 ", not '%s'", option, min, text);
        else
                message_error("%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, min, max, text);
        return OPTIONS_E_USAGE;
}

int option_integer(const char *option, const char *text, int64_t *valuep) {
        uint64_t size;
        bool negative = text[0] == '-';
        if (number_parse(text + negative, 0, INT64_MAX, &size) != 0) {
                message_error("%s takes a whole number, not '%s'", option, text);
                return OPTIONS_E_USAGE;
        }
        *valuep = negative ? -(int64_t)size : (int64_t)size;
        return 0;
}

int option_not_empty(const char *option, const char *text) {
        if (text[0])
                return 0;
        message_error("%s is empty", option);
        return OPTIONS_E_USAGE;
}

/* Return: index of @text in the NULL-terminated @words, -1 */
static int word_index(const char *const *words, const char *text) {
        for (int i = 0; words[i]; i++) {
                if (strcmp(words[i], text) == 0)
                        return i;
        }
        return -1;
}

int option_color(const char *text, enum color_when *colorp) {
        static const char *const words[] = {"auto", "always", "never", NULL};
        int i = word_index(words, text);
        if (i < 0) {
                message_error("--color is auto, always or never, not '%s'", text);
                return OPTIONS_E_USAGE;
        }
        *colorp = (enum color_when)i;
        return 0;
}

static const char *const group_by_names[] = {"lineno", "filename", "traceback", "function", NULL};

const char *group_by_name(enum group_by group_by) {
        return group_by_names[group_by];
}

int option_group_by(const char *text, enum group_by *group_byp) {
        int i = word_index(group_by_names, text);
        if (i < 0) {
                message_error("unknown key_type: '%s' (filename, lineno, traceback or function)", text);
                return OPTIONS_E_USAGE;
        }
        *group_byp = (enum group_by)i;
        return 0;
}

int option_sort(const char *text, bool *by_countp) {
        static const char *const words[] = {"size", "count", NULL};
        int i = word_index(words, text);
        if (i < 0) {
                message_error("--sort is size or count, not '%s'", text);
                return OPTIONS_E_USAGE;
        }
        *by_countp = i == 1;
        return 0;
}

int option_domains(const char *text) {
        static const char *const words[] = {"python", "malloc", "mmap", "other", NULL};
        AUTO_FREE char *copy = memory_copy(text, strlen(text));
        char *rest = copy;
        for (char *word; (word = strsep(&rest, ","));) {
                if (word_index(words, word) < 0) {
                        message_error("--domains is a list of python, malloc, mmap and other, not '%s'", text);
                        return OPTIONS_E_USAGE;
                }
        }
        return 0;
}

int option_kind(const char *text) {
        static const char *const words[] = {"request", "exit", "peak", "import", NULL};
        if (word_index(words, text) >= 0)
                return 0;
        message_error("--kind is request, exit, peak or import, not '%s'", text);
        return OPTIONS_E_USAGE;
}

int option_format(const char *text, enum export_format *formatp) {
        static const char *const words[] = {"tracemalloc", "json", "collapsed", NULL};
        int i = word_index(words, text);
        if (i < 0) {
                message_error("--format is tracemalloc, json or collapsed, not '%s'", text);
                return OPTIONS_E_USAGE;
        }
        *formatp = (enum export_format)i;
        return 0;
}

int option_python(const char *text, bool *python_3_8p) {
        static const char *const words[] = {"3.9", "3.8", NULL};
        int i = word_index(words, text);
        if (i < 0) {
                message_error("--python is 3.8 (for Python 3.6 to 3.8) or 3.9 (for later ones), not '%s'", text);
                return OPTIONS_E_USAGE;
        }
        *python_3_8p = i == 1;
        return 0;
}

static int64_t now_seconds(void) {
        return (int64_t)time(NULL);
}

/* "90s", "10m", "2h", "3d" */
static bool parse_age(const char *text, int64_t *secondsp) {
        static const struct {
                char unit;
                int64_t seconds;
        } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9 || !text[digits] || text[digits + 1])
                return false;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                if (units[i].unit == text[digits]) {
                        *secondsp = now_seconds() - strtoll(text, NULL, 10) * units[i].seconds;
                        return true;
                }
        }
        return false;
}

/* As in the taken_at of JSON; what is below a second is too little to choose by. */
static const char *skip_fraction(const char *text) {
        size_t digits = text[0] == '.' ? strspn(text + 1, "0123456789") : 0;
        return digits > 0 ? text + 1 + digits : text;
}

static bool parse_time(const char *text, int64_t *secondsp) {
        static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
                                              "%Y-%m-%dT%H:%M:%S"};
        for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
                struct tm tm = {.tm_isdst = -1};
                const char *end = strptime(text, formats[i], &tm);
                if (end && strstr(formats[i], "%S"))
                        end = skip_fraction(end);
                if (!end || (end[0] && strcmp(end, "Z") != 0))
                        continue;
                *secondsp = end[0] ? (int64_t)timegm(&tm) : (int64_t)mktime(&tm);
                return true;
        }
        return false;
}

int option_since(const char *text, int64_t *unix_nsp) {
        int64_t seconds;
        if (!parse_age(text, &seconds) && !parse_time(text, &seconds)) {
                message_error("--since takes a time such as 10m, 2h, 3d, 2026-11-22 or '2026-11-22 10:30', not '%s'",
                              text);
                return OPTIONS_E_USAGE;
        }
        int64_t last = INT64_MAX / NS_PER_SECOND; /* in the year 2262 */
        int64_t first_ns = 1;                     /* 0 means all in the protocol */
        *unix_nsp = seconds > last ? INT64_MAX : seconds > 0 ? seconds * NS_PER_SECOND : first_ns;
        return 0;
}
