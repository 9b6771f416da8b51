/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"

/* One command of tmctl: what --help says of it, what it takes, what it does. */

struct command {
        const char *name;
        const char *arguments;   /* as in the usage line, "" for none */
        const char *summary;     /* one line of tmctl --help, at most 58 columns */
        const char *description; /* --help: what the arguments mean; "" or lines that end in a newline */
        const char *example;     /* --help: lines that end in a newline */
        unsigned sets;           /* enum option_set that it takes besides COMMON */
        int min_arguments;
        int max_arguments; /* -1: any number */
        bool stops;        /* what follows the first argument belongs to another program */
        int usage_code;    /* exit code of a wrong command line */
        /* Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
        int (*run)(const struct options *options);
};

extern const struct command command_run;
extern const struct command command_env;
extern const struct command command_unit;
extern const struct command command_ps;
extern const struct command command_snapshot;
extern const struct command command_list;
extern const struct command command_show;
extern const struct command command_label;
extern const struct command command_delete;
extern const struct command command_stats;
extern const struct command command_compare;
extern const struct command command_traces;
extern const struct command command_block;
extern const struct command command_export;
extern const struct command command_import;
extern const struct command command_start;
extern const struct command command_stop;
extern const struct command command_clear;
extern const struct command command_reset_peak;

/** command_at() - the @i-th of all, NULL behind the last */
const struct command *command_at(size_t i);

/** command_find() - by name, NULL for none */
const struct command *command_find(const char *name);

/** command_help() - print what "tmctl NAME --help" says */
void command_help(const struct command *command);

#define SNAPSHOT_DESCRIPTION                                                                                           \
        "A snapshot is an id (17), a set (s3), a list (17,18), last, last~1, last:exit,\n"                             \
        "last:peak, or @PID for the live table of a process now. Anything else is a\n"                                 \
        "file, a pickle of tracemalloc ('-' is stdin).\n"

/* Of commands on what the daemon has stored */
#define STORED_SNAPSHOT_DESCRIPTION                                                                                    \
        "A snapshot is an id (17), a set (s3), a list (17,18), last, last~1, last:exit or\n"                           \
        "last:peak.\n"
