/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/options.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

/* What the summary of a run names as the next step. */

struct next_commands {
        char *commands[2]; /* "tmctl stats 17 (never freed)", or why there is none */
        size_t n;
};

/** next_commands_init() - the commands that answer most
 * @processes: [n], n > 0, the command's first */
void next_commands_init(struct next_commands *next, const struct options *options,
                        Tracemallocd__Control__RunProcess *const *processes, size_t n);

/** next_commands_daemon() - the option that a command needs to ask the same daemon, behind a space
 * Return: "" where it needs none; the caller frees. */
char *next_commands_daemon(const struct options *options);

/** next_commands_deinit() - free the commands */
void next_commands_deinit(struct next_commands *next);
