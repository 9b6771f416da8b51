/* SPDX-License-Identifier: Apache-2.0 */

/* Reads nodes and items. Opened on the main loop's thread, then the ingest worker's; called by feed.c, feed_reader.c
 * and, through node_source, by daemon/live/image_snapshot.c. */

#include "daemon/ingest/definitions.h"

#include "daemon/base/python_text.h"
#include "daemon/ingest/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* what the protobuf encoding has before a field: number << 3 | wire type */
#define TAG_OF_ITEM_CODE   (3 << 3 | 2)
#define TAG_OF_CODE_NUMBER (1 << 3 | 0)

#define CODES_MAX (UINT32_C(1) << 22) /* of one image, 100 MiB of ours; those beyond are <unknown> */

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

static bool items_are_there(struct definitions *d, uint64_t from, uint64_t bytes) {
        uint64_t start = d->header ? (uint64_t)(d->items - (const char *)d->header) + from : 0;
        return !d->header || memfd_pages_there(&d->pages_of_items, start, start + bytes);
}

/* Length word of an item that can be read: 0 where there is none (yet). */
static uint32_t item_length(struct definitions *d, uint64_t offset) {
        uint64_t end = items_end(d);
        if (offset % 8 || offset > end || end - offset < sizeof(uint32_t) ||
            !items_are_there(d, offset, sizeof(uint32_t)))
                return 0;
        uint32_t length = __atomic_load_n((const uint32_t *)(d->items + offset), __ATOMIC_ACQUIRE);
        return length <= ITEM_BYTES_MAX && length <= end - offset - sizeof length &&
                               items_are_there(d, offset, sizeof length + length)
                       ? length
                       : 0;
}

int definitions_item(struct definitions *d, uint64_t offset, Tracemallocd__Agent__Item **itemp) {
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

static uint32_t hash_code(uint32_t code) {
        return index_hash_words(code, 0);
}

static uint32_t hash_of_code(const void *owner, uint32_t index) {
        return hash_code(((const struct definitions *)owner)->codes[index].code);
}

static const struct definitions_code *find_code(const struct definitions *d, uint32_t code) {
        uint32_t hash = hash_code(code), cursor = hash, index;
        while ((index = index_table_next(&d->code_index, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (d->codes[index].code == code)
                        return &d->codes[index];
        }
        return NULL;
}

/* What was said first of a code object stays. */
static int add_code(struct definitions *d, uint32_t code, uint64_t offset) {
        if (d->n_codes == CODES_MAX || find_code(d, code))
                return 0;
        if (d->n_codes == d->codes_capacity) {
                uint32_t capacity = d->codes_capacity ? 2 * d->codes_capacity : 64;
                struct definitions_code *codes = realloc(d->codes, capacity * sizeof *codes);
                if (!codes)
                        return -ENOMEM;
                d->codes = codes;
                d->codes_capacity = capacity;
        }
        int r = index_table_reserve(&d->code_index, d->n_codes, hash_of_code, d);
        if (r)
                return r;
        index_table_put(&d->code_index, hash_code(code), d->n_codes);
        d->codes[d->n_codes++] = (struct definitions_code){.code = code, .item = offset};
        return 0;
}

static bool read_varint(const uint8_t **bytesp, const uint8_t *end, uint64_t *numberp) {
        *numberp = 0;
        for (unsigned shift = 0; *bytesp < end && shift < 64; shift += 7) {
                uint8_t byte = *(const volatile uint8_t *)(*bytesp)++;
                *numberp |= (uint64_t)(byte & 127) << shift;
                if (!(byte & 128))
                        return true;
        }
        return false;
}

/* Whether the item at @offset is a CodeDef, and of which code object. Unpacked is only the rare one whose number does
 * not come first: there may be millions, and the other kinds are many, too. Return: 0; DEFINITIONS_E_UNKNOWN; -ENOMEM.
 */
static int item_code(struct definitions *d, uint64_t offset, uint32_t length, uint32_t *codep) {
        const uint8_t *bytes = (const uint8_t *)d->items + offset + sizeof length, *end = bytes + length;
        uint64_t tag, size, code_tag, code;
        if (!read_varint(&bytes, end, &tag) || tag != TAG_OF_ITEM_CODE || !read_varint(&bytes, end, &size))
                return DEFINITIONS_E_UNKNOWN;
        if (read_varint(&bytes, end, &code_tag) && code_tag == TAG_OF_CODE_NUMBER && read_varint(&bytes, end, &code)) {
                *codep = (uint32_t)code;
                return 0;
        }
        Tracemallocd__Agent__Item *item;
        int r = definitions_item(d, offset, &item);
        if (r)
                return r;
        if (item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_CODE)
                *codep = item->code->code;
        else
                r = DEFINITIONS_E_UNKNOWN;
        tracemallocd__agent__item__free_unpacked(item, NULL);
        return r;
}

/* Items that came since the last time. One whose length is not written yet ends the walk: the next call comes back. */
static int scan_items(struct definitions *d) {
        uint32_t length, code;
        while ((length = item_length(d, d->scanned)) != 0) {
                int r = item_code(d, d->scanned, length, &code);
                if (r == 0)
                        r = add_code(d, code, d->scanned);
                if (r < 0)
                        return r;
                d->scanned += (sizeof length + length + 7) & ~UINT64_C(7);
        }
        return 0;
}

/* A name as the operating system has it, in place. */
static int undo_escapes(ProtobufCBinaryData *name) {
        const char *text = (const char *)name->data;
        /* escapes begin with that byte; nearly no name has one */
        if (name->len == 0 || !memchr(text, 0xed, name->len) || !python_text_valid(text, name->len))
                return 0;
        char *copy = malloc(name->len);
        if (!copy)
                return -ENOMEM;
        size_t length = python_text_name(text, name->len, copy);
        memcpy(name->data, copy, length);
        name->len = length;
        free(copy);
        return 0;
}

/* The item that describes a code object. */
static int code_item(struct definitions *d, uint32_t code, Tracemallocd__Agent__Item **itemp) {
        const struct definitions_code *found = find_code(d, code);
        int r = found ? 0 : scan_items(d);
        if (r == 0 && !found)
                found = find_code(d, code);
        if (r == 0)
                r = found ? definitions_item(d, found->item, itemp) : DEFINITIONS_E_UNKNOWN;
        if (r)
                return r;
        const Tracemallocd__Agent__Item *item = *itemp;
        if (item->body_case != TRACEMALLOCD__AGENT__ITEM__BODY_CODE || item->code->code != code)
                r = DEFINITIONS_E_UNKNOWN; /* rewritten since */
        if (r == 0)
                r = undo_escapes(&item->code->filename);
        if (r == 0)
                r = undo_escapes(&item->code->qualname);
        if (r)
                tracemallocd__agent__item__free_unpacked(*itemp, NULL);
        return r;
}

static int source_code(const struct node_source *source, uint32_t code, struct code_text *textp) {
        struct definitions *d = (struct definitions *)source;
        Tracemallocd__Agent__Item *item;
        int r = code_item(d, code, &item);
        if (r)
                return r;
        if (d->code_item)
                tracemallocd__agent__item__free_unpacked(d->code_item, NULL);
        d->code_item = item;
        const Tracemallocd__Agent__CodeDef *def = item->code;
        *textp = (struct code_text){.filename = def->filename.len ? (const char *)def->filename.data : "",
                                    .filename_length = def->filename.len,
                                    .function = def->qualname.len ? (const char *)def->qualname.data : NULL,
                                    .function_length = def->qualname.len,
                                    .first_line = def->first_line,
                                    .table_format = def->table_format,
                                    .table = def->table.data,
                                    .table_length = def->table.len};
        return 0;
}

static void init(struct definitions *d) {
        *d = (struct definitions){.source = {.n_nodes = source_n_nodes, .node = source_node, .code = source_code},
                                  .n_nodes_seen = 1,
                                  .fd = -1};
}

void definitions_open_socket(struct definitions *d) {
        init(d);
}

static int see_pages(struct definitions *d, int fd) {
        d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (d->fd < 0)
                return -errno;
        uint64_t items = (uint64_t)(d->items - (const char *)d->header) & ~(uint64_t)(DEFINITIONS_HEADER_BYTES - 1);
        memfd_pages_open(&d->pages_of_nodes, d->fd, DEFINITIONS_HEADER_BYTES, d->mapped_bytes);
        memfd_pages_open(&d->pages_of_items, d->fd, items, d->mapped_bytes);
        return 0;
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
                r = see_pages(d, fd);
                if (r < 0)
                        definitions_close(d);
                return r;
        }
        munmap((void *)memory, bytes);
        return DEFINITIONS_E_REFUSED;
}

void definitions_close(struct definitions *d) {
        if (d->header) {
                munmap((void *)d->header, d->mapped_bytes);
                if (d->fd >= 0)
                        close(d->fd);
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

/* How many of @n nodes can be read: the agent writes one after the other, so none behind a page that is missing. */
static uint32_t nodes_that_are_there(struct definitions *d, uint32_t n) {
        uint64_t end = DEFINITIONS_HEADER_BYTES + n * sizeof(struct node_def);
        if (!memfd_pages_there(&d->pages_of_nodes, DEFINITIONS_HEADER_BYTES, end))
                n = (uint32_t)((d->pages_of_nodes.known - DEFINITIONS_HEADER_BYTES) / sizeof(struct node_def));
        return n < 1 ? 1 : n;
}

uint32_t definitions_n_nodes(struct definitions *d) {
        if (d->header) {
                uint32_t n = atomic_load_explicit(&d->header->n_nodes, memory_order_acquire);
                d->n_nodes_seen = nodes_that_are_there(d, n < d->node_capacity ? n : d->node_capacity);
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
