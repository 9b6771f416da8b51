/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/** reference_is_snapshot() - whether the daemon is to read this: "17", "s3", "last", "last~1", "last:exit", "@PID", or
 * a list of those with commas. Anything else is a file. */
bool reference_is_snapshot(const char *text);

/** reference_check() - refuse what is no snapshot reference, on stderr
 * Return: EXIT_CODE_DONE; EXIT_CODE_NOT_FOUND (neither a reference nor a file); EXIT_CODE_FAILED (a file). */
int reference_check(const char *text);
