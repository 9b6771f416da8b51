/* SPDX-License-Identifier: Apache-2.0 */

/* tmctl: find the command, let it run, see to it that what it printed arrived. */

#include "client/command.h"
#include "client/command_guess.h"
#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/output_file.h"
#include "client/version.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_BUFFER_BYTES (64 << 10) /* what a pipe takes at once, pipe(7) */
#define GLOBAL_SETS         (OPTION_SET_COMMON | OPTION_SET_VERSION)

/* With 0, 1 or 2 closed, a socket would get that number and be printed into. Opened the wrong way round, so
 * that writing to a closed stdout is an error still. */
static void fill_standard_descriptors(void) {
        for (int fd = 0; fd <= 2; fd++) {
                if (fcntl(fd, F_GETFD) < 0)
                        (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
        }
}

/* A file or a pipe gets its answer in few pieces. */
static void buffer_output(void) {
        static char buffer[OUTPUT_BUFFER_BYTES];
        if (!isatty(STDOUT_FILENO))
                setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

/* One screen: 23 lines of 80, so that the prompt has one too. tests/lint/man holds that, and that every command is
 * here. */
static void print_help(void) {
        fputs("usage: tmctl COMMAND [options]     'tmctl COMMAND --help' and tmctl(1) say more\n\n", stdout);
        fputs("  run                Run a command traced, and say what it never freed\n"
              "  unit               Trace a systemd service: 'tmctl unit trace UNIT --restart'\n"
              "  ps                 Show the traced processes\n"
              "  snapshot           Take a snapshot and print its id\n"
              "  compare            Show what changed between two snapshots\n"
              "  stats              Show where the memory of a snapshot comes from\n"
              "  traces, block      Show single traces; the live block that holds an address\n"
              "  list, show         Show the stored snapshots; what is known of one\n"
              "  label, delete      Put a note on a snapshot; delete snapshots\n"
              "  export, import     Write a file that Python's tracemalloc loads; store one\n"
              "  start, stop        Begin or stop to trace a process whose agent is loaded\n"
              "  clear, reset-peak  Forget the traces; make the present size the peak\n"
              "  env                Print the environment in which programs are traced\n",
              stdout);
        fputs("\nWhich line grows?\n"
              "  tmctl run -- redis-server --port 7777   at its end: what was never freed\n"
              "  tmctl snapshot --name redis-server      meanwhile; prints 1, another time 2\n"
              "  tmctl compare 1 2                       what grew, by file and line\n",
              stdout);
}

/* What the command printed may still be in stdio's buffer, or could not be written. */
static int flush_output(int code) {
        (void)!fflush(stdout);
        int error = output_error(stdout);
        if (error == 0 || error == EPIPE) /* the reader had enough */
                return code;
        message_error("cannot write to standard output: %s", strerror(error));
        return code == EXIT_CODE_DONE ? EXIT_CODE_FAILED : code;
}

/* Whether a shell may have put files in the place of --name redis*, or of --include *.c. */
static bool has_pattern(const struct options *o) {
        if (o->names.n + o->skip.n + o->skip_functions.n > 0)
                return true;
        for (size_t i = 0; i < o->n_filters; i++) {
                if (!o->filters[i].domain_only)
                        return true;
        }
        return false;
}

/* "tmctl snapshot 1234", "tmctl stats 1 2": what was meant is plain. */
static void say_too_many(const struct command *c, const struct options *o) {
        const char *first = o->arguments[0], *extra = o->arguments[c->max_arguments];
        bool number = first[0] && strspn(first, "0123456789") == strlen(first);
        if (c == &command_list && number)
                message_error("list: '%s' is no option; 'tmctl show %s' shows a snapshot, '--pid %s' chooses a process",
                              first, first, first);
        else if (has_pattern(o) && access(extra, F_OK) == 0)
                message_error("%s: '%s' is a file, and one argument too many: a pattern stands in quotes, or the shell "
                              "puts files in its place",
                              c->name, extra);
        else if (c->max_arguments == 0 && c->sets & OPTION_SET_SELECT)
                message_error("%s: '%s' is no option; a process is chosen by '%s %s'", c->name, first,
                              number ? "--pid" : "--name", first);
        else if (c == &command_stats && o->n_arguments == 2)
                message_error("stats: takes one SNAPSHOT; 'tmctl compare %s %s' shows what changed", first, extra);
        else
                message_error("%s: one argument too many: '%s'; see 'tmctl %s --help'", c->name, extra, c->name);
}

static int check_arguments(const struct command *c, const struct options *o) {
        bool few = o->n_arguments < c->min_arguments;
        if (!few && (c->max_arguments < 0 || o->n_arguments <= c->max_arguments))
                return EXIT_CODE_DONE;
        if (few)
                message_error("%s: takes %s; see 'tmctl %s --help'", c->name, c->arguments, c->name);
        else
                say_too_many(c, o);
        return c->usage_code;
}

static int run_command(const struct command *c, struct options *o, int argc, char **argv) {
        AUTO_FREE char *who = memory_format("tmctl %s", c->name);
        if (options_parse(o, who, OPTION_SET_COMMON | c->sets, c->stops, argc, argv) != 0)
                return c->usage_code;
        if (o->help) {
                command_help(c);
                return EXIT_CODE_DONE;
        }
        if (options_finish(o) != 0)
                return c->usage_code;
        int code = check_arguments(c, o);
        return code == EXIT_CODE_DONE ? c->run(o) : code;
}

static int unknown_command(const char *name) {
        const char *guess = command_guess(name);
        if (strcmp(name, "attach") == 0)
                message_error("a process is traced from its start, not attached to: 'tmctl run' starts one, "
                              "'tmctl unit trace UNIT --restart' a service");
        else if (guess)
                message_error("unknown command '%s'; did you mean 'tmctl %s'? 'tmctl --help' lists all", name, guess);
        else
                message_error("unknown command '%s'; 'tmctl --help' lists them", name);
        return EXIT_CODE_USAGE;
}

/* "tmctl help compare", as of git */
static int help(int n_names, char **names) {
        bool named = n_names > 0 && names[0][0] != '-';
        const struct command *c = named ? command_find(names[0]) : NULL;
        if (named && !c)
                return unknown_command(names[0]);
        if (c)
                command_help(c);
        else
                print_help();
        return EXIT_CODE_DONE;
}

static int run(struct options *o, int argc, char **argv) {
        if (options_parse(o, "tmctl", GLOBAL_SETS, true, argc, argv) != 0)
                return EXIT_CODE_USAGE;
        if (o->version) {
                puts("tmctl " TMCTL_VERSION);
                return EXIT_CODE_DONE;
        }
        if (o->help || o->n_arguments == 0)
                return help(0, NULL);
        if (strcmp(o->arguments[0], "help") == 0)
                return help(o->n_arguments - 1, o->arguments + 1);
        const struct command *c = command_find(o->arguments[0]);
        if (!c)
                return unknown_command(o->arguments[0]);
        return run_command(c, o, o->n_arguments, o->arguments);
}

int main(int argc, char **argv) {
        fill_standard_descriptors();
        buffer_output();
        (void)!setlocale(LC_CTYPE, "C.UTF-8"); /* names of files are written as UTF-8 in every locale */
        struct options options;
        options_init(&options);
        int code = flush_output(run(&options, argc, argv));
        options_deinit(&options);
        return code;
}
