/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/query/snapshot_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WORD_PARTS_MAX 4

#define ITEMS(array) ((void **)&(array))

/* One more zeroed element at the end of a snapshot's array. */
static void *append(void **array, uint64_t *n, size_t element_bytes) {
        *array = realloc(*array, (*n + 1) * element_bytes);
        assert(*array);
        return memset((char *)*array + (*n)++ * element_bytes, 0, element_bytes);
}

static void *append32(void **array, uint32_t *n, size_t element_bytes) {
        uint64_t n64 = *n;
        void *element = append(array, &n64, element_bytes);
        *n = (uint32_t)n64;
        return element;
}

static int hex_digit(char c) {
        assert((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
        return c <= '9' ? c - '0' : c - 'A' + 10;
}

size_t snapshot_text_unescape(char *word) {
        char *out = word;
        for (char *in = word; *in; in++) {
                if (*in == '%') {
                        *out++ = (char)(hex_digit(in[1]) << 4 | hex_digit(in[2]));
                        in += 2;
                } else {
                        *out++ = *in;
                }
        }
        *out = '\0';
        return (size_t)(out - word);
}

struct snapshot *snapshot_text_new(int64_t id) {
        struct snapshot *s = calloc(1, sizeof *s);
        assert(s);
        s->info.id = id;
        s->info.exact = s->info.sizes_known = s->info.allocated_known = true;
        s->info.name = s->info.exe = s->info.unit = s->info.cgroup = s->info.label = s->info.ended_by = (char *)"";
        append32(ITEMS(s->nodes), &s->n_nodes, sizeof *s->nodes);
        return s;
}

void snapshot_text_free(struct snapshot *s) {
        for (uint32_t i = 0; i < s->n_strings; i++)
                free((char *)s->strings[i].bytes);
        free((void *)s->strings);
        free((void *)s->modules);
        free((void *)s->locations);
        free((void *)s->nodes);
        free((void *)s->groups);
        free((void *)s->sizes);
        free((void *)s->domains);
        free(s);
}

static uint32_t add_string(struct snapshot *s, char *word) {
        size_t length = snapshot_text_unescape(word);
        char *bytes;
        for (uint32_t i = 0; i < s->n_strings; i++)
                if (s->strings[i].length == length && memcmp(s->strings[i].bytes, word, length) == 0)
                        return i;
        struct snapshot_string *string = append32(ITEMS(s->strings), &s->n_strings, sizeof *s->strings);
        bytes = malloc(length + 1);
        assert(bytes);
        memcpy(bytes, word, length + 1);
        string->bytes = bytes;
        string->length = length;
        return s->n_strings - 1;
}

static uint32_t add_module(struct snapshot *s, char *word) {
        uint32_t path = add_string(s, word);
        for (uint32_t i = 0; i < s->n_modules; i++)
                if (s->modules[i].path == path)
                        return i;
        struct snapshot_module *module = append32(ITEMS(s->modules), &s->n_modules, sizeof *s->modules);
        module->path = path;
        return s->n_modules - 1;
}

static size_t split(char *word, char **parts) {
        size_t n = 0;
        for (char *next = word; next;) {
                assert(n < WORD_PARTS_MAX);
                parts[n++] = strsep(&next, ",");
        }
        return n;
}

static uint32_t add_location(struct snapshot *s, char *word) {
        struct snapshot_location location;
        char *parts[WORD_PARTS_MAX] = {NULL};
        size_t n = split(word, parts);
        memset(&location, 0, sizeof location); /* padding too: it is compared below */
        location.module = location.filename = location.function = SNAPSHOT_NONE;
        location.kind = parts[0][0] == 's' ? LOCATION_SOURCE : LOCATION_NATIVE;
        if (location.kind == LOCATION_SOURCE) {
                location.filename = add_string(s, parts[1]);
                location.lineno = (uint32_t)strtoul(parts[2], NULL, 10);
                location.function = n > 3 ? add_string(s, parts[3]) : SNAPSHOT_NONE;
        } else if (n > 1) {
                location.module = add_module(s, parts[1]);
                location.offset = strtoull(parts[2], NULL, 0);
        }
        for (uint32_t i = 0; i < s->n_locations; i++)
                if (memcmp(&s->locations[i], &location, sizeof location) == 0)
                        return i;
        *(struct snapshot_location *)append32(ITEMS(s->locations), &s->n_locations, sizeof location) = location;
        return s->n_locations - 1;
}

static uint32_t add_node(struct snapshot *s, uint32_t parent, uint32_t location) {
        for (uint32_t i = 1; i < s->n_nodes; i++)
                if (s->nodes[i].parent == parent && s->nodes[i].location == location)
                        return i;
        struct snapshot_node *node = append32(ITEMS(s->nodes), &s->n_nodes, sizeof *s->nodes);
        node->parent = parent;
        node->location = location;
        return s->n_nodes - 1;
}

static struct snapshot_group *add_group(struct snapshot *s, uint32_t domain, uint32_t total_nframe, char **frames,
                                        size_t n_frames) {
        struct snapshot_group *group;
        uint32_t node = 0;
        for (size_t i = 0; i < n_frames; i++)
                node = add_node(s, node, add_location(s, frames[i]));
        for (uint32_t i = 0; i < s->n_groups; i++) {
                group = (struct snapshot_group *)&s->groups[i];
                if (group->domain == domain && group->node == node && group->total_nframe == total_nframe)
                        return group;
        }
        group = append32(ITEMS(s->groups), &s->n_groups, sizeof *s->groups);
        group->domain = domain;
        group->node = node;
        group->total_nframe = total_nframe;
        return group;
}

/* Keeps the sizes of a group together and ascending by moving those of later groups. */
static void add_size(struct snapshot *s, struct snapshot_group *group, uint64_t size, uint64_t count) {
        struct snapshot_size *sizes;
        uint64_t at;
        if (group->n_sizes == 0)
                group->first_size = s->n_sizes;
        sizes = (struct snapshot_size *)s->sizes;
        for (at = group->first_size; at < group->first_size + group->n_sizes && sizes[at].size <= size; at++)
                if (sizes[at].size == size) {
                        sizes[at].count += count;
                        return;
                }
        append(ITEMS(s->sizes), &s->n_sizes, sizeof *s->sizes);
        sizes = (struct snapshot_size *)s->sizes;
        memmove(&sizes[at + 1], &sizes[at], (s->n_sizes - 1 - at) * sizeof *sizes);
        sizes[at] = (struct snapshot_size){size, count};
        group->n_sizes++;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                struct snapshot_group *other = (struct snapshot_group *)&s->groups[i];
                if (other != group && other->n_sizes > 0 && other->first_size >= at)
                        other->first_size++;
        }
}

void snapshot_text_blocks(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                          char **frames, size_t n_frames) {
        struct snapshot_group *group = add_group(s, domain, total_nframe, frames, n_frames);
        group->size += size * count;
        group->count += count;
        s->info.size += size * count;
        s->info.count += count;
        add_size(s, group, size, count);
}

void snapshot_text_sum(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                       char **frames, size_t n_frames) {
        struct snapshot_group *group = add_group(s, domain, total_nframe, frames, n_frames);
        group->size += size;
        group->count += count;
        s->info.size += size;
        s->info.count += count;
        s->info.sizes_known = s->info.allocated_known = false;
        s->info.kind = SNAPSHOT_PEAK;
}

void snapshot_text_allocated(struct snapshot *s, uint32_t domain, uint32_t total_nframe, uint64_t size, uint64_t count,
                             char **frames, size_t n_frames) {
        struct snapshot_group *group = add_group(s, domain, total_nframe, frames, n_frames);
        group->allocated_size += size;
        group->allocated_count += count;
}

void snapshot_text_domain(struct snapshot *s, uint32_t number, char *name) {
        uint32_t string = add_string(s, name);
        struct snapshot_domain *domain = append32(ITEMS(s->domains), &s->n_domains, sizeof *s->domains);
        domain->number = number;
        domain->name = string;
}

void snapshot_text_symbol(struct symbol_set *symbols, char *module, uint64_t offset, char **frames, size_t n_frames) {
        struct symbol_frame *symbol_frames = calloc(n_frames + 1, sizeof *symbol_frames);
        char *parts[WORD_PARTS_MAX];
        uint32_t id;
        assert(symbol_frames);
        int r = symbol_set_module(symbols, module, snapshot_text_unescape(module), NULL, 0, &id);
        for (size_t i = 0; i < n_frames; i++) {
                size_t n = split(frames[i], parts);
                assert(n == 4);
                symbol_frames[i].filename = (struct snapshot_string){parts[1], snapshot_text_unescape(parts[1])};
                symbol_frames[i].lineno = (uint32_t)strtoul(parts[2], NULL, 10);
                symbol_frames[i].function = (struct snapshot_string){parts[3], snapshot_text_unescape(parts[3])};
                if (symbol_frames[i].filename.length == 0)
                        symbol_frames[i].filename.bytes = NULL;
                if (symbol_frames[i].function.length == 0)
                        symbol_frames[i].function.bytes = NULL;
        }
        if (r == 0)
                r = symbol_set_add(symbols, id, offset, symbol_frames, n_frames);
        assert(r == 0);
        free(symbol_frames);
}
