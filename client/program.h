/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/elf_check.h"

/* The program that a command line names: where it is, and whether it can be traced. */

/** program_find() - look @name up as execvp(3) does
 * @pathp: set on 0, the caller frees
 * Return: 0; -ENOENT and the like (not found); -EACCES (found, not executable). */
int program_find(const char *name, const char *path_variable, char **pathp);

/** program_check() - what stands in the way of tracing @path; scripts are followed to their interpreter
 * @culpritp: set when the verdict is not ELF_OK: the file that it is about, the caller frees
 * Return: the verdict. */
enum elf_verdict program_check(const char *path, const char *path_variable, char **culpritp);
