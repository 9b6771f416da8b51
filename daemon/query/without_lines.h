/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Modules that hold memory and of which no line is known: what stats names, with the remedy. */

#include "daemon/query/model.h"

#include <stddef.h>
#include <stdint.h>

/** without_lines_compute() - paths of the modules of most recent frames without a line
 * @textsp: set on 0, for free(): [*np] texts of @m's table, those that hold most first
 * A module that has line information, or of which some frame has a line, is not named, though a
 * function of it (assembly, say) may have none. O(frames + traces). Return: 0; -ENOMEM. */
int without_lines_compute(const struct model *m, uint32_t **textsp, size_t *np);
