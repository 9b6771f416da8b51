/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

/* Memory of one message at a time: a message of ten thousand frames is as many small pieces, which need not be freed
 * one by one. Nothing in it is freed but by arena_reset(). */

struct arena {
        ProtobufCAllocator allocator; /* what protobuf-c is given; it must not move */
        struct arena_chunk *chunk;    /* the newest, and largest */
        size_t used;                  /* bytes of it */
};

/** arena_init() - empty */
void arena_init(struct arena *arena);

/** arena_deinit() - with all that is in it */
void arena_deinit(struct arena *arena);

/** arena_reset() - everything in it is gone; one chunk stays for what comes next */
void arena_reset(struct arena *arena);
