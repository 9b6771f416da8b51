/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The writing end of the definitions of proto/ring.h: traceback nodes and
 * items, append-only, in memory that the daemon (or in the socket way our
 * sender) reads. Any number of threads add at the same time without waiting.
 */

#include "proto/ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFINITIONS_FULL UINT64_MAX

struct definitions {
        struct definitions_header *header;
        struct node_def *nodes;
        uint8_t *items;
        uint32_t node_capacity; /* our own copies: the mapping is shared with a child of fork */
        uint64_t items_capacity;
        _Atomic uint32_t populate_at; /* node from which on more pages are to be had */
};

/** definitions_bytes() - memory that these capacities need */
size_t definitions_bytes(uint32_t node_capacity, uint64_t items_capacity);

/** definitions_init() - lay empty definitions over zeroed memory of definitions_bytes(), borrowed */
void definitions_init(struct definitions *definitions, void *memory, uint32_t node_capacity, uint64_t items_capacity);

/** definitions_add_node() - write one node
 * @parent: a node returned earlier, or 0; @unit, @value: as proto/ring.h says; @value is not 0
 * Return: its number, written for whoever learns the number from us; 0: full. */
uint32_t definitions_add_node(struct definitions *definitions, uint32_t parent, uint32_t unit, uint64_t value);

/** definitions_add_item() - write one packed Item
 * @bytes: [length] borrowed; @length: 1..ITEM_BYTES_MAX
 * Return: its offset in the items area; DEFINITIONS_FULL. */
uint64_t definitions_add_item(struct definitions *definitions, const void *bytes, uint32_t length);

/** definitions_begin_item() - room for one, to be filled by the caller and then made visible by definitions_end_item()
 * Between the two no system call: who reads waits for it. Return: @length bytes; NULL where there is no room. */
uint8_t *definitions_begin_item(struct definitions *definitions, uint32_t length, uint64_t *offsetp);
void definitions_end_item(struct definitions *definitions, uint64_t offset, uint32_t length);

/** definitions_item() - an item that definitions_add_item() returned
 * Return: its length; *bytesp points into @definitions. */
uint32_t definitions_item(const struct definitions *definitions, uint64_t offset, const void **bytesp);

/** definitions_item_bytes() - what an item of @length bytes takes in the items area: its length in front, and what
 * makes it a multiple of 8 */
static inline uint64_t definitions_item_bytes(uint32_t length) {
        return ((uint64_t)length + sizeof length + 7) & ~UINT64_C(7);
}

/** definitions_copy_nodes() - take over another's nodes with their numbers (not its items)
 * @to: just initialised. Nodes that a thread of @from is just writing become nodes that nothing
 * names. Return: 0; -ENOSPC where @to is too small (then it is still empty). */
int definitions_copy_nodes(struct definitions *to, const struct definitions *from);

/** definitions_nodes_written() - nodes below the first one that is not written yet
 * @from: number of a node, 1 or more; Return: a node number >= @from. */
uint32_t definitions_nodes_written(const struct definitions *definitions, uint32_t from);

/** definitions_items_written() - the same for the items area: offset after the last whole item from @from on */
uint64_t definitions_items_written(const struct definitions *definitions, uint64_t from);
