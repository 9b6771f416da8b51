/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/child.h"
#include "client/connection.h"
#include "client/options.h"
#include "proto/control.pb-c.h"

#include <stdio.h>

/** render_run() - the summary of tmctl run: five lines on the command, a table of its largest children
 * @connection: to the daemon that was to trace it
 * @processes: [n] as RunWait named them; reordered
 * @command: argv[0]: what to call the command when it was not traced */
void render_run(FILE *out, const struct options *options, const struct connection *connection,
                const struct child *child, const char *command, Tracemallocd__Control__RunProcess **processes,
                size_t n);
