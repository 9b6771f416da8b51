/* SPDX-License-Identifier: Apache-2.0 */

/* Answers of a symbol helper. Called by helper_process.c and symbolizer.c, on pool threads. */

#include "daemon/symbol/symbol_answer.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)64 << 20) /* unpacked; the helper ends an answer at 4 MiB packed */

/* protobuf-c's allocator with a limit: a few bytes of a hostile message unpack to many. */
struct limited_memory {
        size_t used;
};

static void *limited_alloc(void *data, size_t bytes) {
        struct limited_memory *memory = data;
        if (bytes > MEMORY_MAX - memory->used)
                return NULL;
        memory->used += bytes;
        return malloc(bytes);
}

static void limited_free(void *data, void *pointer) {
        free(pointer);
}

Tracemallocd__Symbol__Resolved *symbol_answer_unpack(const uint8_t *message, size_t length) {
        struct limited_memory memory = {0};
        ProtobufCAllocator allocator = {.alloc = limited_alloc, .free = limited_free, .allocator_data = &memory};
        return tracemallocd__symbol__resolved__unpack(&allocator, length, message);
}

void symbol_answer_free(Tracemallocd__Symbol__Resolved *answer) {
        if (!answer)
                return;
        struct limited_memory memory = {0};
        ProtobufCAllocator allocator = {.alloc = limited_alloc, .free = limited_free, .allocator_data = &memory};
        tracemallocd__symbol__resolved__free_unpacked(answer, &allocator);
}

static struct snapshot_string text(const ProtobufCBinaryData *data) {
        return data->len ? (struct snapshot_string){(const char *)data->data, data->len} : (struct snapshot_string){0};
}

static int add_location(struct symbol_set *set, uint32_t module, uint64_t offset,
                        const Tracemallocd__Symbol__Location *location) {
        struct symbol_frame frames[SYMBOL_SET_FRAMES_MAX];
        size_t n = location->n_frames < SYMBOL_SET_FRAMES_MAX ? location->n_frames : SYMBOL_SET_FRAMES_MAX;
        for (size_t i = 0; i < n; i++)
                frames[i] = (struct symbol_frame){.function = text(&location->frames[i]->function),
                                                  .filename = text(&location->frames[i]->filename),
                                                  .lineno = location->frames[i]->lineno};
        return symbol_set_add(set, module, offset, frames, n);
}

int symbol_answer_take(const Tracemallocd__Symbol__Resolved *answer, struct symbol_set *set, uint32_t module,
                       const uint64_t *offsets, size_t n, size_t *n_donep) {
        *n_donep = 0;
        if (answer->closed)
                return SYMBOL_ANSWER_E_CLOSED;
        if (answer->problem[0]) {
                int r = symbol_set_examined(set, module, false, answer->problem, strlen(answer->problem));
                return r < 0 ? r : SYMBOL_ANSWER_E_PROBLEM;
        }
        if (answer->n_locations == 0 || answer->n_locations > n)
                return SYMBOL_ANSWER_E_GARBAGE;
        int r = symbol_set_examined(set, module, answer->has_lines, NULL, 0);
        for (size_t i = 0; r == 0 && i < answer->n_locations; i++) {
                r = add_location(set, module, offsets[i], answer->locations[i]);
                *n_donep += r == 0;
        }
        return r;
}
