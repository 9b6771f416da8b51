/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What changes the database, done at once: each function is one transaction,
 * all or nothing; or several together are one (store_writer_begin_group()). One
 * thread at a time, the store's writer. No cache of rows lies outside SQLite, so
 * nothing has to be put right after a rollback or a delete.
 * Errors of every function: enum store_outcome, -ENOMEM; error says more.
 */

#include "daemon/store/pins.h"
#include "daemon/store/retention.h"
#include "daemon/store/store_error.h"
#include "daemon/symbol/symbol_set.h"

#include <sqlite3.h>

#include <stdbool.h>

struct store_writer;

/** store_writer_new() - @db: taken on 0 */
int store_writer_new(sqlite3 *db, struct store_writer **writerp, struct store_error *error);

/** store_writer_free() - and close the connection; NULL is fine. Return: NULL. */
struct store_writer *store_writer_free(struct store_writer *writer);

/** store_writer_give_up() - what is under way, unless it is being committed, and all that is asked for from now on
 * fails with STORE_E_LEAVING. Any thread, until store_writer_free(). */
void store_writer_give_up(struct store_writer *writer);

/** store_writer_begin_group() - one transaction for what is done from now on
 * store_writer_put(), _find(), _label() and _put_symbols() may follow, while store_writer_group_stands(). One that
 * fails leaves what the others did. */
int store_writer_begin_group(struct store_writer *writer, struct store_error *error);

/** store_writer_group_stands() - whether the last function has left the transaction in being
 * Where the disk is full or the like, SQLite may undo all of it. */
bool store_writer_group_stands(const struct store_writer *writer);

/** store_writer_end_group() - commit
 * Return: 0; why the commit failed: nothing was done then, also where the transaction was undone before. */
int store_writer_end_group(struct store_writer *writer, struct store_error *error);

/** store_writer_put() - keep snapshots
 * @set: to join; 0: none
 * @new_set: make one for them; @set is 0 then
 * @ids: [n_snapshots], valid on 0
 * @setp: the set that they are in, or 0
 * @unresolvedp: whether a native location has no symbols yet; valid on 0
 * Return: STORE_E_NOT_FOUND: no such set. STORE_E_INVALID: a snapshot contradicts itself. */
int store_writer_put(struct store_writer *writer, struct snapshot *const *snapshots, size_t n_snapshots, int64_t set,
                     bool new_set, int64_t *ids, int64_t *setp, bool *unresolvedp, struct store_error *error);

/** store_writer_find() - the snapshot of that kind, of that process and image, taken at that time; *@idp: 0: none
 * O(snapshots of its user). */
int store_writer_find(struct store_writer *writer, const struct snapshot_info *info, int64_t *idp,
                      struct store_error *error);

/** store_writer_label() - change the label of snapshots, all or none. @ids: [n_ids]. Return: STORE_E_NOT_FOUND. */
int store_writer_label(struct store_writer *writer, const int64_t *ids, size_t n_ids, const char *label,
                       struct store_error *error);

/** store_writer_delete() - as store_delete(): all or none are gone for who looks, and as much of them is deleted as can
 * be in some ten milliseconds. The rest, and @n_ids 0 goes on with it, by store_writer_retain()
 * @morep: whether there is a rest. Return: STORE_E_NOT_FOUND. */
int store_writer_delete(struct store_writer *writer, const int64_t *ids, size_t n_ids, bool *morep,
                        struct store_error *error);

/** store_writer_put_symbols() - as store_put_symbols(); @symbols: borrowed */
int store_writer_put_symbols(struct store_writer *writer, uint32_t owner, const struct symbol_set *symbols,
                             struct store_error *error);

/** store_writer_retain() - one step of deleting what is beyond the limits, some ten milliseconds
 * @pins: exit and peak snapshots that are the last to go where there are too many; borrowed for the call
 * @last_kept: snapshots from this id on stay in any case; INT64_MAX: none has to, and bytes are not looked at
 * @morep: whether another step is to be made, where this returns 0
 * What store_writer_delete() has left comes first. A line in the log says what was deleted. */
int store_writer_retain(struct store_writer *writer, const struct retention *limits, const struct pins *pins,
                        int64_t last_kept, bool *morep, struct store_error *error);

/** store_writer_tidy() - one step of giving back what the database and its log do not need any more
 * @whole: all of it; else so much is left as would be taken again soon
 * What is in the way of it (a reader) is no failure. Return: whether another step is to be made. */
bool store_writer_tidy(struct store_writer *writer, bool whole);
