/* SPDX-License-Identifier: Apache-2.0 */

/* The life of a snapshot. Any thread. */

#include "daemon/live/snapshot_object.h"

#include <assert.h>
#include <stdlib.h>

const char *snapshot_kind_name(uint32_t kind) {
        static const char *const names[] = {
                [SNAPSHOT_REQUEST] = "request", [SNAPSHOT_EXIT] = "exit", [SNAPSHOT_PEAK] = "peak",
                [SNAPSHOT_IMPORT] = "import",   [SNAPSHOT_LIVE] = "live",
        };
        return kind < sizeof names / sizeof names[0] ? names[kind] : "";
}

struct snapshot *snapshot_ref(struct snapshot *s) {
        atomic_fetch_add_explicit(&((struct snapshot_object *)s)->refs, 1, memory_order_relaxed);
        return s;
}

struct snapshot *snapshot_unref(struct snapshot *s) {
        if (!s)
                return NULL;
        struct snapshot_object *object = (struct snapshot_object *)s;
        unsigned before = atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel);
        assert(before > 0);
        if (before == 1)
                snapshot_object_free(object);
        return NULL;
}

void snapshot_object_free(struct snapshot_object *object) {
        struct snapshot *s = &object->snapshot;
        while (object->chunks) {
                struct snapshot_chunk *chunk = object->chunks;
                object->chunks = chunk->next;
                free(chunk);
        }
        free((void *)s->strings);
        free((void *)s->modules);
        free((void *)s->locations);
        free((void *)s->nodes);
        free((void *)s->groups);
        free((void *)s->sizes);
        free((void *)s->domains);
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++)
                free(s->info.texts[i]);
        free(object);
}
