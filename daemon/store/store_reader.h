/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading the store. A reader has a connection of its own: one thread at a
 * time, any number of readers beside each other and beside the writer, none waits
 * for another. Each call sees one state of the database.
 *
 * All of what is read is checked: a damaged database gives STORE_E_CORRUPT.
 * Errors of every function: those of enum store_outcome that it names, and
 * STORE_E_BUSY, _READ_ONLY, _CORRUPT, _IO, -ENOMEM; store_reader_message() says more.
 */

#include "daemon/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_reader;

#define STORE_ANY_KIND (-1)

/* Every condition that is set must hold; in a list one of its members. */
struct store_filter {
        bool all_users; /* else snapshots of uid only */
        uint32_t uid;
        int kind;         /* enum snapshot_kind or STORE_ANY_KIND */
        int64_t since_ns; /* taken at or after; 0: all */
        const uint32_t *pids;
        size_t n_pids;
        const char *const *names; /* fnmatch(3) patterns of the process's name */
        size_t n_names;
        const char *const *units; /* systemd units; ".service" may be left out */
        size_t n_units;
        const char *label; /* fnmatch(3) pattern; NULL: any */
};

/** store_reader_open() - connect
 * @path: store_path()
 * @message: [STORE_MESSAGE_MAX], one line on failure
 * Return: 0; as above. */
int store_reader_open(const char *path, struct store_reader **readerp, char *message);

/** store_reader_close() - NULL is fine. Return: NULL. */
struct store_reader *store_reader_close(struct store_reader *reader);

/** store_reader_rest() - give back what it has read of the file: for a reader that is not used for a while
 * A few small snapshots stay, snapshot_cache.h. */
void store_reader_rest(struct store_reader *reader);

/** store_reader_message() - one line about the last failure; valid until the next call */
const char *store_reader_message(const struct store_reader *reader);

enum store_load {
        STORE_LOAD_WHOLE,  /* as it was put, equal in all but the order of its arrays */
        STORE_LOAD_PLACES, /* its locations and what they name alone, no nodes or groups: what symbols need. A bit of
                             memory for each traceback of the store */
        STORE_LOAD_SUMS,   /* without the single sizes: groups have n_sizes 0, as in a peak snapshot. Much cheaper. */
};

/** store_reader_load() - a snapshot as it was put, or what statistics need of it
 * @snapshotp: one reference, set on 0; info.id and info.set are filled in
 * O(nodes + groups + sizes, if these are wanted); O(1) for the sums of one that this reader loaded just before, while
 * the database has not changed. Return: 0; STORE_E_NOT_FOUND. */
int store_reader_load(struct store_reader *reader, int64_t id, enum store_load what, struct snapshot **snapshotp);

/** store_reader_info() - what is known of a snapshot, without its traces
 * @visit: called once on 0; @info with its strings is valid during the call
 * Return: 0; STORE_E_NOT_FOUND; what @visit returned. */
int store_reader_info(struct store_reader *reader, int64_t id,
                      int (*visit)(void *data, const struct snapshot_info *info), void *data);

/** store_reader_list() - visit all snapshots that a filter lets through, by ascending id
 * @visit: other than 0 ends the walk
 * Return: 0; what @visit returned. */
int store_reader_list(struct store_reader *reader, const struct store_filter *filter,
                      int (*visit)(void *data, const struct snapshot_info *info), void *data);

/** store_reader_set_members() - ids of the snapshots of a set, ascending
 * @idsp: malloc'd, set on 0, at least one
 * Return: 0; STORE_E_NOT_FOUND. */
int store_reader_set_members(struct store_reader *reader, int64_t set, int64_t **idsp, size_t *n_idsp);

/** store_reader_last() - the nth newest snapshot of a user
 * @kind: enum snapshot_kind or STORE_ANY_KIND; @nth: 0 is the newest, by the time it was taken, then by id
 * Return: 0; STORE_E_NOT_FOUND. */
int store_reader_last(struct store_reader *reader, uint32_t uid, int kind, uint64_t nth, int64_t *idp);

/** store_reader_symbols() - add what the store knows of the native locations of a snapshot
 * @owner: uid whose symbols count (the snapshot's)
 * @snapshot: stored or live; @symbols: changed, also on failure
 * What is not in the set afterwards is still to be resolved.
 * O(native locations). Return: 0. */
int store_reader_symbols(struct store_reader *reader, uint32_t owner, const struct snapshot *snapshot,
                         struct symbol_set *symbols);
