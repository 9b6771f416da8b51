/* SPDX-License-Identifier: Apache-2.0 */

/* Socket way: what came in messages, on its way to the worker (feed_push_run() in feed_reader.c). Main loop. */

#include "daemon/ingest/feed_push.h"

#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Numbers follow on, parents come first; that the items can be read is seen when they are. */
static const char *refuse_definitions(const struct feed *feed, const struct feed_definitions *d) {
        if (feed->by_ring)
                return "definitions are in the ring way's memfd";
        if (d->nodes_length % sizeof(struct node_def) || d->items_length % 8)
                return "definitions of a length that does not fit";
        if ((d->nodes_length && d->first_node != feed->nodes_pushed) ||
            (d->items_length && d->first_item != feed->items_pushed))
                return "definitions do not follow on";
        for (size_t i = 0; i < d->nodes_length / sizeof(struct node_def); i++) {
                struct node_def def;
                memcpy(&def, (const unsigned char *)d->nodes + i * sizeof def, sizeof def);
                if (def.parent >= d->first_node + i)
                        return "a node comes before its parent";
        }
        return NULL;
}

static struct feed_push *new_push(struct feed *feed, size_t length) {
        struct feed_push *push = calloc(1, sizeof *push + length);
        if (!push)
                return NULL;
        push->job.run = feed_push_run;
        push->feed = feed;
        return push;
}

int feed_push_definitions(struct feed *feed, const struct feed_definitions *d, const char **reasonp) {
        const size_t length = d->nodes_length + d->items_length;
        const uint64_t nodes_after = feed->nodes_pushed + d->nodes_length / sizeof(struct node_def);
        const uint64_t items_after = feed->items_pushed + d->items_length;
        *reasonp = refuse_definitions(feed, d);
        if (*reasonp)
                return FEED_E_REFUSED;
        if (length == 0)
                return 0;
        if (nodes_after > NODE_CAPACITY_MAX || items_after > ITEMS_CAPACITY_MAX ||
            nodes_after * sizeof(struct node_def) + items_after > feed->memory_limit) {
                *reasonp = "too many definitions";
                return FEED_E_FULL;
        }
        if (!charge_pool_take(feed->pool, length)) {
                *reasonp = FEED_POOL_IS_USED_UP;
                return FEED_E_FULL;
        }
        struct feed_push *push = new_push(feed, length);
        if (!push) {
                charge_pool_give(feed->pool, length);
                return -ENOMEM;
        }
        push->nodes_length = d->nodes_length;
        push->items_length = d->items_length;
        if (d->nodes_length)
                memcpy(push->bytes, d->nodes, d->nodes_length);
        if (d->items_length)
                memcpy(push->bytes + d->nodes_length, d->items, d->items_length);
        feed->definitions_charged += length;
        feed->nodes_pushed = (uint32_t)nodes_after;
        feed->items_pushed = items_after;
        worker_call(feed->worker, &push->job);
        return 0;
}

int feed_push_events(struct feed *feed, uint64_t sequence, const void *records, size_t length, const char **reasonp) {
        *reasonp = feed->by_ring                      ? "events are in the ring"
                   : length % 8                       ? "records of a length that does not fit"
                   : sequence != feed->records_pushed ? "records do not follow on"
                                                      : NULL;
        if (*reasonp)
                return FEED_E_REFUSED;
        if (length == 0)
                return 0;
        struct feed_push *push = new_push(feed, length);
        if (!push)
                return -ENOMEM;
        push->position = sequence;
        push->length = length;
        memcpy(push->bytes, records, length);
        feed->records_pushed += length;
        worker_call(feed->worker, &push->job);
        return 0;
}

uint64_t feed_backlog(const struct feed *feed) {
        return feed->records_pushed - atomic_load_explicit(&feed->gauges.position, memory_order_relaxed);
}
