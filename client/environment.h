/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* A copy of the environment to hand to a program. */

struct environment {
        char **entries; /* [n] "NAME=value", NULL behind them: as execve(2) takes it */
        size_t n;
};

/** environment_init() - copy one's own */
void environment_init(struct environment *environment);

/** environment_init_empty() - without any variable */
void environment_init_empty(struct environment *environment);

/** environment_deinit() - free the copy */
void environment_deinit(struct environment *environment);

/** environment_get() - the value, or NULL; valid until the next change */
const char *environment_get(const struct environment *environment, const char *name);

/** environment_set() - replaces all there is under that name */
void environment_set(struct environment *environment, const char *name, const char *value);

/** environment_unset() - take away all there is under that name */
void environment_unset(struct environment *environment, const char *name);

/** environment_unset_prefix() - every variable whose name begins like this */
void environment_unset_prefix(struct environment *environment, const char *prefix);
