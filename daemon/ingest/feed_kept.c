/* SPDX-License-Identifier: Apache-2.0 */

/* What of a feed outlives the daemon: its descriptors on their way into the store, and the feed that the next daemon
 * makes of them. Main loop; called by daemon/kept_processes.c. */

#include "daemon/ingest/feed_kept.h"

#include "daemon/base/cleanup.h"
#include "daemon/ingest/feed_gauges.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/live/image_fork.h"

#include <fcntl.h>

struct feed_fds feed_fds(const struct feed *feed) {
        return feed->fds;
}

void feed_fds_stored(struct feed *feed) {
        fd_close(&feed->fds.ring);
        fd_close(&feed->fds.definitions);
        fd_close(&feed->fds.control);
        feed->fds.table = -1; /* the keep's */
}

/* The image is the worker's, but its keep and where the identity lies never change. */
int feed_set_identity(struct feed *feed, const void *bytes, size_t length) {
        return feed->keep ? keep_set_identity(feed->keep, bytes, length) : 0;
}

static const char *reason_of_keep(int r) {
        switch (r) {
        case KEEP_E_LAYOUT:
                return "another version of tracemallocd made its table";
        case KEEP_E_ASIDE:
                return "daemons died while they were at it: set aside";
        default:
                return "its table is damaged";
        }
}

static int adopt_parts(struct feed *feed, const struct feed_fds *fds, struct keep *keep,
                       const struct feed_options *options, const char **reasonp) {
        struct kept_reader reader;
        int r = image_adopt(&feed->image, keep, options->memory_limit, &reader);
        if (r > 0)
                *reasonp = reason_of_keep(KEEP_E_BROKEN);
        if (r)
                return r;
        feed->by_ring = true;
        feed->mode = feed->image.tracing ? TRACE_EXACT : TRACE_OFF;
        feed->fork_token = reader.fork_token;
        feed->parent_id = reader.parent;
        feed->parent_position = reader.parent_position;
        feed->phase = reader.waits_for_parent ? FEED_WAITS_FOR_PARENT : reader.broken ? FEED_BROKEN : FEED_RUNS;
        feed->forks_dropped_told = feed->image.forks_dropped;
        r = ring_reader_adopt(&feed->ring, fds->ring, fds->control, reader.position, reasonp);
        feed->ring.late_writers = reader.late_writers;
        if (r == 0)
                r = definitions_open_ring(&feed->definitions, fds->definitions, reasonp);
        if (r)
                image_deinit(&feed->image);
        else
                feed->tied_fd = fcntl(fds->ring, F_DUPFD_CLOEXEC, 3);
        return r;
}

int feed_adopt(struct worker *worker, const struct feed_fds *fds, const struct feed_options *options,
               struct feed **feedp, const char **reasonp) {
        AUTO_CLOSE int ring = fds->ring;
        AUTO_CLOSE int definitions = fds->definitions;
        AUTO_CLOSE int control = fds->control;
        struct keep *keep;
        struct feed *feed;
        int r = keep_adopt(fds->table, &keep);
        if (r > 0)
                *reasonp = reason_of_keep(r);
        if (r)
                return r < 0 ? r : FEED_E_REFUSED;
        r = feed_handle_new(worker, options, &feed);
        if (r == 0) {
                r = adopt_parts(feed, fds, keep, options, reasonp);
                if (r)
                        feed_handle_free(feed);
        }
        keep_busy(keep, false);
        if (r) {
                keep_free(keep);
                return r < 0 ? r : FEED_E_REFUSED;
        }
        feed->keep = keep;
        *feedp = feed;
        return 0;
}

const void *feed_adopt_identity(const struct feed *feed, size_t *lengthp) {
        return keep_identity(feed->keep, lengthp);
}

void feed_adopt_pool(struct feed *feed, struct charge_pool *pool) {
        if (!pool)
                return;
        feed->pool = charge_pool_ref(pool);
        charge_join_forced(feed->image.charge, pool);
}

uint64_t feed_adopt_parent(const struct feed *feed) {
        return feed->parent_id;
}

size_t feed_adopt_forks(const struct feed *feed, uint32_t *tokens, uint32_t *pids) {
        size_t n = 0;
        for (const struct image_fork *fork = feed->image.forks; fork; fork = fork->next) {
                tokens[n] = fork->token;
                pids[n++] = fork->pid;
        }
        return n;
}

const struct image_phase *feed_adopt_phase(const struct feed *feed) {
        return &feed->image.phase;
}

bool feed_adopt_waits(const struct feed *feed) {
        return feed->phase == FEED_WAITS_FOR_PARENT;
}

void feed_adopt_link(struct feed *feed, struct feed *parent) {
        if (feed->phase == FEED_WAITS_FOR_PARENT) {
                feed->parent = parent;
        } else if (parent) {
                /* the child has its table; the daemon died before the parent let go of it */
                image_fork_free(image_fork_take(&parent->image, feed->fork_token));
                feed_commit(parent);
        }
        feed_gauges_update(feed);
}

void feed_adopt_start(struct feed *feed) {
        feed->worker->n_feeds++;
        worker_call(feed->worker, &feed->attach_job);
}

void feed_adopt_worker(struct feed *feed, struct worker *worker) {
        feed->worker = worker;
}

void feed_abandon(struct feed *feed) {
        if (!feed)
                return;
        feed_discard_image(feed);
        definitions_close(&feed->definitions);
        feed_handle_free(feed);
}

void feed_dismiss(const struct feed_fds *fds) {
        ring_reader_dismiss(fds->control);
}
