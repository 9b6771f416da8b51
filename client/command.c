/* SPDX-License-Identifier: Apache-2.0 */

/* The commands by name, and their --help. */

#include "client/command.h"

#include <string.h>

static const struct command *const commands[] = {
        &command_run,     &command_unit,  &command_env,    &command_ps,         &command_snapshot,
        &command_compare, &command_stats, &command_traces, &command_block,      &command_list,
        &command_show,    &command_label, &command_delete, &command_export,     &command_import,
        &command_start,   &command_stop,  &command_clear,  &command_reset_peak,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

const struct command *command_at(size_t i) {
        return i < N_COMMANDS ? commands[i] : NULL;
}

const struct command *command_find(const char *name) {
        for (size_t i = 0; i < N_COMMANDS; i++) {
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
        }
        return NULL;
}

void command_help(const struct command *c) {
        printf("usage: tmctl %s [options]%s%s\n\n%s.\n%s\n", c->name, c->arguments[0] ? " " : "", c->arguments,
               c->summary, c->description);
        if (c->sets) {
                options_print(stdout, c->sets);
                fputc('\n', stdout);
        }
        options_print(stdout, OPTION_SET_COMMON);
        printf("\nExample:\n%s", c->example);
}
