/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Domains of programs' own beside malloc. An array of NumPy's is a block of malloc's, and a block of the domain that
 * NumPy tells of it in, so that sums over all domains have it twice. */

#include "proto/control.pb-c.h"

#include <stddef.h>

struct beside_malloc {
        char **names; /* of domains, in the order in which they came */
        size_t n;
};

/** beside_malloc_add() - a domain that is known to be one */
void beside_malloc_add(struct beside_malloc *b, const Tracemallocd__Control__Domain *domain);

/** beside_malloc_add_process() - those of a process that has had blocks of malloc as well */
void beside_malloc_add_process(struct beside_malloc *b, const Tracemallocd__Control__Process *process);

/** beside_malloc_clause() - "what domain 389047 took from malloc is counted in both domains"
 * Return: the caller frees; NULL: there is none. */
char *beside_malloc_clause(const struct beside_malloc *b);

/** beside_malloc_deinit() - free what it holds */
void beside_malloc_deinit(struct beside_malloc *b);
