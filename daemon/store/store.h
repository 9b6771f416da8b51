/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The store: snapshots.db in the state directory, an SQLite database whose
 * tables schema.sql describes. One writer thread does all that changes it, in
 * the order of the calls below, each all or nothing, small ones that wait at
 * the same time in one transaction; any thread may read beside it
 * (store_reader.h). A snapshot's id is handed out after its commit, never
 * before, and never twice.
 *
 * All functions here belong to the thread of the loop. They queue and return;
 * the answer comes by callback on that loop. A failed request leaves the
 * database as it was and the store usable.
 */

#include "daemon/live/snapshot.h"
#include "daemon/store/retention.h"
#include "daemon/symbol/symbol_set.h"

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FILE_NAME   "snapshots.db"
#define STORE_MESSAGE_MAX 512

/* What may come instead of 0; each with one line of text that says what and what to do. */
enum store_outcome {
        STORE_E_NOT_FOUND = 1, /* no such snapshot or set */
        STORE_E_NOT_OURS,      /* the file is no database of tracemallocd; it was not touched */
        STORE_E_NEWER,         /* made by a newer tracemallocd; it was not touched */
        STORE_E_FULL,          /* no space, quota, file size limit or row number */
        STORE_E_BUSY,          /* another program holds the database */
        STORE_E_READ_ONLY,     /* not permitted, read-only file system */
        STORE_E_CORRUPT,       /* the database is damaged */
        STORE_E_IO,            /* the system failed to read or write, or somebody took the file away */
        STORE_E_INVALID,       /* a snapshot that contradicts itself, or that the store cannot hold */
        STORE_E_LEAVING,       /* not begun or not finished when the store was told to give up */
};

/* Valid during the callback. */
struct store_result {
        int code;            /* 0; enum store_outcome; -ENOMEM */
        const char *message; /* one line; "" with code 0 */
        const int64_t *ids;  /* put: as many as snapshots, in order */
        size_t n_ids;
        int64_t set;     /* put_set: the set's id; 0: none */
        bool unresolved; /* put: a native location has no symbols yet */
};

struct store;

/** store_callback - a request is done; on the loop's thread */
typedef void (*store_callback)(void *data, const struct store_result *result);

/** store_open() - open the database of a state directory, make both where they are missing, start the writer
 * @loop: borrowed until store_close() is done
 * @state_dir: made with mode 0700 where missing, with its parents
 * @storep: set on 0
 * @message: [STORE_MESSAGE_MAX], one line on failure
 * A damaged database of ours is moved aside (a log line names the new name) and a new one begun.
 * Blocks for the time of a few disk accesses. Return: 0; STORE_E_NOT_OURS, _NEWER, _FULL, _BUSY, _READ_ONLY,
 * _CORRUPT (it could not be moved), _IO; -errno. */
int store_open(uv_loop_t *loop, const char *state_dir, struct store **storep, char *message);

/** store_retain() - limits from now on; without them nothing is deleted but by store_delete()
 * They are applied now, after each put or transaction of several, and every ten minutes. What a transaction put, and
 * what is not answered yet, stays until the next: so the limits may be exceeded by what is small enough to share one,
 * 64 requests of some hundred KiB together, and as long as something large is being deleted. */
void store_retain(struct store *store, const struct retention *limits);

/** store_pin() - where a user has too many exit and peak snapshots, these are the last to go, until PINS_MAX others
 * were pinned
 * @ids: [n_ids], copied; 0 is none. Limits of age and bytes do not care, nor do counts below twice PINS_MAX.
 * In the callback of a put this is in time, however many others are put meanwhile. */
void store_pin(struct store *store, const int64_t *ids, size_t n_ids);

/** store_path() - of the database, for readers and messages; valid until the store is closed */
const char *store_path(const struct store *store);

/** store_close() - do all that was queued, call all callbacks, then end
 * @store: not to be used any more, except by callbacks that are still to come
 * @closed: called once, after the last callback; may be NULL
 * The loop must run on until then. */
void store_close(struct store *store, void (*closed)(void *data), void *data);

/** store_give_up() - from now on nothing is written but the commit that may be under way
 * What waits, what is half done and what is still to come fails with STORE_E_LEAVING; callbacks come as ever, in order.
 * For the end of a daemon whose time is short. Costs nothing; the answers come at once. */
void store_give_up(struct store *store);

/** store_put() - keep a snapshot
 * @snapshot: the store takes a reference of its own
 * @set: of an earlier store_put_set(), to join it; 0: none
 * @callback: result->ids[0]; STORE_E_NOT_FOUND: no such set; STORE_E_INVALID
 * Return: 0; -ENOMEM (no callback will come). */
int store_put(struct store *store, struct snapshot *snapshot, int64_t set, store_callback callback, void *data);

/** store_put_once() - keep a snapshot unless it is there: one of that kind, of that process and image (uid, pid, start,
 * number), taken at that time
 * @callback: result->ids[0], of the one that was there or is now
 * Otherwise as store_put() without a set. */
int store_put_once(struct store *store, struct snapshot *snapshot, store_callback callback, void *data);

/** store_put_set() - keep snapshots of several processes that were taken at one moment: all or none
 * @snapshots: [n_snapshots], the array is copied, references are taken
 * @callback: result->ids as many, result->set
 * Return: 0; -ENOMEM (no callback will come). */
int store_put_set(struct store *store, struct snapshot *const *snapshots, size_t n_snapshots, store_callback callback,
                  void *data);

/** store_label() - change the label of snapshots, all or none
 * @ids: [n_ids], copied
 * @label: [length], copied; a NUL in it ends it; NULL where @length is 0
 * @callback: STORE_E_NOT_FOUND: one of them does not exist, none was changed. May be NULL.
 * Return: 0; -ENOMEM. */
int store_label(struct store *store, const int64_t *ids, size_t n_ids, const void *label, size_t length,
                store_callback callback, void *data);

/** store_delete() - remove snapshots, all or none, and give their space back
 * @ids: [n_ids], copied; none: wait for what was removed before, and for what is beyond the limits
 * @callback: when the space is given back. STORE_E_NOT_FOUND: one of them does not exist, none was removed. May be
 * NULL. Nobody sees them any more as soon as the request is carried out. Their rows go piece by piece, and requests
 * that come meanwhile are done in between, and may be answered before; what is left where the store is closed goes when
 * it is opened again. Tracebacks, frames, symbols and strings that no other snapshot needs go with them; the cost goes
 * by the size of what is deleted, not of what stays. Who may delete is the caller's to decide. Return: 0; -ENOMEM. */
int store_delete(struct store *store, const int64_t *ids, size_t n_ids, store_callback callback, void *data);

/** store_put_symbols() - keep what was found out about native locations
 * @owner: uid whose files were read; the symbols serve the snapshots of that uid only
 * @symbols: taken, also on failure
 * @callback: may be NULL
 * Locations that no stored snapshot of this owner has are passed over; others replace what was known.
 * Return: 0; -ENOMEM. */
int store_put_symbols(struct store *store, uint32_t owner, struct symbol_set *symbols, store_callback callback,
                      void *data);
