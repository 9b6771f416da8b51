/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The snapshots that a reader loaded last, for the next question about them: who looks at a snapshot by line also looks
 * at it by traceback, and with a filter, and loading it is two thirds of what an answer costs. Only small ones, and
 * without their single sizes: they stay in memory until others come, or the database changes. Zero memory is an empty
 * one. One thread at a time.
 */

#include "daemon/live/snapshot.h"

#define SNAPSHOT_CACHE_ENTRIES   2         /* both sides of a comparison */
#define SNAPSHOT_CACHE_BYTES_MAX (4 << 20) /* of one; 50,000 frames and tracebacks */

struct snapshot_cache {
        struct snapshot *entries[SNAPSHOT_CACHE_ENTRIES]; /* the newest first */
        int64_t version;                                  /* of the database that they are from */
};

/** snapshot_cache_deinit() - let go of everything; the cache is empty then */
void snapshot_cache_deinit(struct snapshot_cache *cache);

/** snapshot_cache_find() - look one up
 * @version: of the database now; entries of another one are dropped
 * Return: a reference; NULL. */
struct snapshot *snapshot_cache_find(struct snapshot_cache *cache, int64_t version, int64_t id);

/** snapshot_cache_add() - keep one, with a reference of the cache's own, if it is small; snapshot_cache_find() came
 * before, with the same version. The oldest goes. */
void snapshot_cache_add(struct snapshot_cache *cache, struct snapshot *snapshot);
