/* SPDX-License-Identifier: Apache-2.0 */

/* Resolved source frames of native locations: two hash indexes over growing
 * arrays, and an arena for bytes and frames. Whoever owns the set calls it. */

#include "daemon/symbol/symbol_set.h"

#include "daemon/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES       (64 * 1024)
#define INDEX_BUCKETS_MIN 64 /* a power of two */

struct chunk {
        struct chunk *next;
        size_t used, size;
        alignas(16) char bytes[];
};

/* Open addressing over an array that is elsewhere: a bucket holds index + 1, 0 is empty. Nothing is ever removed. */
struct index {
        uint32_t *buckets;
        size_t n_buckets; /* a power of two, or 0 */
        size_t n_used;
};

struct symbol_set {
        struct chunk *chunks;
        struct index string_index, module_index, location_index;
        struct snapshot_string *strings;
        struct symbol_module *modules;
        struct symbol_location *locations;
        uint32_t n_strings, n_modules, n_locations;
        uint32_t strings_room, modules_room, locations_room;
};

static const struct symbol_frame no_frames[1];

/* FNV-1a with a final mix: keys are paths and small integers, no peer gains by collisions
 * beyond slowing its own lookups */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
        const unsigned char *p = bytes;
        for (size_t i = 0; i < length; i++)
                hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
        return hash;
}

static uint64_t hash_end(uint64_t hash) {
        hash ^= hash >> 32;
        hash *= UINT64_C(0xd6e8feb86659fd93);
        return hash ^ hash >> 32;
}

static uint64_t hash_string(const void *bytes, size_t length) {
        return hash_end(hash_bytes(UINT64_C(0xcbf29ce484222325), bytes, length));
}

static uint64_t hash_location(uint32_t module, uint64_t offset) {
        return hash_end(offset * UINT64_C(0x9e3779b97f4a7c15) + module);
}

static uint64_t hash_module(const void *path, size_t path_length, const uint8_t *build_id, size_t build_id_length) {
        uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), path, path_length);
        return hash_end(hash_bytes(hash, build_id, build_id_length));
}

static void *arena_alloc(struct symbol_set *set, size_t length) {
        length = (length + 15) & ~(size_t)15;
        struct chunk *chunk = set->chunks;
        if (!chunk || chunk->size - chunk->used < length) {
                size_t size = length > CHUNK_BYTES ? length : CHUNK_BYTES;
                chunk = malloc(sizeof *chunk + size);
                if (!chunk)
                        return NULL;
                *chunk = (struct chunk){.next = set->chunks, .size = size};
                set->chunks = chunk;
        }
        void *result = chunk->bytes + chunk->used;
        chunk->used += length;
        return result;
}

/* Make room for one more element. Return: 0; -ENOMEM. */
static int array_reserve(void *arrayp, uint32_t n, uint32_t *roomp, size_t element_size) {
        if (n < *roomp)
                return 0;
        if (n >= UINT32_MAX / 2)
                return -ENOMEM;
        uint32_t room = n ? n * 2 : 16;
        void **array = arrayp;
        void *grown = realloc(*array, room * element_size);
        if (!grown)
                return -ENOMEM;
        *array = grown;
        *roomp = room;
        return 0;
}

static uint64_t hash_of(const struct symbol_set *set, const struct index *index, uint32_t i) {
        if (index == &set->string_index)
                return hash_string(set->strings[i].bytes, set->strings[i].length);
        if (index == &set->location_index)
                return hash_location(set->locations[i].module, set->locations[i].offset);
        const struct symbol_module *module = &set->modules[i];
        return hash_module(module->path.bytes, module->path.length, module->build_id, module->build_id_length);
}

/* Room for one more entry, at most half full. Return: 0; -ENOMEM. */
static int index_reserve(const struct symbol_set *set, struct index *index) {
        if ((index->n_used + 1) * 2 <= index->n_buckets)
                return 0;
        size_t n_buckets = index->n_buckets ? index->n_buckets * 2 : INDEX_BUCKETS_MIN;
        uint32_t *buckets = calloc(n_buckets, sizeof *buckets);
        if (!buckets)
                return -ENOMEM;
        for (size_t i = 0; i < index->n_buckets; i++) {
                if (!index->buckets[i])
                        continue;
                size_t at = hash_of(set, index, index->buckets[i] - 1) & (n_buckets - 1);
                while (buckets[at])
                        at = (at + 1) & (n_buckets - 1);
                buckets[at] = index->buckets[i];
        }
        free(index->buckets);
        index->buckets = buckets;
        index->n_buckets = n_buckets;
        return 0;
}

/* After index_reserve() */
static void index_insert(struct index *index, uint64_t hash, uint32_t i) {
        size_t at = hash & (index->n_buckets - 1);
        while (index->buckets[at])
                at = (at + 1) & (index->n_buckets - 1);
        index->buckets[at] = i + 1;
        index->n_used++;
}

#define index_for_each(index, hash, i)                                                                                 \
        for (size_t at_ = (index)->n_buckets ? (hash) & ((index)->n_buckets - 1) : 0;                                  \
             (index)->n_buckets && (index)->buckets[at_] && ((i) = (index)->buckets[at_] - 1, true);                   \
             at_ = (at_ + 1) & ((index)->n_buckets - 1))

int symbol_set_new(struct symbol_set **setp) {
        struct symbol_set *set = calloc(1, sizeof *set);
        if (!set)
                return -ENOMEM;
        *setp = set;
        return 0;
}

struct symbol_set *symbol_set_free(struct symbol_set *set) {
        if (!set)
                return NULL;
        while (set->chunks) {
                struct chunk *next = set->chunks->next;
                free(set->chunks);
                set->chunks = next;
        }
        free(set->string_index.buckets);
        free(set->module_index.buckets);
        free(set->location_index.buckets);
        free(set->strings);
        free(set->modules);
        free(set->locations);
        free(set);
        return NULL;
}

int symbol_set_string(struct symbol_set *set, const void *bytes, size_t length, struct snapshot_string *stringp) {
        if (!bytes) {
                *stringp = (struct snapshot_string){0};
                return 0;
        }
        uint64_t hash = hash_string(bytes, length);
        uint32_t i;
        index_for_each(&set->string_index, hash, i) {
                if (set->strings[i].length == length && memcmp(set->strings[i].bytes, bytes, length) == 0) {
                        *stringp = set->strings[i];
                        return 0;
                }
        }
        if (array_reserve(&set->strings, set->n_strings, &set->strings_room, sizeof *set->strings) ||
            index_reserve(set, &set->string_index))
                return -ENOMEM;
        char *copy = arena_alloc(set, length + 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, bytes, length);
        copy[length] = '\0';
        set->strings[set->n_strings] = (struct snapshot_string){.bytes = copy, .length = length};
        index_insert(&set->string_index, hash, set->n_strings);
        *stringp = set->strings[set->n_strings++];
        return 0;
}

uint32_t symbol_set_find_module(const struct symbol_set *set, const void *path, size_t path_length,
                                const uint8_t *build_id, size_t build_id_length) {
        uint32_t i;
        index_for_each(&set->module_index, hash_module(path, path_length, build_id, build_id_length), i) {
                const struct symbol_module *module = &set->modules[i];
                if (module->path.length == path_length && module->build_id_length == build_id_length &&
                    memcmp(module->path.bytes, path, path_length) == 0 &&
                    (build_id_length == 0 || memcmp(module->build_id, build_id, build_id_length) == 0))
                        return i;
        }
        return SYMBOL_SET_NONE;
}

int symbol_set_module(struct symbol_set *set, const void *path, size_t path_length, const uint8_t *build_id,
                      size_t build_id_length, uint32_t *modulep) {
        assert(build_id_length <= SYMBOL_SET_BUILD_ID_MAX);
        uint32_t found = symbol_set_find_module(set, path, path_length, build_id, build_id_length);
        if (found != SYMBOL_SET_NONE) {
                *modulep = found;
                return 0;
        }
        if (array_reserve(&set->modules, set->n_modules, &set->modules_room, sizeof *set->modules) ||
            index_reserve(set, &set->module_index))
                return -ENOMEM;
        struct symbol_module module = {.build_id_length = (uint8_t)build_id_length};
        if (build_id_length)
                memcpy(module.build_id, build_id, build_id_length);
        if (symbol_set_string(set, path_length ? path : "", path_length, &module.path))
                return -ENOMEM;
        set->modules[set->n_modules] = module;
        index_insert(&set->module_index, hash_module(path, path_length, build_id, build_id_length), set->n_modules);
        *modulep = set->n_modules++;
        return 0;
}

int symbol_set_examined(struct symbol_set *set, uint32_t module, bool has_lines, const void *problem,
                        size_t problem_length) {
        assert(module < set->n_modules);
        struct snapshot_string text;
        if (symbol_set_string(set, problem, problem_length, &text))
                return -ENOMEM;
        set->modules[module].examined = true;
        set->modules[module].has_lines = has_lines;
        set->modules[module].problem = text;
        return 0;
}

static int copy_frames(struct symbol_set *set, const struct symbol_frame *frames, size_t n_frames,
                       const struct symbol_frame **copyp) {
        if (n_frames == 0) {
                *copyp = no_frames;
                return 0;
        }
        struct symbol_frame *copy = arena_alloc(set, n_frames * sizeof *copy);
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n_frames; i++) {
                copy[i].lineno = frames[i].lineno;
                if (symbol_set_string(set, frames[i].function.bytes, frames[i].function.length, &copy[i].function) ||
                    symbol_set_string(set, frames[i].filename.bytes, frames[i].filename.length, &copy[i].filename))
                        return -ENOMEM;
        }
        *copyp = copy;
        return 0;
}

static struct symbol_location *find_location(const struct symbol_set *set, uint32_t module, uint64_t offset) {
        uint32_t i;
        index_for_each(&set->location_index, hash_location(module, offset), i) {
                if (set->locations[i].module == module && set->locations[i].offset == offset)
                        return &set->locations[i];
        }
        return NULL;
}

int symbol_set_add(struct symbol_set *set, uint32_t module, uint64_t offset, const struct symbol_frame *frames,
                   size_t n_frames) {
        assert(module < set->n_modules);
        if (n_frames > SYMBOL_SET_FRAMES_MAX)
                n_frames = SYMBOL_SET_FRAMES_MAX;
        struct symbol_location location = {.module = module, .offset = offset, .n_frames = (uint32_t)n_frames};
        if (copy_frames(set, frames, n_frames, &location.frames))
                return -ENOMEM;
        struct symbol_location *known = find_location(set, module, offset);
        if (known) {
                *known = location;
                return 0;
        }
        if (array_reserve(&set->locations, set->n_locations, &set->locations_room, sizeof *set->locations) ||
            index_reserve(set, &set->location_index))
                return -ENOMEM;
        set->locations[set->n_locations] = location;
        index_insert(&set->location_index, hash_location(module, offset), set->n_locations++);
        return 0;
}

const struct symbol_frame *symbol_set_find(const struct symbol_set *set, uint32_t module, uint64_t offset,
                                           uint32_t *n_framesp) {
        const struct symbol_location *location = find_location(set, module, offset);
        if (!location)
                return NULL;
        *n_framesp = location->n_frames;
        return location->frames;
}

int symbol_set_merge(struct symbol_set *set, const struct symbol_set *from) {
        AUTO_FREE uint32_t *modules = calloc((size_t)from->n_modules + 1, sizeof *modules);
        if (!modules)
                return -ENOMEM;
        for (uint32_t i = 0; i < from->n_modules; i++) {
                const struct symbol_module *m = &from->modules[i];
                if (symbol_set_module(set, m->path.bytes, m->path.length, m->build_id, m->build_id_length, &modules[i]))
                        return -ENOMEM;
                if (m->examined &&
                    symbol_set_examined(set, modules[i], m->has_lines, m->problem.bytes, m->problem.length))
                        return -ENOMEM;
        }
        for (uint32_t i = 0; i < from->n_locations; i++) {
                const struct symbol_location *l = &from->locations[i];
                if (symbol_set_add(set, modules[l->module], l->offset, l->frames, l->n_frames))
                        return -ENOMEM;
        }
        return 0;
}

uint32_t symbol_set_n_modules(const struct symbol_set *set) {
        return set->n_modules;
}

const struct symbol_module *symbol_set_module_at(const struct symbol_set *set, uint32_t module) {
        assert(module < set->n_modules);
        return &set->modules[module];
}

uint32_t symbol_set_n_locations(const struct symbol_set *set) {
        return set->n_locations;
}

const struct symbol_location *symbol_set_location_at(const struct symbol_set *set, uint32_t index) {
        assert(index < set->n_locations);
        return &set->locations[index];
}
