/* SPDX-License-Identifier: Apache-2.0 */

/* A few snapshots by id. Called by load.c, on the thread of the reader. */

#include "daemon/store/snapshot_cache.h"

#include <string.h>

void snapshot_cache_deinit(struct snapshot_cache *cache) {
        for (size_t i = 0; i < SNAPSHOT_CACHE_ENTRIES; i++)
                cache->entries[i] = snapshot_unref(cache->entries[i]);
}

/* The @i newest ones become one older, and @snapshot the newest. */
static void put_first(struct snapshot_cache *cache, size_t i, struct snapshot *snapshot) {
        memmove(cache->entries + 1, cache->entries, i * sizeof cache->entries[0]);
        cache->entries[0] = snapshot;
}

struct snapshot *snapshot_cache_find(struct snapshot_cache *cache, int64_t version, int64_t id) {
        if (cache->version != version)
                snapshot_cache_deinit(cache);
        cache->version = version;
        for (size_t i = 0; i < SNAPSHOT_CACHE_ENTRIES; i++) {
                struct snapshot *snapshot = cache->entries[i];
                if (snapshot && snapshot->info.id == id) {
                        put_first(cache, i, snapshot);
                        return snapshot_ref(snapshot);
                }
        }
        return NULL;
}

static uint64_t size_of(const struct snapshot *s) {
        uint64_t bytes = s->n_nodes * sizeof *s->nodes + s->n_locations * sizeof *s->locations +
                         s->n_groups * sizeof *s->groups + s->n_sizes * sizeof *s->sizes +
                         s->n_modules * sizeof *s->modules + s->n_strings * sizeof *s->strings;
        for (uint32_t i = 0; i < s->n_strings; i++)
                bytes += s->strings[i].length;
        return bytes;
}

void snapshot_cache_add(struct snapshot_cache *cache, struct snapshot *snapshot) {
        if (size_of(snapshot) > SNAPSHOT_CACHE_BYTES_MAX)
                return;
        snapshot_unref(cache->entries[SNAPSHOT_CACHE_ENTRIES - 1]);
        put_first(cache, SNAPSHOT_CACHE_ENTRIES - 1, snapshot_ref(snapshot));
}
