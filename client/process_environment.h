/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a running program was given as its environment. */

#include <stdbool.h>

/** process_environment_lacks() - whether a process's program is known to have begun without a variable
 * @pid: 0: none
 * Return: false also where that is not known: it is gone, a zombie, another user's, or its environment is very long. */
bool process_environment_lacks(unsigned long pid, const char *name);
