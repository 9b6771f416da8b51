/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"
#include "client/options.h"

#include <stdbool.h>

/** reference_is_snapshot() - whether the daemon is to read this: "17", "s3", "last", "last~1", "last:exit", "@PID", or
 * a list of those with commas. Anything else is a file. */
bool reference_is_snapshot(const char *text);

/** reference_check() - refuse what is no snapshot reference, on stderr
 * @stored: the command is about stored snapshots: a file won't do
 * Return: EXIT_CODE_DONE; EXIT_CODE_NOT_FOUND (neither a reference nor a file); EXIT_CODE_FAILED (a file). */
int reference_check(const char *text, bool stored);

/** reference_resolve() - what the daemon is to be asked for
 * @text: passed reference_check(); a file is sent to the daemon, and used there for the time of the connection
 * @referencep: set on EXIT_CODE_DONE, the caller frees
 * Return: enum exit_code. */
int reference_resolve(struct connection *connection, const char *text, char **referencep);

/** reference_open() - the three steps of a command that looks at one snapshot or file: check, connect, resolve
 * @connectionp: set where the second was done, whatever is returned; the caller closes
 * @referencep: set on EXIT_CODE_DONE, the caller frees
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int reference_open(const struct options *options, const char *text, struct connection **connectionp, char **referencep);
