/* SPDX-License-Identifier: Apache-2.0 */

/* The option table and what getopt_long(3) makes of it. */

#include "client/options.h"

#include "client/memory.h"
#include "client/message.h"
#include "client/option_values.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
        OPTION_HELP = 256, /* above every character: getopt(3) returns '?' and the like too */
        OPTION_VERSION,
        OPTION_JSON,
        OPTION_RUNTIME_DIR,
        OPTION_STATE_DIR,
        OPTION_SYSTEM,
        OPTION_USER,
        OPTION_COLOR,
        OPTION_PID,
        OPTION_NAME,
        OPTION_UNIT,
        OPTION_INCLUDE,
        OPTION_EXCLUDE,
        OPTION_DOMAIN,
        OPTION_EXCLUDE_DOMAIN,
        OPTION_ALL_FRAMES,
        OPTION_GROUP_BY,
        OPTION_CUMULATIVE,
        OPTION_ALLOCATED,
        OPTION_SORT,
        OPTION_SKIP,
        OPTION_SKIP_FUNCTION,
        OPTION_NO_SKIP,
        OPTION_LIMIT,
        OPTION_TRACEBACK_LIMIT,
        OPTION_MOST_RECENT_FIRST,
        OPTION_FRAMES,
        OPTION_DOMAINS,
        OPTION_LABEL,
        OPTION_NO_EXIT_SNAPSHOT,
        OPTION_NO_CHILDREN,
        OPTION_BEST_EFFORT,
        OPTION_PEAK,
        OPTION_KIND,
        OPTION_SINCE,
        OPTION_CONTAINER,
        OPTION_FORMAT,
        OPTION_PYTHON,
        OPTION_OUTPUT,
        OPTION_PERSIST,
        OPTION_RESTART,
};

struct option_entry {
        unsigned sets;
        enum option_id id;
        const char *name;
        const char *value; /* NULL: takes none */
        const char *help;  /* lines of at most 52 columns */
};

static const struct option_entry entries[] = {
        {OPTION_SET_GROUP, OPTION_GROUP_BY, "group-by", "KEY", "filename, lineno (default), traceback or function"},
        {OPTION_SET_GROUP, OPTION_CUMULATIVE, "cumulative", NULL, "count a block for every frame of its traceback"},
        {OPTION_SET_GROUP, OPTION_ALLOCATED, "allocated", NULL,
         "all that was allocated since the start, instead of\nwhat is alive (not of peak snapshots or files)"},
        {OPTION_SET_GROUP, OPTION_SORT, "sort", "KEY", "size (default), or count: most blocks first"},
        {OPTION_SET_GROUP, OPTION_SKIP, "skip", "PATTERN",
         "drop most recent frames in matching files, so that\nan allocation wrapper is not the answer; repeatable"},
        {OPTION_SET_GROUP, OPTION_SKIP_FUNCTION, "skip-function", "PATTERN", "the same by function; repeatable"},
        {OPTION_SET_GROUP, OPTION_NO_SKIP, "no-skip", NULL,
         "show well-known wrappers too, such as xmalloc and\nstd::string; --json always does"},
        {OPTION_SET_FILTER, OPTION_INCLUDE, "include", "FILTER",
         "keep matching traces, others go; repeatable. FILTER:\nPATTERN[:LINE][,all-frames][,domain=D]"},
        {OPTION_SET_FILTER, OPTION_EXCLUDE, "exclude", "FILTER", "drop matching traces; repeatable"},
        {OPTION_SET_FILTER, OPTION_DOMAIN, "domain", "D", "keep a domain: python, malloc, mmap or a number"},
        {OPTION_SET_FILTER, OPTION_EXCLUDE_DOMAIN, "exclude-domain", "D", "drop a domain"},
        {OPTION_SET_FILTER, OPTION_ALL_FRAMES, "all-frames", NULL, "filters look at every frame, not the most recent"},
        {OPTION_SET_ROWS, OPTION_LIMIT, "limit", "N", "rows (default 20, with --json all); 0 is all"},
        {OPTION_SET_ROWS | OPTION_SET_TRACEBACK, OPTION_TRACEBACK_LIMIT, "traceback-limit", "N",
         "show the N most recent frames; negative: drop so many\nof them (Traceback.format's limit)"},
        {OPTION_SET_ROWS | OPTION_SET_TRACEBACK, OPTION_MOST_RECENT_FIRST, "most-recent-first", NULL,
         "turn tracebacks round"},
        {OPTION_SET_SELECT, OPTION_PID, "pid", "PID", "processes by pid; repeatable"},
        {OPTION_SET_PID, OPTION_PID, "pid", "PID", "a process"},
        {OPTION_SET_SELECT, OPTION_NAME, "name", "GLOB", "processes by name; repeatable"},
        {OPTION_SET_SELECT, OPTION_UNIT, "unit", "UNIT", "processes of a systemd unit; repeatable"},
        {OPTION_SET_TAKE, OPTION_LABEL, "label", "TEXT", "a note to keep with the snapshot"},
        {OPTION_SET_TAKE, OPTION_PEAK, "peak", NULL, "what was alive when most was, instead of now"},
        {OPTION_SET_LIST, OPTION_LABEL, "label", "GLOB", "snapshots by label"},
        {OPTION_SET_LIST, OPTION_KIND, "kind", "KIND", "request, exit, peak or import"},
        {OPTION_SET_LIST, OPTION_SINCE, "since", "TIME", "taken since: 10m, 2h, 3d, 2026-11-22 or\n'2026-11-22 10:30'"},
        {OPTION_SET_TRACE | OPTION_SET_FRAMES | OPTION_SET_UNIT, OPTION_FRAMES, "frames", "N",
         "frames kept of a traceback, 1 to 65535 (default 64)"},
        {OPTION_SET_TRACE | OPTION_SET_UNIT, OPTION_DOMAINS, "domains", "LIST",
         "what is traced (default python,malloc)"},
        {OPTION_SET_TRACE, OPTION_LABEL, "label", "TEXT", "a note to keep with the snapshots"},
        {OPTION_SET_RUN, OPTION_NO_EXIT_SNAPSHOT, "no-exit-snapshot", NULL, "store nothing when a process ends"},
        {OPTION_SET_RUN, OPTION_NO_CHILDREN, "no-children", NULL, "trace the command alone"},
        {OPTION_SET_RUN, OPTION_BEST_EFFORT, "best-effort", NULL, "run what cannot be traced untraced, with a warning"},
        {OPTION_SET_ENV, OPTION_CONTAINER, "container", NULL, "as options for docker run and podman run"},
        {OPTION_SET_UNIT, OPTION_PERSIST, "persist", NULL, "also after the next boot"},
        {OPTION_SET_UNIT, OPTION_RESTART, "restart", NULL, "restart the service, and wait until it is traced"},
        {OPTION_SET_EXPORT, OPTION_FORMAT, "format", "FORMAT",
         "tracemalloc (default), what Snapshot.load() reads;\njson, as 'tmctl traces --json' prints; collapsed, "
         "for\nflamegraph.pl and speedscope"},
        {OPTION_SET_EXPORT, OPTION_PYTHON, "python", "VERSION", "3.9 (default) and later, or 3.8 and earlier"},
        {OPTION_SET_EXPORT, OPTION_OUTPUT, "output", "FILE", "where to write; -o FILE is the same (default stdout)"},
        {OPTION_SET_IMPORT, OPTION_LABEL, "label", "TEXT", "a note to keep with the snapshot"},
        {OPTION_SET_JSON, OPTION_JSON, "json", NULL, "JSON on stdout, see tmctl(1)"},
        {OPTION_SET_COMMON, OPTION_COLOR, "color", "WHEN", "auto (default), always or never"},
        {OPTION_SET_COMMON, OPTION_SYSTEM, "system", NULL, "the system's daemon"},
        {OPTION_SET_COMMON, OPTION_USER, "user", NULL, "one's own daemon, started if need be"},
        {OPTION_SET_COMMON, OPTION_RUNTIME_DIR, "runtime-dir", "DIR", "the daemon whose sockets are there"},
        {OPTION_SET_COMMON, OPTION_STATE_DIR, "state-dir", "DIR", "where a daemon that is started keeps its snapshots"},
        {OPTION_SET_COMMON, OPTION_HELP, "help", NULL, "this text"},
        {OPTION_SET_VERSION, OPTION_VERSION, "version", NULL, "the version"},
};
#define N_ENTRIES (sizeof entries / sizeof entries[0])

void options_init(struct options *o) {
        *o = (struct options){0};
}

void options_deinit(struct options *o) {
        for (size_t i = 0; i < o->n_filters; i++)
                filter_deinit(&o->filters[i]);
        free(o->filters);
        free(o->pids);
        free(o->names.items);
        free(o->units.items);
        free(o->skip.items);
        free(o->skip_functions.items);
        *o = (struct options){0};
}

static void text_list_add(struct text_list *list, const char *text) {
        list->items = memory_grow(list->items, list->n + 1, sizeof *list->items);
        list->items[list->n++] = text;
}

static int add_pid(struct options *o, const char *text) {
        uint64_t pid;
        if (option_number("--pid", text, 1, UINT32_MAX, &pid) != 0)
                return OPTIONS_E_USAGE;
        o->pids = memory_grow(o->pids, o->n_pids + 1, sizeof *o->pids);
        o->pids[o->n_pids++] = (uint32_t)pid;
        return 0;
}

static int add_filter(struct options *o, enum option_id id, const char *text) {
        struct filter filter;
        bool inclusive = id == OPTION_INCLUDE || id == OPTION_DOMAIN;
        int r = id == OPTION_INCLUDE || id == OPTION_EXCLUDE ? filter_parse(&filter, text, inclusive)
                                                             : filter_domain(&filter, text, inclusive);
        if (r != 0) {
                message_error("%s in '%s'", r == FILTER_E_LINE ? "line number too large" : "empty domain", text);
                return OPTIONS_E_USAGE;
        }
        o->filters = memory_grow(o->filters, o->n_filters + 1, sizeof *o->filters);
        o->filters[o->n_filters++] = filter;
        return 0;
}

static int take_frames(struct options *o, const char *text) {
        uint64_t frames;
        if (number_parse(text, 1, FRAMES_MAX, &frames) != 0) {
                message_error("the number of frames must be in range [1; %d]", FRAMES_MAX); /* Python's words */
                return OPTIONS_E_USAGE;
        }
        o->frames = (uint32_t)frames;
        return 0;
}

static void all_frames(struct options *o) {
        for (size_t i = 0; i < o->n_filters; i++)
                o->filters[i].all_frames = true;
}

/* Options with a value that has to be understood. */
static int take_value(struct options *o, enum option_id id, const char *value) {
        switch (id) {
        case OPTION_COLOR:
                return option_color(value, &o->color);
        case OPTION_PID:
                return add_pid(o, value);
        case OPTION_INCLUDE:
        case OPTION_EXCLUDE:
        case OPTION_DOMAIN:
        case OPTION_EXCLUDE_DOMAIN:
                return add_filter(o, id, value);
        case OPTION_GROUP_BY:
                return option_group_by(value, &o->group_by);
        case OPTION_SORT:
                return option_sort(value, &o->by_count);
        case OPTION_LIMIT:
                o->has_limit = true;
                return option_number("--limit", value, 0, UINT64_MAX, &o->limit);
        case OPTION_TRACEBACK_LIMIT:
                o->has_traceback_limit = true;
                return option_integer("--traceback-limit", value, &o->traceback_limit);
        case OPTION_FRAMES:
                return take_frames(o, value);
        case OPTION_DOMAINS:
                o->domains = value;
                return option_domains(value);
        case OPTION_FORMAT:
                return option_format(value, &o->format);
        case OPTION_PYTHON:
                o->has_python = true;
                return option_python(value, &o->python_3_8);
        case OPTION_KIND:
                o->kind = value;
                return option_kind(value);
        case OPTION_SINCE:
                return option_since(value, &o->since_unix_ns);
        default:
                abort(); /* an entry of the table that nobody takes */
        }
}

static int take_text_or_flag(struct options *o, enum option_id id, const char *value) {
        switch (id) {
        case OPTION_RUNTIME_DIR:
                o->runtime_dir = value;
                return option_not_empty("--runtime-dir", value);
        case OPTION_STATE_DIR:
                o->state_dir = value;
                return option_not_empty("--state-dir", value);
        case OPTION_OUTPUT:
                o->output = value;
                return option_not_empty("--output", value);
        case OPTION_NAME:
                text_list_add(&o->names, value);
                return option_not_empty("--name", value); /* an unset variable of a script's chooses nothing */
        case OPTION_UNIT:
                text_list_add(&o->units, value);
                return option_not_empty("--unit", value);
        case OPTION_SKIP:
                text_list_add(&o->skip, value);
                return 0;
        case OPTION_SKIP_FUNCTION:
                text_list_add(&o->skip_functions, value);
                return 0;
        case OPTION_LABEL:
                o->label = value;
                return 0;
        default:
                return take_value(o, id, value);
        }
}

static bool *flag_of(struct options *o, enum option_id id) {
        switch (id) {
        case OPTION_HELP:
                return &o->help;
        case OPTION_VERSION:
                return &o->version;
        case OPTION_JSON:
                return &o->json;
        case OPTION_SYSTEM:
                return &o->system;
        case OPTION_USER:
                return &o->user;
        case OPTION_CUMULATIVE:
                return &o->cumulative;
        case OPTION_ALLOCATED:
                return &o->allocated;
        case OPTION_NO_SKIP:
                return &o->no_skip;
        case OPTION_MOST_RECENT_FIRST:
                return &o->most_recent_first;
        case OPTION_NO_EXIT_SNAPSHOT:
                return &o->no_exit_snapshot;
        case OPTION_NO_CHILDREN:
                return &o->no_children;
        case OPTION_BEST_EFFORT:
                return &o->best_effort;
        case OPTION_PEAK:
                return &o->peak;
        case OPTION_CONTAINER:
                return &o->container;
        case OPTION_PERSIST:
                return &o->persist;
        case OPTION_RESTART:
                return &o->restart;
        default:
                return NULL;
        }
}

/* The table as getopt_long(3) wants it. */
static void fill_long_options(struct option *longs, unsigned sets) {
        size_t n = 0;
        for (size_t i = 0; i < N_ENTRIES; i++) {
                if (entries[i].sets & sets)
                        longs[n++] = (struct option){.name = entries[i].name,
                                                     .has_arg = entries[i].value ? required_argument : no_argument,
                                                     .val = (int)entries[i].id};
        }
        longs[n] = (struct option){0};
}

static int bad_option(const char *who, int c, char **argv) {
        const char *text = argv[optind - 1];
        if (c == ':')
                message_error("option '%s' needs a value; see '%s --help'", text, who);
        else if (optopt > 0 && optopt < 256)
                message_error("unknown option '-%c'; see '%s --help'", optopt, who);
        else if (optopt >= 256)
                message_error("option '%s' takes no value; see '%s --help'", text, who);
        else
                message_error("unknown option '%s'; see '%s --help'", text, who);
        return OPTIONS_E_USAGE;
}

int options_parse(struct options *o, const char *who, unsigned sets, bool stop, int argc, char **argv) {
        struct option longs[N_ENTRIES + 1];
        bool every_filter = false;
        const char *shorts = sets & OPTION_SET_EXPORT ? ":ho:" : stop ? "+:h" : ":h";
        fill_long_options(longs, sets);
        optind = 0; /* begin anew, glibc's way */
        opterr = 0;
        int c;
        while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
                if (c == 'h')
                        c = OPTION_HELP;
                if (c == 'o')
                        c = OPTION_OUTPUT;
                if (c < OPTION_HELP)
                        return bad_option(who, c, argv);
                bool *flag = flag_of(o, (enum option_id)c);
                if (flag)
                        *flag = true;
                else if (c == OPTION_ALL_FRAMES)
                        every_filter = true;
                else if (take_text_or_flag(o, (enum option_id)c, optarg) != 0)
                        return OPTIONS_E_USAGE;
        }
        if (every_filter)
                all_frames(o);
        o->arguments = argv + optind;
        o->n_arguments = argc - optind;
        return 0;
}

int options_finish(struct options *o) {
        if (o->system + o->user + (o->runtime_dir != NULL) > 1) {
                message_error("--system, --user and --runtime-dir exclude one another");
                return OPTIONS_E_USAGE;
        }
        if (o->cumulative && o->group_by == GROUP_BY_TRACEBACK) {
                /* Python's words, with its "by" */
                message_error("cumulative mode cannot by used with key type '%s'", group_by_name(o->group_by));
                return OPTIONS_E_USAGE;
        }
        if (!o->has_limit)
                o->limit = o->json ? 0 : LIMIT_FOR_PEOPLE;
        return 0;
}

bool options_selects(const struct options *o) {
        return o->n_pids + o->names.n + o->units.n > 0;
}

void options_print(FILE *out, unsigned sets) {
        for (size_t i = 0; i < N_ENTRIES; i++) {
                if (!(entries[i].sets & sets))
                        continue;
                char left[40];
                snprintf(left, sizeof left, "--%s%s%s", entries[i].name, entries[i].value ? " " : "",
                         entries[i].value ? entries[i].value : "");
                fprintf(out, "  %-24s", left);
                for (const char *c = entries[i].help; *c; c++) {
                        fputc(*c, out);
                        if (*c == '\n')
                                fprintf(out, "%26s", "");
                }
                fputc('\n', out);
        }
}
