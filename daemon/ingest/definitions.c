/* SPDX-License-Identifier: Apache-2.0 */

/* Reads nodes and items. Opened on the main loop's thread, then the ingest worker's; called by feed.c, feed_reader.c
 * and, through node_source, by daemon/live/image_snapshot.c. */

#include "daemon/ingest/definitions.h"

#include "daemon/ingest/memfd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t source_n_nodes(const struct node_source *source) {
        return definitions_n_nodes((struct definitions *)source);
}

static int source_node(const struct node_source *source, uint32_t node, struct node_def *defp) {
        return definitions_node((const struct definitions *)source, node, defp);
}

static uint64_t items_end(const struct definitions *d) {
        if (!d->header)
                return d->items_used;
        uint64_t used = atomic_load_explicit(&d->header->items_used, memory_order_acquire);
        return used < d->items_capacity ? used : d->items_capacity;
}

/* Length word of an item: 0 where there is none (yet). */
static uint32_t item_length(const struct definitions *d, uint64_t offset) {
        uint64_t end = items_end(d);
        if (offset % 8 || offset > end || end - offset < sizeof(uint32_t))
                return 0;
        uint32_t length = __atomic_load_n((const uint32_t *)(d->items + offset), __ATOMIC_ACQUIRE);
        return length <= ITEM_BYTES_MAX && length <= end - offset - sizeof length ? length : 0;
}

int definitions_item(const struct definitions *d, uint64_t offset, Tracemallocd__Agent__Item **itemp) {
        uint32_t length = item_length(d, offset);
        if (length == 0)
                return DEFINITIONS_E_UNKNOWN;
        /* copied first: protobuf-c reads lengths more than once */
        uint8_t *copy = malloc(length);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, d->items + offset + sizeof length, length);
        *itemp = tracemallocd__agent__item__unpack(NULL, length, copy);
        free(copy);
        return *itemp ? 0 : DEFINITIONS_E_UNKNOWN;
}

static int add_code(struct definitions *d, uint32_t code, uint64_t offset) {
        if (d->n_codes == d->codes_capacity) {
                uint32_t capacity = d->codes_capacity ? 2 * d->codes_capacity : 64;
                struct definitions_code *codes = realloc(d->codes, capacity * sizeof *codes);
                if (!codes)
                        return -ENOMEM;
                d->codes = codes;
                d->codes_capacity = capacity;
        }
        int r = index_table_reserve(&d->code_index);
        if (r)
                return r;
        index_table_put(&d->code_index, index_hash_words(code, 0), d->n_codes);
        d->codes[d->n_codes++] = (struct definitions_code){.code = code, .item = offset};
        return 0;
}

/* Items that came since the last time. One whose length is not written yet ends the walk: the next call comes back. */
static int scan_items(struct definitions *d) {
        uint32_t length;
        while ((length = item_length(d, d->scanned)) != 0) {
                Tracemallocd__Agent__Item *item;
                int r = definitions_item(d, d->scanned, &item);
                if (r < 0)
                        return r;
                if (r == 0) {
                        if (item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_CODE)
                                r = add_code(d, item->code->code, d->scanned);
                        tracemallocd__agent__item__free_unpacked(item, NULL);
                        if (r)
                                return r;
                }
                d->scanned += (sizeof length + length + 7) & ~UINT64_C(7);
        }
        return 0;
}

static const struct definitions_code *find_code(const struct definitions *d, uint32_t code) {
        uint32_t hash = index_hash_words(code, 0), cursor = hash, index;
        while ((index = index_table_next(&d->code_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (d->codes[index].code == code)
                        return &d->codes[index];
        }
        return NULL;
}

/* The code object's file and name. Its line table is not read here: the line of the frame stays unknown. */
static int source_code(const struct node_source *source, uint32_t code, uint64_t instruction, struct code_text *textp) {
        struct definitions *d = (struct definitions *)source;
        const struct definitions_code *found = find_code(d, code);
        if (!found && scan_items(d) == 0)
                found = find_code(d, code);
        Tracemallocd__Agent__Item *item;
        if (!found || definitions_item(d, found->item, &item))
                return DEFINITIONS_E_UNKNOWN;
        if (item->body_case != TRACEMALLOCD__AGENT__ITEM__BODY_CODE) {
                tracemallocd__agent__item__free_unpacked(item, NULL); /* rewritten since */
                return DEFINITIONS_E_UNKNOWN;
        }
        if (d->code_item)
                tracemallocd__agent__item__free_unpacked(d->code_item, NULL);
        d->code_item = item;
        const ProtobufCBinaryData *filename = &item->code->filename, *function = &item->code->qualname;
        *textp = (struct code_text){.filename = filename->len ? (const char *)filename->data : "",
                                    .filename_length = filename->len,
                                    .function = function->len ? (const char *)function->data : NULL,
                                    .function_length = function->len};
        return 0;
}

static void init(struct definitions *d) {
        *d = (struct definitions){.source = {.n_nodes = source_n_nodes, .node = source_node, .code = source_code},
                                  .n_nodes_seen = 1};
}

void definitions_open_socket(struct definitions *d) {
        init(d);
}

int definitions_open_ring(struct definitions *d, int fd, const char **reasonp) {
        const void *memory;
        uint64_t bytes;
        const uint64_t bytes_max =
                DEFINITIONS_HEADER_BYTES + NODE_CAPACITY_MAX * sizeof(struct node_def) + ITEMS_CAPACITY_MAX;
        int r = memfd_map_peer(fd, DEFINITIONS_HEADER_BYTES, bytes_max, &memory, &bytes, reasonp);
        if (r)
                return r < 0 ? r : DEFINITIONS_E_REFUSED;
        const volatile struct definitions_header *header = memory;
        uint32_t magic = header->magic, version = header->version, node_capacity = header->node_capacity;
        uint64_t items_capacity = header->items_capacity;
        if (magic != DEFINITIONS_MAGIC || version != RING_VERSION)
                *reasonp = "definitions have another magic or version";
        else if (node_capacity < 1 || node_capacity > NODE_CAPACITY_MAX || items_capacity > ITEMS_CAPACITY_MAX ||
                 items_capacity % 8 ||
                 DEFINITIONS_HEADER_BYTES + node_capacity * sizeof(struct node_def) + items_capacity != bytes)
                *reasonp = "definitions have sizes that do not fit";
        else {
                init(d);
                d->header = memory;
                d->mapped_bytes = bytes;
                d->nodes = (const struct node_def *)((const char *)memory + DEFINITIONS_HEADER_BYTES);
                d->items = (const char *)(d->nodes + node_capacity);
                d->node_capacity = node_capacity;
                d->items_capacity = items_capacity;
                return 0;
        }
        munmap((void *)memory, bytes);
        return DEFINITIONS_E_REFUSED;
}

void definitions_close(struct definitions *d) {
        if (d->header) {
                munmap((void *)d->header, d->mapped_bytes);
        } else {
                free((void *)d->nodes);
                free((void *)d->items);
        }
        free(d->codes);
        index_table_deinit(&d->code_index);
        if (d->code_item)
                tracemallocd__agent__item__free_unpacked(d->code_item, NULL);
        *d = (struct definitions){};
}

static int reserve(const void **bufferp, uint64_t *capacityp, uint64_t wanted, size_t item_bytes) {
        if (wanted <= *capacityp)
                return 0;
        uint64_t capacity = *capacityp ? *capacityp : 64;
        while (capacity < wanted)
                capacity *= 2;
        void *buffer = realloc((void *)*bufferp, capacity * item_bytes);
        if (!buffer)
                return -ENOMEM;
        *bufferp = buffer;
        *capacityp = capacity;
        return 0;
}

int definitions_append(struct definitions *d, const void *nodes, size_t nodes_length, const void *items,
                       size_t items_length) {
        uint64_t n = nodes_length / sizeof(struct node_def), capacity = d->node_capacity;
        if (reserve((const void **)&d->nodes, &capacity, d->n_nodes_seen + n, sizeof(struct node_def)))
                return -ENOMEM;
        d->node_capacity = (uint32_t)capacity;
        if (reserve((const void **)&d->items, &d->items_capacity, d->items_used + items_length, 1))
                return -ENOMEM;
        if (n)
                memcpy((struct node_def *)d->nodes + d->n_nodes_seen, nodes, n * sizeof(struct node_def));
        if (items_length)
                memcpy((char *)d->items + d->items_used, items, items_length);
        d->n_nodes_seen += (uint32_t)n;
        d->items_used += items_length;
        return 0;
}

uint32_t definitions_n_nodes(struct definitions *d) {
        if (d->header) {
                uint32_t n = atomic_load_explicit(&d->header->n_nodes, memory_order_acquire);
                d->n_nodes_seen = n < 1 ? 1 : n < d->node_capacity ? n : d->node_capacity;
        }
        return d->n_nodes_seen;
}

int definitions_node(const struct definitions *d, uint32_t node, struct node_def *defp) {
        if (node == 0 || node >= d->n_nodes_seen)
                return DEFINITIONS_E_UNKNOWN;
        const struct node_def *from = &d->nodes[node];
        struct node_def def = {.parent = __atomic_load_n(&from->parent, __ATOMIC_RELAXED),
                               .unit = __atomic_load_n(&from->unit, __ATOMIC_RELAXED),
                               .value = __atomic_load_n(&from->value, __ATOMIC_RELAXED)};
        if (def.parent >= node)
                return DEFINITIONS_E_UNKNOWN;
        *defp = def;
        return 0;
}
