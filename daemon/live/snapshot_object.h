/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is behind a struct snapshot; only snapshot.c and snapshot_builder.c include this. */

#include "daemon/live/snapshot.h"

#include <stdatomic.h>

/* Text of many strings in one piece. */
struct snapshot_chunk {
        struct snapshot_chunk *next;
        size_t used, capacity;
        char bytes[];
};

struct snapshot_object {
        struct snapshot snapshot; /* first: a snapshot is its object */
        atomic_uint refs;
        struct snapshot_chunk *chunks;
};

/** snapshot_object_free() - everything that hangs on it, and it */
void snapshot_object_free(struct snapshot_object *object);
