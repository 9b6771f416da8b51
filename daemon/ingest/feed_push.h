/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Socket way: what the agent's messages bring, handed to its feed. Main loop; the rules of feed.h hold. */

#include <stddef.h>
#include <stdint.h>

struct feed;

/* Nodes and items, each from a number on: what a Definitions message brings. */
struct feed_definitions {
        uint32_t first_node;
        const void *nodes; /* struct node_def, unaligned */
        size_t nodes_length;
        uint64_t first_item; /* byte */
        const void *items;
        size_t items_length;
};

/** feed_push_definitions() - @definitions: copied
 * Return: 0; FEED_E_REFUSED (numbers that do not follow on, lengths, cycles: drop the peer); FEED_E_FULL; -ENOMEM. */
int feed_push_definitions(struct feed *feed, const struct feed_definitions *definitions, const char **reasonp);

/** feed_push_events() - an EventBatch, copied; FEED_NOTICE_APPLIED follows
 * What is pushed and not yet applied is the caller's to bound (HelloReply.window, feed_backlog()).
 * Return: 0; FEED_E_REFUSED (sequence does not follow on, length is no multiple of 8); -ENOMEM. */
int feed_push_events(struct feed *feed, uint64_t sequence, const void *records, size_t length, const char **reasonp);

/** feed_backlog() - bytes pushed and not yet applied, as far as notices told */
uint64_t feed_backlog(const struct feed *feed);
