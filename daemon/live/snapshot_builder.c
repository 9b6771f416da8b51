/* SPDX-License-Identifier: Apache-2.0 */

/* Makes snapshots. One thread at a time; called by image_snapshot.c, the store and the importer. */

#include "daemon/live/index_table.h"
#include "daemon/live/snapshot_object.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64 * 1024) /* of text; longer strings have a chunk of their own */
#define ARRAY_MIN   16
#define GROW_PIECE  2048 /* items of an index: their pages are new, 2 us each */
#define SORT_PIECE  4096 /* sizes: 64 KiB */

struct snapshot_builder {
        struct snapshot_object *object;
        /* the same arrays as in object->snapshot, writable */
        struct snapshot_string *strings;
        struct snapshot_module *modules;
        struct snapshot_location *locations;
        struct snapshot_node *nodes;
        uint16_t *depths; /* of nodes, while more may come */
        struct snapshot_group *groups;
        struct snapshot_domain *domains;
        struct snapshot_size *sizes;
        uint32_t *size_groups; /* of each, whose it is: an array of its own, 20 bytes for both and not 24 */
        size_t strings_capacity, modules_capacity, locations_capacity, nodes_capacity, depths_capacity, groups_capacity,
                domains_capacity, sizes_capacity, size_groups_capacity;
        uint32_t n_sizes;
        struct index_table string_index, module_index, location_index, node_index, group_index, size_index;
};

/* Room for one more item. */
static int array_grow(void **arrayp, size_t *capacityp, size_t n, size_t item_bytes) {
        if (n < *capacityp)
                return 0;
        if (n >= INDEX_TABLE_NONE - 1)
                return -ENOMEM;
        size_t capacity = *capacityp ? 2 * *capacityp : ARRAY_MIN;
        void *array = realloc(*arrayp, capacity * item_bytes);
        if (!array)
                return -ENOMEM;
        *arrayp = array;
        *capacityp = capacity;
        return 0;
}

#define GROW(b, array, n) array_grow((void **)&(b)->array, &(b)->array##_capacity, n, sizeof *(b)->array)

int snapshot_builder_new(struct snapshot_builder **builderp) {
        struct snapshot_builder *b = calloc(1, sizeof *b);
        if (!b)
                return -ENOMEM;
        b->object = calloc(1, sizeof *b->object);
        if (!b->object || GROW(b, nodes, 0) || GROW(b, depths, 0)) {
                snapshot_builder_free(b);
                return -ENOMEM;
        }
        b->nodes[0] = (struct snapshot_node){.parent = 0, .location = SNAPSHOT_NONE};
        b->depths[0] = 0;
        b->object->snapshot.n_nodes = 1;
        *builderp = b;
        return 0;
}

void snapshot_builder_nodes_done(struct snapshot_builder *b) {
        index_table_deinit(&b->node_index);
        free(b->depths);
        b->depths = NULL;
}

static void free_tables(struct snapshot_builder *b) {
        snapshot_builder_nodes_done(b);
        index_table_deinit(&b->string_index);
        index_table_deinit(&b->module_index);
        index_table_deinit(&b->location_index);
        index_table_deinit(&b->group_index);
        index_table_deinit(&b->size_index);
        free(b->size_groups);
}

struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *b) {
        if (!b)
                return NULL;
        free_tables(b);
        free(b->sizes);
        free(b->strings);
        free(b->modules);
        free(b->locations);
        free(b->nodes);
        free(b->groups);
        free(b->domains);
        if (b->object)
                snapshot_object_free(b->object);
        free(b);
        return NULL;
}

struct snapshot_info *snapshot_builder_info(struct snapshot_builder *b) {
        return &b->object->snapshot.info;
}

/* Copies text to where it stays, with a NUL behind. */
static const char *keep_text(struct snapshot_builder *b, const void *bytes, size_t length) {
        struct snapshot_chunk *chunk = b->object->chunks;
        if (!chunk || chunk->capacity - chunk->used <= length) {
                size_t capacity = length + 1 > CHUNK_BYTES ? length + 1 : CHUNK_BYTES;
                chunk = malloc(sizeof *chunk + capacity);
                if (!chunk)
                        return NULL;
                *chunk = (struct snapshot_chunk){.next = b->object->chunks, .capacity = capacity};
                b->object->chunks = chunk;
        }
        char *text = chunk->bytes + chunk->used;
        if (length)
                memcpy(text, bytes, length);
        text[length] = '\0';
        chunk->used += length + 1;
        return text;
}

static uint32_t hash_of_string(const void *owner, uint32_t index) {
        const struct snapshot_string *string = &((const struct snapshot_builder *)owner)->strings[index];
        return index_hash_bytes(string->bytes, string->length);
}

int snapshot_builder_string(struct snapshot_builder *b, const void *bytes, size_t length, uint32_t *indexp) {
        uint32_t hash = index_hash_bytes(bytes, length), cursor = hash, index;
        while ((index = index_table_next(&b->string_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                const struct snapshot_string *string = &b->strings[index];
                if (string->length == length && (length == 0 || memcmp(string->bytes, bytes, length) == 0)) {
                        *indexp = index;
                        return 0;
                }
        }
        uint32_t n = b->object->snapshot.n_strings;
        if (GROW(b, strings, n) || index_table_reserve(&b->string_index, n, hash_of_string, b))
                return -ENOMEM;
        const char *text = keep_text(b, bytes, length);
        if (!text)
                return -ENOMEM;
        b->strings[n] = (struct snapshot_string){.bytes = text, .length = length};
        index_table_put(&b->string_index, hash, n);
        b->object->snapshot.n_strings++;
        *indexp = n;
        return 0;
}

static uint32_t hash_module(const struct snapshot_module *m) {
        return index_hash_words(m->path, index_hash_bytes(m->build_id, sizeof m->build_id));
}

static uint32_t hash_of_module(const void *owner, uint32_t index) {
        return hash_module(&((const struct snapshot_builder *)owner)->modules[index]);
}

int snapshot_builder_module(struct snapshot_builder *b, const void *path, size_t path_length, const uint8_t *build_id,
                            size_t build_id_length, uint32_t *indexp) {
        struct snapshot_module module = {};
        assert(build_id_length <= sizeof module.build_id);
        int r = snapshot_builder_string(b, path, path_length, &module.path);
        if (r)
                return r;
        if (build_id_length)
                memcpy(module.build_id, build_id, build_id_length);
        module.build_id_length = (uint8_t)build_id_length;
        uint32_t hash = hash_module(&module), cursor = hash, index;
        while ((index = index_table_next(&b->module_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                const struct snapshot_module *m = &b->modules[index];
                if (m->path == module.path && m->build_id_length == module.build_id_length &&
                    memcmp(m->build_id, module.build_id, sizeof m->build_id) == 0) {
                        *indexp = index;
                        return 0;
                }
        }
        uint32_t n = b->object->snapshot.n_modules;
        if (GROW(b, modules, n) || index_table_reserve(&b->module_index, n, hash_of_module, b))
                return -ENOMEM;
        b->modules[n] = module;
        index_table_put(&b->module_index, hash, n);
        b->object->snapshot.n_modules++;
        *indexp = n;
        return 0;
}

/* Only what means something for its kind, so that equal locations have equal fields. */
static struct snapshot_location normalise(const struct snapshot_location *l) {
        if (l->kind == LOCATION_NATIVE)
                return (struct snapshot_location){.kind = l->kind,
                                                  .module = l->module,
                                                  .offset = l->offset,
                                                  .filename = SNAPSHOT_NONE,
                                                  .function = SNAPSHOT_NONE};
        return (struct snapshot_location){.kind = l->kind,
                                          .module = SNAPSHOT_NONE,
                                          .filename = l->filename,
                                          .function = l->function,
                                          .lineno = l->lineno};
}

static uint32_t hash_location(const struct snapshot_location *l) {
        return index_hash_words(l->offset ^ (uint64_t)l->lineno << 32 ^ l->filename,
                                (uint64_t)l->module << 32 ^ l->function ^ (uint64_t)l->kind << 63);
}

static uint32_t hash_of_location(const void *owner, uint32_t index) {
        return hash_location(&((const struct snapshot_builder *)owner)->locations[index]);
}

int snapshot_builder_location(struct snapshot_builder *b, const struct snapshot_location *location, uint32_t *indexp) {
        struct snapshot_location l = normalise(location);
        uint32_t hash = hash_location(&l), cursor = hash, index;
        while ((index = index_table_next(&b->location_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                const struct snapshot_location *o = &b->locations[index];
                if (o->kind == l.kind && o->module == l.module && o->offset == l.offset && o->filename == l.filename &&
                    o->function == l.function && o->lineno == l.lineno) {
                        *indexp = index;
                        return 0;
                }
        }
        uint32_t n = b->object->snapshot.n_locations;
        if (GROW(b, locations, n) || index_table_reserve(&b->location_index, n, hash_of_location, b))
                return -ENOMEM;
        b->locations[n] = l;
        index_table_put(&b->location_index, hash, n);
        b->object->snapshot.n_locations++;
        *indexp = n;
        return 0;
}

static uint32_t hash_node(uint32_t parent, uint32_t location) {
        return index_hash_words(parent, location);
}

static uint32_t hash_of_node(const void *owner, uint32_t index) {
        const struct snapshot_node *node = &((const struct snapshot_builder *)owner)->nodes[index];
        return hash_node(node->parent, node->location);
}

int snapshot_builder_node(struct snapshot_builder *b, uint32_t parent, uint32_t location, uint32_t *indexp) {
        uint32_t n = b->object->snapshot.n_nodes;
        assert(parent < n && b->depths);
        uint32_t hash = hash_node(parent, location), cursor = hash, index;
        while ((index = index_table_next(&b->node_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (b->nodes[index].parent == parent && b->nodes[index].location == location) {
                        *indexp = index;
                        return 0;
                }
        }
        if (GROW(b, nodes, n) || GROW(b, depths, n) || index_table_reserve(&b->node_index, n, hash_of_node, b))
                return -ENOMEM;
        b->nodes[n] = (struct snapshot_node){.parent = parent, .location = location};
        b->depths[n] = b->depths[parent] < SNAPSHOT_DEPTH_MAX ? b->depths[parent] + 1 : SNAPSHOT_DEPTH_MAX;
        index_table_put(&b->node_index, hash, n);
        b->object->snapshot.n_nodes++;
        *indexp = n;
        return 0;
}

static uint32_t hash_group(uint32_t domain, uint32_t node, uint32_t total_nframe) {
        return index_hash_words((uint64_t)domain << 32 | node, total_nframe);
}

static uint32_t hash_of_group(const void *owner, uint32_t index) {
        const struct snapshot_group *g = &((const struct snapshot_builder *)owner)->groups[index];
        return hash_group(g->domain, g->node, g->total_nframe);
}

int snapshot_builder_group(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                           uint32_t *groupp) {
        assert(node < b->object->snapshot.n_nodes);
        uint32_t hash = hash_group(domain, node, total_nframe), cursor = hash, index;
        while ((index = index_table_next(&b->group_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                const struct snapshot_group *g = &b->groups[index];
                if (g->domain == domain && g->node == node && g->total_nframe == total_nframe) {
                        *groupp = index;
                        return 0;
                }
        }
        uint32_t n = b->object->snapshot.n_groups;
        if (GROW(b, groups, n) || index_table_reserve(&b->group_index, n, hash_of_group, b))
                return -ENOMEM;
        b->groups[n] = (struct snapshot_group){.domain = domain, .node = node, .total_nframe = total_nframe};
        index_table_put(&b->group_index, hash, n);
        b->object->snapshot.n_groups++;
        *groupp = n;
        return 0;
}

static int add_size(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count) {
        struct snapshot_group *g = &b->groups[group];
        if (GROW(b, sizes, b->n_sizes) || GROW(b, size_groups, b->n_sizes))
                return -ENOMEM;
        b->sizes[b->n_sizes] = (struct snapshot_size){.size = size, .count = count};
        b->size_groups[b->n_sizes++] = group;
        g->n_sizes++;
        g->size += size * count;
        g->count += count;
        return 0;
}

static uint32_t hash_size(uint32_t group, uint64_t size) {
        return index_hash_words(group, size);
}

static uint32_t hash_of_size(const void *owner, uint32_t index) {
        const struct snapshot_builder *b = owner;
        return hash_size(b->size_groups[index], b->sizes[index].size);
}

int snapshot_builder_group_block(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count) {
        struct snapshot_group *g = &b->groups[group];
        uint32_t hash = hash_size(group, size), cursor = hash, index;
        while ((index = index_table_next(&b->size_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (b->size_groups[index] == group && b->sizes[index].size == size) {
                        b->sizes[index].count += count;
                        g->size += size * count;
                        g->count += count;
                        return 0;
                }
        }
        if (index_table_reserve(&b->size_index, b->n_sizes, hash_of_size, b) || add_size(b, group, size, count))
                return -ENOMEM;
        index_table_put(&b->size_index, hash, b->n_sizes - 1);
        return 0;
}

bool snapshot_builder_grow_ahead(struct snapshot_builder *b) {
        return index_table_grow_ahead(&b->node_index, GROW_PIECE, hash_of_node, b) ||
               index_table_grow_ahead(&b->group_index, GROW_PIECE, hash_of_group, b) ||
               index_table_grow_ahead(&b->size_index, GROW_PIECE, hash_of_size, b);
}

int snapshot_builder_group_sizes(struct snapshot_builder *b, uint32_t group, const struct snapshot_size *sizes,
                                 uint32_t n_sizes) {
        assert(b->groups[group].n_sizes == 0);
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < n_sizes; i++)
                r = add_size(b, group, sizes[i].size, sizes[i].count);
        return r;
}

int snapshot_builder_block(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                           uint64_t size, uint64_t count) {
        uint32_t group;
        int r = snapshot_builder_group(b, domain, node, total_nframe, &group);
        return r ? r : snapshot_builder_group_block(b, group, size, count);
}

void snapshot_builder_group_sum(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count) {
        b->groups[group].size += size;
        b->groups[group].count += count;
}

void snapshot_builder_group_allocated(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count) {
        b->groups[group].allocated_size += size;
        b->groups[group].allocated_count += count;
}

uint32_t snapshot_builder_depth(const struct snapshot_builder *b, uint32_t node) {
        return b->depths[node];
}

uint32_t snapshot_builder_node_location(const struct snapshot_builder *b, uint32_t node) {
        return b->nodes[node].location;
}

int snapshot_builder_sum(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                         uint64_t size, uint64_t count) {
        uint32_t group;
        int r = snapshot_builder_group(b, domain, node, total_nframe, &group);
        if (r == 0)
                snapshot_builder_group_sum(b, group, size, count);
        return r;
}

int snapshot_builder_allocated(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                               uint64_t size, uint64_t count) {
        uint32_t group;
        int r = snapshot_builder_group(b, domain, node, total_nframe, &group);
        if (r == 0)
                snapshot_builder_group_allocated(b, group, size, count);
        return r;
}

int snapshot_builder_domain(struct snapshot_builder *b, uint32_t number, const void *name, size_t length) {
        uint32_t n = b->object->snapshot.n_domains;
        struct snapshot_domain domain = {.number = number};
        int r = snapshot_builder_string(b, name, length, &domain.name);
        if (r)
                return r;
        for (uint32_t i = 0; i < n; i++) {
                if (b->domains[i].number == number) {
                        b->domains[i] = domain;
                        return 0;
                }
        }
        if (GROW(b, domains, n))
                return -ENOMEM;
        b->domains[n] = domain;
        b->object->snapshot.n_domains++;
        return 0;
}

static int compare_sizes(const void *a, const void *b) {
        const struct snapshot_size *x = a, *y = b;
        return (x->size > y->size) - (x->size < y->size);
}

/* Those without the bit to the front. Return: how many. */
static uint32_t divide_sizes(struct snapshot_size *sizes, uint32_t n, uint64_t bit) {
        uint32_t n_without = 0;
        for (uint32_t i = 0; i < n; i++) {
                if (sizes[i].size & bit)
                        continue;
                struct snapshot_size size = sizes[i];
                sizes[i] = sizes[n_without];
                sizes[n_without++] = size;
        }
        return n_without;
}

/* qsort() takes as much memory again as it sorts: only small pieces are left to it.
 * @bit: no higher one differs */
static void sort_pieces(struct snapshot_size *sizes, uint32_t n, uint64_t bit) {
        for (; n > SORT_PIECE && bit; bit >>= 1) {
                uint32_t n_without = divide_sizes(sizes, n, bit);
                sort_pieces(sizes, n_without, bit >> 1);
                sizes += n_without;
                n -= n_without;
        }
        qsort(sizes, n, sizeof *sizes, compare_sizes);
}

/* Those that come from the store are in order already. */
static void sort_sizes(struct snapshot_size *sizes, uint32_t n) {
        uint64_t differing = 0;
        bool ascending = true;
        for (uint32_t i = 1; i < n; i++) {
                differing |= sizes[i].size ^ sizes[0].size;
                ascending = ascending && sizes[i - 1].size <= sizes[i].size;
        }
        if (!ascending)
                sort_pieces(sizes, n, UINT64_C(1) << (63 - __builtin_clzll(differing)));
}

/* Where each size belongs, behind those of the groups before its own, in place of which group that is. */
static uint32_t *find_places(struct snapshot_builder *b, const struct snapshot *s) {
        uint32_t first = 0;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                b->groups[i].first_size = first;
                first += b->groups[i].n_sizes;
                b->groups[i].n_sizes = 0; /* counted again below */
        }
        for (uint32_t i = 0; i < b->n_sizes; i++) {
                struct snapshot_group *g = &b->groups[b->size_groups[i]];
                b->size_groups[i] = g->first_size + g->n_sizes++;
        }
        return b->size_groups;
}

static void exchange(struct snapshot_size *sizes, uint32_t *places, uint32_t i, uint32_t j) {
        struct snapshot_size size = sizes[i];
        uint32_t place = places[i];
        sizes[i] = sizes[j];
        places[i] = places[j];
        sizes[j] = size;
        places[j] = place;
}

/* Sizes into the order of their groups, ascending in each. In place, and without the index, which nobody needs any
 * more: of blocks that are all different a second array of them would be as large as the trace table. Each exchange
 * brings one to where it belongs, so there are fewer of them than sizes. */
static void place_sizes(struct snapshot_builder *b, struct snapshot *s) {
        index_table_deinit(&b->size_index);
        uint32_t *places = find_places(b, s);
        for (uint32_t i = 0; i < b->n_sizes; i++) {
                while (places[i] != i)
                        exchange(b->sizes, places, i, places[i]);
        }
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &b->groups[i];
                if (g->n_sizes)
                        sort_sizes(b->sizes + g->first_size, g->n_sizes);
        }
        s->n_sizes = b->n_sizes;
}

/* Without what they could have grown by. */
static int hand_over_sizes(struct snapshot_builder *b, struct snapshot *s) {
        struct snapshot_size *sizes = b->n_sizes ? realloc(b->sizes, b->n_sizes * sizeof *sizes) : b->sizes;
        if (b->n_sizes && !sizes)
                return -ENOMEM;
        s->sizes = sizes;
        b->sizes = NULL;
        return 0;
}

static int fill_text(char **textp) {
        if (!*textp)
                *textp = strdup("");
        return *textp ? 0 : -ENOMEM;
}

static void count_totals(const struct snapshot_builder *b, struct snapshot *s) {
        s->info.size = s->info.count = s->info.traces = 0;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &b->groups[i];
                s->info.size += g->size;
                s->info.count += g->count;
                s->info.traces += g->n_sizes ? g->n_sizes : g->count > 0;
        }
}

int snapshot_builder_finish(struct snapshot_builder *b, struct snapshot **snapshotp) {
        struct snapshot *s = &b->object->snapshot;
        struct snapshot_info *info = &s->info;
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++) {
                if (fill_text(&info->texts[i]))
                        return -ENOMEM;
        }
        place_sizes(b, s);
        if (hand_over_sizes(b, s))
                return -ENOMEM;
        count_totals(b, s);
        s->strings = b->strings;
        s->modules = b->modules;
        s->locations = b->locations;
        s->nodes = b->nodes;
        s->groups = b->groups;
        s->domains = b->domains;
        atomic_init(&b->object->refs, 1);
        free_tables(b);
        free(b);
        *snapshotp = s;
        return 0;
}
