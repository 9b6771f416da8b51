/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nodes and items for the daemon. A number is handed out by an atomic step, the
 * slot is filled, and only then does anybody learn the number (the trie's
 * compare-and-swap, a record): so nothing that is named is ever half written.
 */

#include "agent/definitions_writer.h"

#include "agent/sys.h"

#include <errno.h>
#include <string.h>

/* Pages are had ahead of use, in nodes (sys_populate()): as many again as there are, up to a limit. */
#define POPULATE_FIRST  1024u
#define POPULATE_MAX    32768u
#define POPULATE_MARGIN 512u

size_t definitions_bytes(uint32_t node_capacity, uint64_t items_capacity) {
        return DEFINITIONS_HEADER_BYTES + (size_t)node_capacity * sizeof(struct node_def) + items_capacity;
}

/* Nodes from @start, where the pages end that are there, to @end. */
static void populate(struct definitions *definitions, uint32_t start, uint32_t end) {
        if (end > definitions->node_capacity)
                end = definitions->node_capacity;
        if (start < end)
                sys_populate(definitions->nodes + start, (end - start) * sizeof(struct node_def));
        atomic_store(&definitions->populate_at, end < definitions->node_capacity ? end - POPULATE_MARGIN : UINT32_MAX);
}

static __attribute__((noinline)) void populate_more(struct definitions *definitions) {
        uint32_t at = atomic_load(&definitions->populate_at), start = at + POPULATE_MARGIN;
        /* one thread does it */
        if (at != UINT32_MAX && atomic_compare_exchange_strong(&definitions->populate_at, &at, UINT32_MAX))
                populate(definitions, start, start + (start < POPULATE_MAX ? start : POPULATE_MAX));
}

void definitions_init(struct definitions *definitions, void *memory, uint32_t node_capacity, uint64_t items_capacity) {
        struct definitions_header *header = memory;
        definitions->header = header;
        definitions->nodes = (struct node_def *)((char *)memory + DEFINITIONS_HEADER_BYTES);
        definitions->items = (uint8_t *)(definitions->nodes + node_capacity);
        definitions->node_capacity = node_capacity;
        definitions->items_capacity = items_capacity;
        header->magic = DEFINITIONS_MAGIC;
        header->version = RING_VERSION;
        header->node_capacity = node_capacity;
        header->items_capacity = items_capacity;
        atomic_store(&header->n_nodes, 1);
        atomic_store(&header->items_used, 0);
        sys_populate(memory, DEFINITIONS_HEADER_BYTES);
        populate(definitions, 0, POPULATE_FIRST);
}

uint32_t definitions_add_node(struct definitions *definitions, uint32_t parent, uint32_t unit, uint64_t value) {
        _Atomic uint32_t *n_nodes = &definitions->header->n_nodes;
        uint32_t node = atomic_load_explicit(n_nodes, memory_order_relaxed);
        do {
                if (node >= definitions->node_capacity)
                        return 0;
        } while (!atomic_compare_exchange_weak_explicit(n_nodes, &node, node + 1, memory_order_relaxed,
                                                        memory_order_relaxed));
        struct node_def *def = &definitions->nodes[node];
        def->parent = parent;
        def->unit = unit;
        /* last, and never 0: what definitions_nodes_written() looks at */
        __atomic_store_n(&def->value, value, __ATOMIC_RELEASE);
        if (__builtin_expect(node >= atomic_load_explicit(&definitions->populate_at, memory_order_relaxed), 0))
                populate_more(definitions);
        return node;
}

uint8_t *definitions_begin_item(struct definitions *definitions, uint32_t length, uint64_t *offsetp) {
        _Atomic uint64_t *used = &definitions->header->items_used;
        uint64_t offset = atomic_load_explicit(used, memory_order_relaxed);
        uint64_t needed = definitions_item_bytes(length);
        if (length == 0 || length > ITEM_BYTES_MAX)
                return NULL;
        do {
                if (needed > definitions->items_capacity || offset > definitions->items_capacity - needed)
                        return NULL;
        } while (!atomic_compare_exchange_weak_explicit(used, &offset, offset + needed, memory_order_relaxed,
                                                        memory_order_relaxed));
        *offsetp = offset;
        return definitions->items + offset + 4;
}

void definitions_end_item(struct definitions *definitions, uint64_t offset, uint32_t length) {
        __atomic_store_n((uint32_t *)(void *)(definitions->items + offset), length, __ATOMIC_RELEASE);
}

uint64_t definitions_add_item(struct definitions *definitions, const void *bytes, uint32_t length) {
        uint64_t offset;
        uint8_t *place = definitions_begin_item(definitions, length, &offset);
        if (!place)
                return DEFINITIONS_FULL;
        memcpy(place, bytes, length);
        definitions_end_item(definitions, offset, length);
        return offset;
}

static bool node_written(const struct node_def *def) {
        return __atomic_load_n(&def->value, __ATOMIC_ACQUIRE) != 0;
}

uint32_t definitions_item(const struct definitions *definitions, uint64_t offset, const void **bytesp) {
        *bytesp = definitions->items + offset + 4;
        return __atomic_load_n((const uint32_t *)(const void *)(definitions->items + offset), __ATOMIC_ACQUIRE);
}

int definitions_copy_nodes(struct definitions *to, const struct definitions *from) {
        uint32_t n_nodes = atomic_load_explicit(&from->header->n_nodes, memory_order_acquire), node;
        if (n_nodes > from->node_capacity || n_nodes > to->node_capacity)
                return -ENOSPC;
        populate(to, POPULATE_FIRST, n_nodes + POPULATE_FIRST);
        memcpy(to->nodes, from->nodes, (size_t)n_nodes * sizeof *to->nodes);
        for (node = 1; node < n_nodes; node++)
                if (!node_written(&to->nodes[node]))
                        to->nodes[node] = (struct node_def){.value = 1};
        atomic_store(&to->header->n_nodes, n_nodes);
        return 0;
}

uint32_t definitions_nodes_written(const struct definitions *definitions, uint32_t from) {
        uint32_t n_nodes = atomic_load_explicit(&definitions->header->n_nodes, memory_order_acquire);
        while (from < n_nodes && node_written(&definitions->nodes[from]))
                from++;
        return from;
}

uint64_t definitions_items_written(const struct definitions *definitions, uint64_t from) {
        uint64_t used = atomic_load_explicit(&definitions->header->items_used, memory_order_acquire);
        while (from < used) {
                uint32_t length =
                        __atomic_load_n((const uint32_t *)(const void *)(definitions->items + from), __ATOMIC_ACQUIRE);
                if (length == 0)
                        break;
                from += definitions_item_bytes(length);
        }
        return from;
}
