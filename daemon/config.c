/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file, through inih. Main thread, before the loop runs. */

#include "daemon/config.h"

#include "daemon/base/cleanup.h"

#include <ini.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define DAY_S     UINT64_C(86400)
#define AGE_MAX_S (36500 * DAY_S)

#define DETAIL_MAX     96
#define BYTES_TEXT_MAX 24

/* COUNT and AGE go into 64 bits; an age is in seconds, or takes a suffix. */
enum value_type { VALUE_UINT, VALUE_BYTES, VALUE_COUNT, VALUE_AGE, VALUE_TEXT, VALUE_LEVEL };

struct key {
        const char *section, *name;
        enum value_type type;
        size_t offset;
        uint64_t min, max;
};

static const struct key keys[] = {
        {"daemon", "log_level", VALUE_LEVEL, offsetof(struct config, log_level), 0, 0},
        {"daemon", "workers", VALUE_UINT, offsetof(struct config, workers), 1, 64},
        {"daemon", "keep_tables", VALUE_UINT, offsetof(struct config, keep_tables), 0, 1},
        {"daemon", "idle_exit", VALUE_UINT, offsetof(struct config, idle_exit_s), 0, 86400},
        {"limits", "processes_per_user", VALUE_UINT, offsetof(struct config, processes_per_user), 1, 1000000},
        {"limits", "connections_per_user", VALUE_UINT, offsetof(struct config, connections_per_user), 1, 1000000},
        {"limits", "table_memory_per_process", VALUE_BYTES, offsetof(struct config, table_bytes_per_process), MIB,
         1024 * GIB},
        {"limits", "table_memory_per_user", VALUE_BYTES, offsetof(struct config, table_bytes_per_user), MIB,
         1024 * 1024 * GIB},
        /* below the watchdog of the service (30 s): a stopped daemon is restarted before programs give up twice */
        {"agent", "stall_limit_ms", VALUE_UINT, offsetof(struct config, stall_limit_ms), 0, 20000},
        {"snapshots", "exit_min_age", VALUE_UINT, offsetof(struct config, exit_min_age_s), 0, UINT32_MAX},
        {"snapshots", "keep_count", VALUE_COUNT, offsetof(struct config, retention.count), 0, UINT32_MAX},
        {"snapshots", "keep_age", VALUE_AGE, offsetof(struct config, retention.age_s), 0, AGE_MAX_S},
        {"snapshots", "keep_exit_count", VALUE_COUNT, offsetof(struct config, retention.exit_count), 0, UINT32_MAX},
        {"snapshots", "keep_exit_age", VALUE_AGE, offsetof(struct config, retention.exit_age_s), 0, AGE_MAX_S},
        {"snapshots", "keep_bytes", VALUE_BYTES, offsetof(struct config, retention.bytes), 0, 1024 * 1024 * GIB},
        {"symbols", "debuginfod_urls", VALUE_TEXT, offsetof(struct config, debuginfod_urls), 0, 0},
};

struct read_state {
        struct config *config;
        FILE *file;
        int line;      /* that was read last */
        int error;     /* errno of reading; 0 */
        char *problem; /* with the first wrong line of those that inih takes for right: what is wrong */
        bool failed;   /* so there was one, and it was read last */
};

/* Of four users none can take what the others need, and one who is alone seldom has programs with so many blocks. */
static uint64_t quarter_of_memory(void) {
        long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
        uint64_t quarter = pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes / 4 : 0;
        return quarter < 64 * MIB ? 64 * MIB : quarter;
}

int config_init(struct config *config) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        *config = (struct config){
                .log_level = LOG_LEVEL_INFO,
                .workers = cpus > 4   ? 4
                           : cpus > 1 ? (uint32_t)cpus
                                      : 1,
                .keep_tables = 1,
                .processes_per_user = 4096,
                .connections_per_user = 256,
                .table_bytes_per_process = 4 * GIB,
                .table_bytes_per_user = quarter_of_memory(),
                .stall_limit_ms = 2000,
                .exit_min_age_s = 10,
                .retention = {.exit_count = 2000, .exit_age_s = 30 * DAY_S, .bytes = 4 * GIB},
                .debuginfod_urls = strdup(""),
        };
        return config->debuginfod_urls ? 0 : -ENOMEM;
}

void config_deinit(struct config *config) {
        free(config->debuginfod_urls);
        config->debuginfod_urls = NULL;
}

/* What a suffix stands for. Return: 0: it is none. */
static uint64_t suffix_factor(enum value_type type, char suffix) {
        static const struct {
                enum value_type type;
                char suffix;
                uint64_t factor;
        } suffixes[] = {
                {VALUE_BYTES, 'K', KIB},        {VALUE_BYTES, 'M', MIB}, {VALUE_BYTES, 'G', GIB},
                {VALUE_BYTES, 'T', 1024 * GIB}, {VALUE_AGE, 's', 1},     {VALUE_AGE, 'm', 60},
                {VALUE_AGE, 'h', 3600},         {VALUE_AGE, 'd', DAY_S},
        };
        for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
                if (suffixes[i].type == type && suffixes[i].suffix == suffix)
                        return suffixes[i].factor;
        }
        return 0;
}

/* "512"; bytes: "64K", "2G"; ages: "36h", "30d". Return: 0; -EINVAL. */
static int parse_number(const char *text, enum value_type type, uint64_t *valuep) {
        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        char *end;
        errno = 0;
        uint64_t value = strtoull(text, &end, 10);
        if (errno)
                return -EINVAL;
        uint64_t factor = *end ? suffix_factor(type, *end) : 0;
        if (factor) {
                if (__builtin_mul_overflow(value, factor, &value))
                        return -EINVAL;
                end++;
        }
        if (*end)
                return -EINVAL;
        *valuep = value;
        return 0;
}

static int set_value(struct config *config, const struct key *key, const char *text) {
        void *field = (char *)config + key->offset;
        if (key->type == VALUE_LEVEL)
                return log_level_parse(text, field);
        if (key->type == VALUE_TEXT) {
                char *copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
                free(*(char **)field);
                *(char **)field = copy;
                return 0;
        }
        uint64_t value;
        int r = parse_number(text, key->type, &value);
        if (r < 0)
                return r;
        if (value < key->min || value > key->max)
                return -ERANGE;
        if (key->type != VALUE_UINT)
                *(uint64_t *)field = value;
        else
                *(uint32_t *)field = (uint32_t)value;
        return 0;
}

/* "64M": as one would write it in the file */
static const char *bytes_text(uint64_t bytes, char text[BYTES_TEXT_MAX]) {
        uint64_t factor = bytes >= GIB ? GIB : bytes >= MIB ? MIB : 1;
        snprintf(text, BYTES_TEXT_MAX, "%" PRIu64 "%s", bytes / factor, factor == GIB ? "G" : factor == MIB ? "M" : "");
        return text;
}

/* What would have been right */
static void say_choices(const struct key *key, char detail[DETAIL_MAX]) {
        char min[BYTES_TEXT_MAX], max[BYTES_TEXT_MAX];
        if (key->type == VALUE_LEVEL)
                snprintf(detail, DETAIL_MAX, ": error, warning, info or debug");
        else if (key->type == VALUE_BYTES)
                snprintf(detail, DETAIL_MAX, ": bytes between %s and %s", bytes_text(key->min, min),
                         bytes_text(key->max, max));
        else if (key->type == VALUE_AGE)
                snprintf(detail, DETAIL_MAX, ": a time such as 36h or 30d, at most %" PRIu64 "d", key->max / DAY_S);
        else
                snprintf(detail, DETAIL_MAX, ": a number between %" PRIu64 " and %" PRIu64, key->min, key->max);
}

static int fail(struct read_state *state, const char *what, const char *name, const char *detail) {
        state->failed = true;
        if (asprintf(&state->problem, "%s '%s'%s", what, name, detail) < 0)
                state->problem = NULL;
        return 0; /* inih: 0 is an error */
}

/* inih's fgets(). It would take what is behind its buffer's end for a line, one that begins with a blank for more of
 * the value before, so that the handler would be called again with that key, and a directory for an empty file. */
static char *read_line(char *text, int size, void *stream) {
        struct read_state *state = stream;
        if (state->failed)
                return NULL;
        errno = 0;
        if (!fgets(text, size, state->file)) {
                state->error = ferror(state->file) ? errno : 0;
                return NULL;
        }
        state->line++;
        if (!strchr(text, '\n')) {
                int next = getc(state->file);
                if (next != EOF) {
                        state->failed = true;
                        if (asprintf(&state->problem, "a line of more than %d bytes, or no text", size - 2) < 0)
                                state->problem = NULL;
                        return NULL;
                }
        }
        const char *begin = text + strspn(text, " \t");
        return memmove(text, begin, strlen(begin) + 1);
}

static int on_value(void *user, const char *section, const char *name, const char *value) {
        struct read_state *state = user;
        if (state->failed)
                return 0;
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                const struct key *key = &keys[i];
                if (strcmp(section, key->section) != 0 || strcmp(name, key->name) != 0)
                        continue;
                int r = set_value(state->config, key, value);
                if (r == 0)
                        return 1;
                char detail[DETAIL_MAX] = "";
                if (r != -ENOMEM)
                        say_choices(key, detail);
                return fail(state, r != -ENOMEM ? "invalid value for" : "no memory for", name, detail);
        }
        return fail(state, "unknown key", name, "");
}

static int cannot_read(const char *path, int error, char **errorp) {
        if (asprintf(errorp, "cannot read %s: %s", path, strerror(error)) < 0)
                *errorp = NULL;
        return -error;
}

int config_read(struct config *config, const char *path, bool required, char **errorp) {
        *errorp = NULL;
        FILE *file = fopen(path, "re");
        if (!file && errno == ENOENT && !required)
                return 0;
        if (!file)
                return cannot_read(path, errno, errorp);
        struct read_state state = {.config = config, .file = file};
        int wrong = ini_parse_stream(read_line, &state, on_value, &state);
        fclose(file);
        if (state.error) {
                free(state.problem);
                return cannot_read(path, state.error, errorp);
        }
        if (wrong == 0 && !state.failed)
                return 0;
        bool no_line = wrong != 0 && (!state.failed || wrong < state.line);
        const char *problem = no_line         ? "neither '[section]' nor 'key = value'"
                              : state.problem ? state.problem
                                              : "out of memory";
        if (asprintf(errorp, "%s:%d: %s", path, no_line ? wrong : state.line, problem) < 0)
                *errorp = NULL;
        free(state.problem);
        return CONFIG_E_INVALID;
}
