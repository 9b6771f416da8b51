/* SPDX-License-Identifier: Apache-2.0 */

/* The builder interns by hash indexes over growing arrays; finish() sorts the sizes and hands the arrays over to the
 * snapshot. One thread builds; any thread refs and unrefs. */

#include "daemon/live/snapshot.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 64 /* a power of two */

/* A bucket holds index + 1 of an element of some array, 0 is free. */
struct interned {
        uint32_t *buckets;
        size_t n_buckets;
        uint32_t n;  /* elements of the array */
        size_t room; /* of the array */
};

struct sized {
        uint32_t group;
        struct snapshot_size entry;
};

struct snapshot_private {
        struct snapshot public;
        atomic_uint refs;
};

struct snapshot_builder {
        struct snapshot_info info;
        struct snapshot_string *strings;
        struct snapshot_module *modules;
        struct snapshot_location *locations;
        struct snapshot_node *nodes;
        struct snapshot_group *groups;
        struct snapshot_domain *domains;
        struct sized *sizes;
        struct interned by_string, by_module, by_location, by_node, by_group, by_domain, by_size;
};

static uint64_t mix(uint64_t hash, uint64_t value) {
        hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

static uint64_t hash_bytes(const void *bytes, size_t length) {
        const unsigned char *p = bytes;
        uint64_t hash = length, word;
        for (; length >= sizeof word; p += sizeof word, length -= sizeof word) {
                memcpy(&word, p, sizeof word);
                hash = mix(hash, word);
        }
        word = 0;
        memcpy(&word, p, length);
        return mix(hash, word);
}

static uint64_t hash_element(const struct snapshot_builder *b, const struct interned *in, uint32_t i) {
        if (in == &b->by_string)
                return hash_bytes(b->strings[i].bytes, b->strings[i].length);
        if (in == &b->by_module)
                return mix(hash_bytes(b->modules[i].build_id, b->modules[i].build_id_length), b->modules[i].path);
        if (in == &b->by_location) {
                const struct snapshot_location *l = &b->locations[i];
                uint64_t hash = mix(mix(mix(l->kind, l->module), l->offset), l->filename);
                return mix(mix(hash, l->function), l->lineno);
        }
        if (in == &b->by_node)
                return mix(mix(1, b->nodes[i].parent), b->nodes[i].location);
        if (in == &b->by_group)
                return mix(mix(mix(1, b->groups[i].domain), b->groups[i].node), b->groups[i].total_nframe);
        if (in == &b->by_domain)
                return mix(1, b->domains[i].number);
        return mix(mix(1, b->sizes[i].group), b->sizes[i].entry.size);
}

static bool equal_elements(const struct snapshot_builder *b, const struct interned *in, uint32_t i, uint32_t j) {
        if (in == &b->by_string)
                return b->strings[i].length == b->strings[j].length &&
                       memcmp(b->strings[i].bytes, b->strings[j].bytes, b->strings[i].length) == 0;
        if (in == &b->by_module)
                return b->modules[i].path == b->modules[j].path &&
                       b->modules[i].build_id_length == b->modules[j].build_id_length &&
                       memcmp(b->modules[i].build_id, b->modules[j].build_id, b->modules[i].build_id_length) == 0;
        if (in == &b->by_location) {
                const struct snapshot_location *x = &b->locations[i], *y = &b->locations[j];
                return x->kind == y->kind && x->module == y->module && x->offset == y->offset &&
                       x->filename == y->filename && x->function == y->function && x->lineno == y->lineno;
        }
        if (in == &b->by_node)
                return b->nodes[i].parent == b->nodes[j].parent && b->nodes[i].location == b->nodes[j].location;
        if (in == &b->by_group)
                return b->groups[i].domain == b->groups[j].domain && b->groups[i].node == b->groups[j].node &&
                       b->groups[i].total_nframe == b->groups[j].total_nframe;
        if (in == &b->by_domain)
                return b->domains[i].number == b->domains[j].number;
        return b->sizes[i].group == b->sizes[j].group && b->sizes[i].entry.size == b->sizes[j].entry.size;
}

static int grow_buckets(struct snapshot_builder *b, struct interned *in) {
        if (((size_t)in->n + 1) * 2 <= in->n_buckets)
                return 0;
        size_t n_buckets = in->n_buckets ? in->n_buckets * 2 : BUCKETS_MIN;
        uint32_t *buckets = calloc(n_buckets, sizeof *buckets);
        if (!buckets)
                return -ENOMEM;
        for (uint32_t i = 0; i < in->n; i++) {
                size_t at = hash_element(b, in, i) & (n_buckets - 1);
                while (buckets[at])
                        at = (at + 1) & (n_buckets - 1);
                buckets[at] = i + 1;
        }
        free(in->buckets);
        in->buckets = buckets;
        in->n_buckets = n_buckets;
        return 0;
}

/* Room for one element behind the last, in which the caller then writes the candidate for intern(). */
static int reserve(struct snapshot_builder *b, struct interned *in, void *arrayp, size_t element_size) {
        if (in->n == UINT32_MAX - 1)
                return -ENOMEM;
        if (in->n == in->room) {
                size_t room = in->room ? in->room * 2 : 16;
                void **array = arrayp, *grown = reallocarray(*array, room, element_size);
                if (!grown)
                        return -ENOMEM;
                *array = grown;
                in->room = room;
        }
        return grow_buckets(b, in);
}

/* Find the candidate's equal, or make it an element. Return: whether it is new. */
static bool intern(struct snapshot_builder *b, struct interned *in, uint32_t *indexp) {
        size_t at = hash_element(b, in, in->n) & (in->n_buckets - 1);
        for (; in->buckets[at]; at = (at + 1) & (in->n_buckets - 1)) {
                if (equal_elements(b, in, in->buckets[at] - 1, in->n)) {
                        *indexp = in->buckets[at] - 1;
                        return false;
                }
        }
        in->buckets[at] = in->n + 1;
        *indexp = in->n++;
        return true;
}

/* Undo the intern() that was last */
static void forget(struct snapshot_builder *b, struct interned *in) {
        size_t at = hash_element(b, in, --in->n) & (in->n_buckets - 1);
        while (in->buckets[at] != in->n + 1)
                at = (at + 1) & (in->n_buckets - 1);
        in->buckets[at] = 0; /* the last inserted ends its run of buckets: nothing behind it was pushed on by it */
}

int snapshot_builder_new(struct snapshot_builder **builderp) {
        struct snapshot_builder *b = calloc(1, sizeof *b);
        if (!b || reserve(b, &b->by_node, &b->nodes, sizeof *b->nodes)) {
                snapshot_builder_free(b);
                return -ENOMEM;
        }
        uint32_t root;
        b->nodes[0] = (struct snapshot_node){.parent = SNAPSHOT_NONE, .location = SNAPSHOT_NONE};
        /* until finish(), so that no other node is taken for it */
        intern(b, &b->by_node, &root);
        *builderp = b;
        return 0;
}

static void free_indexes(struct snapshot_builder *b) {
        struct interned *const all[] = {&b->by_string, &b->by_module, &b->by_location, &b->by_node,
                                        &b->by_group,  &b->by_domain, &b->by_size};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
                free(all[i]->buckets);
}

static void free_info(struct snapshot_info *info) {
        free(info->name);
        free(info->exe);
        free(info->unit);
        free(info->cgroup);
        free(info->label);
        free(info->ended_by);
}

struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *b) {
        if (!b)
                return NULL;
        for (uint32_t i = 0; i < b->by_string.n; i++)
                free((void *)(uintptr_t)b->strings[i].bytes);
        free_indexes(b);
        free(b->strings);
        free(b->modules);
        free(b->locations);
        free(b->nodes);
        free(b->groups);
        free(b->domains);
        free(b->sizes);
        free_info(&b->info);
        free(b);
        return NULL;
}

struct snapshot_info *snapshot_builder_info(struct snapshot_builder *b) {
        return &b->info;
}

int snapshot_builder_string(struct snapshot_builder *b, const void *bytes, size_t length, uint32_t *indexp) {
        if (reserve(b, &b->by_string, &b->strings, sizeof *b->strings))
                return -ENOMEM;
        b->strings[b->by_string.n] = (struct snapshot_string){.bytes = bytes, .length = length};
        if (!intern(b, &b->by_string, indexp))
                return 0;
        char *copy = malloc(length + 1);
        if (!copy) {
                forget(b, &b->by_string);
                return -ENOMEM;
        }
        memcpy(copy, bytes, length);
        copy[length] = '\0';
        b->strings[*indexp].bytes = copy;
        return 0;
}

int snapshot_builder_module(struct snapshot_builder *b, const void *path, size_t path_length, const uint8_t *build_id,
                            size_t build_id_length, uint32_t *indexp) {
        struct snapshot_module module = {0};
        if (build_id_length > sizeof module.build_id)
                build_id_length = sizeof module.build_id;
        if (build_id_length)
                memcpy(module.build_id, build_id, build_id_length);
        module.build_id_length = (uint8_t)build_id_length;
        if (snapshot_builder_string(b, path, path_length, &module.path) ||
            reserve(b, &b->by_module, &b->modules, sizeof *b->modules))
                return -ENOMEM;
        b->modules[b->by_module.n] = module;
        intern(b, &b->by_module, indexp);
        return 0;
}

int snapshot_builder_location(struct snapshot_builder *b, const struct snapshot_location *location, uint32_t *indexp) {
        if (reserve(b, &b->by_location, &b->locations, sizeof *b->locations))
                return -ENOMEM;
        b->locations[b->by_location.n] = *location;
        intern(b, &b->by_location, indexp);
        return 0;
}

int snapshot_builder_node(struct snapshot_builder *b, uint32_t parent, uint32_t location, uint32_t *indexp) {
        if (reserve(b, &b->by_node, &b->nodes, sizeof *b->nodes))
                return -ENOMEM;
        b->nodes[b->by_node.n] =
                (struct snapshot_node){.parent = parent, .location = location, .depth = b->nodes[parent].depth + 1};
        intern(b, &b->by_node, indexp);
        return 0;
}

static int find_group(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                      uint32_t *indexp) {
        if (reserve(b, &b->by_group, &b->groups, sizeof *b->groups))
                return -ENOMEM;
        b->groups[b->by_group.n] =
                (struct snapshot_group){.domain = domain, .node = node, .total_nframe = total_nframe};
        intern(b, &b->by_group, indexp);
        return 0;
}

int snapshot_builder_block(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                           uint64_t size, uint64_t count) {
        uint32_t group, index;
        if (count == 0)
                return 0;
        if (find_group(b, domain, node, total_nframe, &group) || reserve(b, &b->by_size, &b->sizes, sizeof *b->sizes))
                return -ENOMEM;
        b->sizes[b->by_size.n] = (struct sized){.group = group, .entry = {.size = size}};
        if (intern(b, &b->by_size, &index))
                b->groups[group].n_sizes++;
        b->sizes[index].entry.count += count;
        b->groups[group].size += size * count;
        b->groups[group].count += count;
        return 0;
}

int snapshot_builder_sum(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                         uint64_t size, uint64_t count) {
        uint32_t group;
        if (find_group(b, domain, node, total_nframe, &group))
                return -ENOMEM;
        b->groups[group].size += size;
        b->groups[group].count += count;
        return 0;
}

int snapshot_builder_allocated(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                               uint64_t size, uint64_t count) {
        uint32_t group;
        if (find_group(b, domain, node, total_nframe, &group))
                return -ENOMEM;
        b->groups[group].allocated_size += size;
        b->groups[group].allocated_count += count;
        return 0;
}

int snapshot_builder_domain(struct snapshot_builder *b, uint32_t number, const void *name, size_t length) {
        struct snapshot_domain domain = {.number = number};
        uint32_t index;
        if (snapshot_builder_string(b, name, length, &domain.name) ||
            reserve(b, &b->by_domain, &b->domains, sizeof *b->domains))
                return -ENOMEM;
        b->domains[b->by_domain.n] = domain;
        intern(b, &b->by_domain, &index);
        b->domains[index].name = domain.name;
        return 0;
}

static int compare_sizes(const void *a, const void *b) {
        const struct sized *x = a, *y = b;
        if (x->group != y->group)
                return x->group < y->group ? -1 : 1;
        return (x->entry.size > y->entry.size) - (x->entry.size < y->entry.size);
}

static int fill_strings(struct snapshot_info *info) {
        char **const strings[] = {&info->name, &info->exe, &info->unit, &info->cgroup, &info->label, &info->ended_by};
        for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
                if (!*strings[i] && !(*strings[i] = strdup("")))
                        return -ENOMEM;
        }
        return 0;
}

/* Groups without single sizes are one trace each, as far as anybody knows. */
static void count_totals(struct snapshot_builder *b) {
        uint64_t first = 0;
        b->info.size = b->info.count = b->info.traces = 0;
        for (uint32_t i = 0; i < b->by_group.n; i++) {
                struct snapshot_group *group = &b->groups[i];
                group->first_size = first;
                first += group->n_sizes;
                b->info.size += group->size;
                b->info.count += group->count;
                b->info.traces += group->n_sizes ? group->n_sizes : group->count > 0;
        }
}

static void publish(struct snapshot_builder *b, struct snapshot_size *sizes, struct snapshot *s) {
        *s = (struct snapshot){.info = b->info,
                               .strings = b->strings,
                               .modules = b->modules,
                               .locations = b->locations,
                               .nodes = b->nodes,
                               .groups = b->groups,
                               .sizes = sizes,
                               .domains = b->domains,
                               .n_strings = b->by_string.n,
                               .n_modules = b->by_module.n,
                               .n_locations = b->by_location.n,
                               .n_nodes = b->by_node.n,
                               .n_groups = b->by_group.n,
                               .n_domains = b->by_domain.n,
                               .n_sizes = b->by_size.n};
}

int snapshot_builder_finish(struct snapshot_builder *b, struct snapshot **snapshotp) {
        struct snapshot_private *s = calloc(1, sizeof *s);
        struct snapshot_size *sizes = malloc(((size_t)b->by_size.n + 1) * sizeof *sizes);
        if (!s || !sizes || fill_strings(&b->info)) {
                free(s);
                free(sizes);
                return -ENOMEM;
        }
        if (b->by_size.n)
                qsort(b->sizes, b->by_size.n, sizeof *b->sizes, compare_sizes);
        for (uint32_t i = 0; i < b->by_size.n; i++)
                sizes[i] = b->sizes[i].entry;
        b->nodes[0] = (struct snapshot_node){0};
        count_totals(b);
        publish(b, sizes, &s->public);
        atomic_init(&s->refs, 1);
        free_indexes(b);
        free(b->sizes);
        free(b);
        *snapshotp = &s->public;
        return 0;
}

static struct snapshot_private *private_of(struct snapshot *s) {
        return (struct snapshot_private *)s; /* public is its first member */
}

struct snapshot *snapshot_ref(struct snapshot *s) {
        atomic_fetch_add_explicit(&private_of(s)->refs, 1, memory_order_relaxed);
        return s;
}

struct snapshot *snapshot_unref(struct snapshot *s) {
        if (!s || atomic_fetch_sub_explicit(&private_of(s)->refs, 1, memory_order_acq_rel) != 1)
                return NULL;
        for (uint32_t i = 0; i < s->n_strings; i++)
                free((void *)(uintptr_t)s->strings[i].bytes);
        free((void *)(uintptr_t)s->strings);
        free((void *)(uintptr_t)s->modules);
        free((void *)(uintptr_t)s->locations);
        free((void *)(uintptr_t)s->nodes);
        free((void *)(uintptr_t)s->groups);
        free((void *)(uintptr_t)s->sizes);
        free((void *)(uintptr_t)s->domains);
        free_info(&s->info);
        free(s);
        return NULL;
}
