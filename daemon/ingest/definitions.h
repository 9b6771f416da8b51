/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Nodes and items of one image: the agent's definitions memfd, mapped (ring way),
 * or a copy of what its Definitions messages brought (socket way). All of it is hostile:
 * each value is copied, then checked. Opened on the main loop's thread, afterwards the worker's.
 */

#include "daemon/ingest/memfd_pages.h"
#include "daemon/live/index_table.h"
#include "daemon/live/node_source.h"
#include "proto/agent.pb-c.h"
#include "proto/ring.h"

#include <stddef.h>
#include <stdint.h>

struct definitions {
        struct node_source source;               /* for image_snapshot_begin() */
        const struct definitions_header *header; /* the mapping; NULL in the socket way */
        uint64_t mapped_bytes;
        int fd;                                            /* what is mapped */
        struct memfd_pages pages_of_nodes, pages_of_items; /* of it */
        const struct node_def *nodes;                      /* NULL before the first, in the socket way */
        const char *items;
        uint32_t node_capacity;
        uint32_t n_nodes_seen; /* number of nodes that existed, in pages that are there, when it was last looked */
        uint64_t items_capacity;
        uint64_t items_used; /* socket way */
        /* code objects, found by walking the items as far as scanned */
        uint64_t scanned;
        struct definitions_code {
                uint32_t code;
                uint64_t item; /* offset */
        } * codes;
        struct index_table code_index;
        uint32_t n_codes, codes_capacity;
        Tracemallocd__Agent__Item *code_item; /* what code_text of the last call points into */
};

enum {
        DEFINITIONS_E_REFUSED = 1,
        DEFINITIONS_E_UNKNOWN = 2, /* no such node or item, or a malformed one */
};

/** definitions_open_ring() - map the memfd
 * @fd: borrowed. Return: 0; DEFINITIONS_E_REFUSED with @reasonp; -errno. */
int definitions_open_ring(struct definitions *d, int fd, const char **reasonp);

/** definitions_open_socket() - empty */
void definitions_open_socket(struct definitions *d);

/** definitions_close() - zeroed memory and closed ones are fine */
void definitions_close(struct definitions *d);

/** definitions_append() - socket way: what follows on; lengths are checked by the caller (feed.c)
 * Return: 0; -ENOMEM (unchanged or partly appended: give the feed up). */
int definitions_append(struct definitions *d, const void *nodes, size_t nodes_length, const void *items,
                       size_t items_length);

/** definitions_n_nodes() - look again how many nodes there are, at least 1 */
uint32_t definitions_n_nodes(struct definitions *d);

/** definitions_node() - a copy of one node. Return: 0; DEFINITIONS_E_UNKNOWN. */
int definitions_node(const struct definitions *d, uint32_t node, struct node_def *defp);

/** definitions_item() - one item
 * @offset: in the items area
 * @itemp: set on 0; tracemallocd__agent__item__free_unpacked(). Return: 0; DEFINITIONS_E_UNKNOWN; -ENOMEM. */
int definitions_item(struct definitions *d, uint64_t offset, Tracemallocd__Agent__Item **itemp);
