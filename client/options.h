/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/filter.h"
#include "client/terminal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The command line. One table knows every option; a command says which sets of them it takes. */

enum option_set {
        OPTION_SET_COMMON = 1 << 0,     /* everywhere: --help --color --runtime-dir --state-dir --system --user */
        OPTION_SET_JSON = 1 << 1,       /* --json */
        OPTION_SET_SELECT = 1 << 2,     /* --pid --name --unit */
        OPTION_SET_FILTER = 1 << 3,     /* --include --exclude --domain --exclude-domain --all-frames */
        OPTION_SET_GROUP = 1 << 4,      /* --group-by --cumulative --allocated --sort, --skip and its like */
        OPTION_SET_ROWS = 1 << 5,       /* --limit --traceback-limit --most-recent-first */
        OPTION_SET_TRACE = 1 << 6,      /* --frames --domains --label, of run and env */
        OPTION_SET_RUN = 1 << 7,        /* --no-exit-snapshot --no-children --best-effort */
        OPTION_SET_TAKE = 1 << 8,       /* --label --peak, of snapshot */
        OPTION_SET_LIST = 1 << 9,       /* --label --kind --since */
        OPTION_SET_FRAMES = 1 << 10,    /* --frames, of start */
        OPTION_SET_ENV = 1 << 11,       /* --container */
        OPTION_SET_VERSION = 1 << 12,   /* before a command only */
        OPTION_SET_EXPORT = 1 << 13,    /* --format --python --output */
        OPTION_SET_IMPORT = 1 << 14,    /* --label, of import */
        OPTION_SET_UNIT = 1 << 15,      /* --frames --domains --persist --restart */
        OPTION_SET_PID = 1 << 16,       /* --pid alone, of block */
        OPTION_SET_TRACEBACK = 1 << 17, /* --traceback-limit --most-recent-first, of block */
};

enum group_by {
        GROUP_BY_LINENO = 0,
        GROUP_BY_FILENAME = 1,
        GROUP_BY_TRACEBACK = 2,
        GROUP_BY_FUNCTION = 3,
};

enum export_format {
        EXPORT_TRACEMALLOC = 0,
        EXPORT_JSON = 1,
        EXPORT_COLLAPSED = 2,
};

struct text_list {
        const char **items;
        size_t n;
};

#define FRAMES_DEFAULT   64
#define FRAMES_MAX       65535 /* proto/agent.proto, as tracemalloc's own MAX_NFRAME */
#define LIMIT_FOR_PEOPLE 20
#define DOMAINS_DEFAULT  "python,malloc"

/* Strings are those of argv. */
struct options {
        bool help, version, json;
        const char *runtime_dir, *state_dir;
        bool system, user;
        enum color_when color;

        uint32_t *pids;
        size_t n_pids;
        struct text_list names, units;

        struct filter *filters;
        size_t n_filters;
        enum group_by group_by;
        bool cumulative, allocated, by_count, no_skip;
        struct text_list skip, skip_functions;

        bool has_limit, has_traceback_limit, most_recent_first;
        uint64_t limit; /* resolved: 0 is all */
        int64_t traceback_limit;

        uint32_t frames; /* 0: not given */
        const char *domains, *label, *kind;
        int64_t since_unix_ns; /* 0: all */
        enum export_format format;
        bool has_python;    /* --python was given */
        bool python_3_8;    /* the older shape of tracemalloc's files */
        const char *output; /* NULL: stdout */
        bool no_exit_snapshot, no_children, best_effort, peak, container, persist, restart;

        char **arguments; /* [n_arguments] what is left, NULL behind it */
        int n_arguments;
};

/** options_init() - as if no option was given */
void options_init(struct options *options);

/** options_deinit() - free what options_parse() took */
void options_deinit(struct options *options);

#define OPTIONS_E_USAGE 1

/** options_parse() - read argv[1..] into @options; can be called again for the command's own
 * @who: "tmctl", "tmctl stats": whose --help a message names
 * @sets: enum option_set, which options are taken
 * @stop: leave everything from the first argument that is no option alone
 * Return: 0; OPTIONS_E_USAGE: a line on stderr has said what is wrong. */
int options_parse(struct options *options, const char *who, unsigned sets, bool stop, int argc, char **argv);

/** options_finish() - check what depends on several options, and set the limit's default
 * Return: 0; OPTIONS_E_USAGE: a line on stderr has said what is wrong. */
int options_finish(struct options *options);

/** options_selects() - whether --pid, --name or --unit was given */
bool options_selects(const struct options *options);

/** options_print() - one line or more of help for each option of @sets */
void options_print(FILE *out, unsigned sets);

/** group_by_name() - as --group-by takes it */
const char *group_by_name(enum group_by group_by);
