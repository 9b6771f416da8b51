/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Domains by name and number: python, malloc, mmap, and those that a traced program named. */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** domain_name() - what a number is called
 * Return: borrowed from the sources or static; length 0 where it has no name. */
struct snapshot_string domain_name(uint32_t number, const struct model_source *sources, size_t n_sources);

/** domain_parse() - a name, or a decimal number of 32 bits
 * Where sources give one name to several numbers the first has it.
 * Return: true, *numberp set; false: neither. */
bool domain_parse(const char *text, const struct model_source *sources, size_t n_sources, uint32_t *numberp);
