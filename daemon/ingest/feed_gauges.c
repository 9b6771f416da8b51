/* SPDX-License-Identifier: Apache-2.0 */

/* The numbers of a feed for others to read. Runs on the ingest worker; called by feed_reader.c after each batch of
 * work. */

#include "daemon/ingest/feed_gauges.h"

#include "daemon/ingest/feed_private.h"
#include "proto/record.h"

#include <string.h>

#define SET(gauge, value) atomic_store_explicit(&(gauge), value, memory_order_relaxed)

static void name_domain(const struct image *image, unsigned index, struct feed_domain_gauges *gauges) {
        static const char *const names[] = {
                [DOMAIN_INDEX_MALLOC] = "malloc", [DOMAIN_INDEX_PYTHON] = "python", [DOMAIN_INDEX_MMAP] = "mmap"};
        const struct domain_def *def = domain_map_find(&image->domains, index);
        const char *name = def ? def->name : "";
        size_t length = def ? def->name_length : 0;
        if (index < DOMAIN_INDEX_FIRST_FREE) {
                name = names[index];
                length = strlen(name);
        }
        gauges->number = domain_map_number(&image->domains, index);
        memcpy(gauges->name, name, length < FEED_GAUGE_NAME_BYTES ? length : FEED_GAUGE_NAME_BYTES - 1);
}

/* The first FEED_GAUGE_DOMAINS domains that had a block get a line of their own, in the order they came. */
static void update_domains(struct feed *feed) {
        struct feed_gauges *gauges = &feed->gauges;
        const struct sums_total *totals = feed->image.sums->domains;
        uint32_t n = atomic_load_explicit(&gauges->n_domains, memory_order_relaxed);
        for (unsigned i = 0; i <= DOMAIN_INDEX_MAX && n < FEED_GAUGE_DOMAINS; i++) {
                if (feed->gauge_seen[i] || !(totals[i].live_count || totals[i].peak_size))
                        continue;
                feed->gauge_seen[i] = true;
                feed->gauge_domains[n] = (uint8_t)i;
                name_domain(&feed->image, i, &gauges->domains[n]);
                n++;
        }
        for (uint32_t i = 0; i < n; i++) {
                const struct sums_total *total = &totals[feed->gauge_domains[i]];
                SET(gauges->domains[i].live_size, total->live_size);
                SET(gauges->domains[i].live_count, total->live_count);
                SET(gauges->domains[i].peak_size, total->peak_size);
        }
        atomic_store_explicit(&gauges->n_domains, n, memory_order_release);
}

static uint64_t tracer_bytes(const struct feed *feed) {
        uint64_t bytes = feed->image.charge->used;
        if (feed->by_ring)
                bytes += feed->ring.mapped_bytes;
        return bytes + feed->definitions.n_nodes_seen * sizeof(struct node_def) + feed->definitions.items_used;
}

static void update_ring(struct feed *feed) {
        struct ring_header *header = (struct ring_header *)feed->ring.header;
        SET(feed->gauges.stalls, atomic_load_explicit(&header->stalls, memory_order_relaxed));
        SET(feed->gauges.stall_ns, atomic_load_explicit(&header->stall_ns, memory_order_relaxed));
}

void feed_gauges_update(struct feed *feed) {
        struct feed_gauges *gauges = &feed->gauges;
        const struct image *image = &feed->image;
        if (!image->sums)
                return; /* finished: the last ones stay */
        SET(gauges->live_size, image->sums->total.live_size);
        SET(gauges->inherited_size, image->inherited_size);
        SET(gauges->live_count, image->sums->total.live_count);
        SET(gauges->peak_size, image->sums->total.peak_size);
        SET(gauges->events, image->events);
        SET(gauges->lost, image_lost(image));
        SET(gauges->unknown_frees, image->unknown_frees);
        SET(gauges->tracer_bytes, tracer_bytes(feed));
        SET(gauges->position, feed->by_ring ? feed->ring.position : feed->applied);
        SET(gauges->exit_status, image->exit_status);
        SET(gauges->n_forks, image->n_forks);
        SET(gauges->exact, image_is_exact(image));
        SET(gauges->exit_seen, image->exit_seen);
        SET(gauges->exec_pending, image->exec_pending);
        SET(gauges->tracing, image->tracing);
        SET(gauges->malformed, feed->phase == FEED_BROKEN);
        if (feed->by_ring && !feed->ring_closed)
                update_ring(feed);
        update_domains(feed);
}
