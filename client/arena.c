/* SPDX-License-Identifier: Apache-2.0 */

/* Pieces one behind the other. Called by connection.c, and by protobuf-c for it. */

#include "client/arena.h"

#include "client/memory.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_MIN ((size_t)64 << 10)

struct arena_chunk {
        struct arena_chunk *next;
        size_t size;
        alignas(max_align_t) unsigned char bytes[];
};

static void add_chunk(struct arena *a, size_t least) {
        size_t size = a->chunk ? a->chunk->size * 2 : CHUNK_MIN;
        if (size < least)
                size = least;
        struct arena_chunk *chunk = memory_grow(NULL, sizeof *chunk + size, 1);
        chunk->next = a->chunk;
        chunk->size = size;
        a->chunk = chunk;
        a->used = 0;
}

static void *arena_alloc(void *arena, size_t size) {
        struct arena *a = arena;
        if (size > PTRDIFF_MAX - alignof(max_align_t))
                return NULL;
        size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
        if (!a->chunk || a->chunk->size - a->used < size)
                add_chunk(a, size);
        void *piece = a->chunk->bytes + a->used;
        a->used += size;
        return piece;
}

static void arena_free(void *arena, void *piece) {
        (void)arena, (void)piece;
}

static void free_chunks(struct arena_chunk *chunk) {
        while (chunk) {
                struct arena_chunk *next = chunk->next;
                free(chunk);
                chunk = next;
        }
}

void arena_init(struct arena *a) {
        *a = (struct arena){.allocator = {.alloc = arena_alloc, .free = arena_free, .allocator_data = a}};
}

void arena_deinit(struct arena *a) {
        free_chunks(a->chunk);
        a->chunk = NULL;
}

void arena_reset(struct arena *a) {
        a->used = 0;
        if (!a->chunk)
                return;
        free_chunks(a->chunk->next);
        a->chunk->next = NULL;
}
