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

#define DOMAIN_BESIDE_MALLOC_MAX 3 /* more than a sentence names */

/** domain_beside_malloc() - domains of programs' own that hold memory, where malloc does, too
 * Programs may tell of what they took from malloc, and a sum has that twice; from how many bytes nobody can see.
 * @numbers: as many as the return value are set, the first ones in @m */
size_t domain_beside_malloc(const struct model *m, uint32_t numbers[static DOMAIN_BESIDE_MALLOC_MAX]);
