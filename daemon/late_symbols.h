/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Symbols never stand in the way of a snapshot: it is committed first, then its
 * locations are resolved here, one snapshot at a time, while the files of
 * the process are still at hand. Main loop.
 */

#include <stdint.h>

struct daemon;
struct late_symbols;

/** late_symbols_new() - Return: 0; -ENOMEM. */
int late_symbols_new(struct daemon *d, struct late_symbols **lp);

/** late_symbols_add() - a snapshot was stored. Failing for want of memory leaves it to the first query. */
void late_symbols_add(struct late_symbols *l, int64_t snapshot);

/** late_symbols_free() - begin nothing new; frees itself when the job in progress is done
 * @done: called once, maybe at once */
void late_symbols_free(struct late_symbols *l, void (*done)(void *data), void *data);
