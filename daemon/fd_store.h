/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * systemd's store of file descriptors (sd_notify(3), FDSTORE=1): what is put there comes back to the next process
 * of the service, however this one ends. Without systemd there is none. Main loop.
 */

#include <stdbool.h>
#include <stddef.h>

struct fd_store;

/** fd_store_new() - take what systemd hands over: sockets and what an earlier daemon put into the store
 * @keep: whether to put anything there: a daemon of the system, below a systemd that listens
 * Return: 0; -errno. */
int fd_store_new(bool keep, struct fd_store **storep);

/** fd_store_free() - NULL is fine; closes what nobody took. Return: NULL. */
struct fd_store *fd_store_free(struct fd_store *s);

/** fd_store_keeps() - whether what is put here comes back */
bool fd_store_keeps(const struct fd_store *s);

/** fd_store_take() - a descriptor by its name, the caller's from now on. Return: -1 where there is none. */
int fd_store_take(struct fd_store *s, const char *name);

/** fd_store_next() - the names of what nobody took yet, in no order
 * @i: starts at 0. Return: borrowed; NULL: that was all. */
const char *fd_store_next(const struct fd_store *s, size_t *i);

/** fd_store_put() - borrowed. @name: of printable ASCII without colons. Does nothing where nothing is kept. */
void fd_store_put(struct fd_store *s, const char *name, int fd);

/** fd_store_remove() - all with that name */
void fd_store_remove(struct fd_store *s, const char *name);

/** fd_store_settle() - wait until systemd has taken what was put: until then it would go with this process. Bounded. */
void fd_store_settle(struct fd_store *s);
