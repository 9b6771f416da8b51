/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The seccomp filters that the program gave itself, as far as the agent saw it do so: what they would not allow or
 * answer with an error, the agent does not call. Filters from before the program's start are not known.
 */

#include <stdbool.h>

struct sock_fprog;

/* The program has filtered itself. */
extern _Atomic bool seccomp_filtered;

/** seccomp_reserve() - memory for a filter, while it can still be had. Return: NULL: there is none */
struct seccomp_filter *seccomp_reserve(void);

/** seccomp_add() - @filter, which it takes, is what the kernel has accepted, a copy of @program; for all threads,
 * though the kernel may know better. Without memory for one nothing is allowed from now on. */
void seccomp_add(struct seccomp_filter *filter, const struct sock_fprog *program);

/** seccomp_drop() - the kernel has refused it */
void seccomp_drop(struct seccomp_filter *filter);

/** seccomp_forbid_all() - strict mode */
void seccomp_forbid_all(void);

/** seccomp_allows() - whether the system call has no worse answer than an error */
bool seccomp_allows(long number, const long arguments[6]);
