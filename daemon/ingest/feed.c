/* SPDX-License-Identifier: Apache-2.0 */

/* The main loop's handle of a feed: its birth, its end, what can be said of it without asking the worker. Main loop.
 * What it asks of the worker is in feed_requests.c, the worker's side in feed_reader.c. */

#include "daemon/ingest/feed.h"

#include "daemon/base/cleanup.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/ingest/memfd.h"
#include "daemon/ingest/snapshot_identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void feed_handle_free(struct feed *feed) {
        feed_fds_stored(feed);
        fd_close(&feed->tied_fd);
        ring_reader_close(&feed->ring);
        snapshot_identity_deinit(&feed->info);
        free(feed->broken_notice);
        charge_pool_give(feed->pool, feed->definitions_charged);
        charge_pool_unref(feed->pool);
        free(feed);
}

void feed_close_if_done(struct feed *feed) {
        if (!feed->detached || feed->n_ops > 0)
                return;
        void (*closed)(void *) = feed->closed;
        void *data = feed->closed_data;
        feed_handle_free(feed);
        if (closed)
                closed(data);
}

static void on_detached(struct worker_job *job) {
        struct feed *feed = (struct feed *)((char *)job - offsetof(struct feed, detach_job));
        job->worker->n_feeds--;
        feed->detached = true;
        feed_close_if_done(feed);
}

void feed_notice_done(struct worker_job *job) {
        struct feed_notice_job *notice = (struct feed_notice_job *)job;
        struct feed *feed = notice->feed;
        if (feed->notify && !feed->freed)
                feed->notify(feed->data, feed, &notice->notice);
        free(notice);
}

void feed_discard_image(struct feed *feed) {
        struct keep *keep = feed->image.keep;
        image_deinit(&feed->image);
        keep_free(keep);
}

int feed_handle_new(struct worker *worker, const struct feed_options *options, struct feed **feedp) {
        struct feed *feed = calloc(1, sizeof *feed);
        if (!feed)
                return -ENOMEM;
        feed->worker = options->parent ? options->parent->worker : worker;
        feed->ring.control_fd = -1;
        feed->fds = (struct feed_fds){-1, -1, -1, -1};
        feed->tied_fd = -1;
        feed->id = options->id;
        feed->ops_end = &feed->ops;
        feed->pushes_end = &feed->pushes;
        feed->notify = options->notify;
        feed->pool = options->pool ? charge_pool_ref(options->pool) : NULL;
        feed->data = options->data;
        feed->mode = options->mode;
        feed->memory_limit = options->memory_limit ? options->memory_limit : UINT64_MAX;
        feed->hole_timeout_ns =
                (options->hole_timeout_ms ? options->hole_timeout_ms : FEED_HOLE_TIMEOUT_MS) * UINT64_C(1000000);
        feed->attach_job.run = feed_attach_run;
        feed->detach_job.run = feed_detach_run;
        feed->detach_job.done = on_detached;
        feed->broken_notice = calloc(1, sizeof *feed->broken_notice);
        int r = feed->broken_notice ? snapshot_identity_copy(&feed->info, options->info) : -ENOMEM;
        if (r) {
                feed_handle_free(feed);
                return r;
        }
        feed->broken_notice->job.done = feed_notice_done;
        feed->broken_notice->feed = feed;
        *feedp = feed;
        return 0;
}

static int new_feed(struct worker *worker, const struct feed_options *options, bool kept, struct feed **feedp) {
        struct feed *feed;
        struct keep *keep = NULL;
        int r = feed_handle_new(worker, options, &feed);
        if (r)
                return r;
        if (kept)
                r = keep_new(&keep);
        if (r == 0)
                r = image_init(&feed->image, keep, options->memory_limit);
        if (r) {
                keep_free(keep);
                feed_handle_free(feed);
                return r < 0 ? r : -ENOMEM;
        }
        feed->keep = keep;
        if (options->pool && !charge_join(feed->image.charge, options->pool)) {
                feed_discard_image(feed);
                feed_handle_free(feed);
                return FEED_E_FULL;
        }
        feed->image.begun_inexact = options->inexact;
        feed->image.lost = options->lost_before;
        feed->image.tracing = options->mode != TRACE_OFF;
        *feedp = feed;
        return 0;
}

/* From here on the worker has it. */
static void attach(struct feed *feed, const struct feed_options *options) {
        feed->phase = FEED_RUNS;
        if (options->parent) {
                feed->phase = FEED_WAITS_FOR_PARENT;
                feed->parent = options->parent;
                feed->fork_token = options->fork_token;
                feed->parent_id = options->parent->id;
                /* one that finishes is still being read; how far it gets only its worker knows */
                feed->parent_position = options->parent->finishing ? UINT64_MAX : feed_position(options->parent);
        }
        feed_commit(feed);
        atomic_store(&feed->gauges.exact, image_is_exact(&feed->image) && !options->parent);
        atomic_store(&feed->gauges.tracing, feed->image.tracing);
        feed->worker->n_feeds++;
        worker_call(feed->worker, &feed->attach_job);
}

/* From here on the peer's descriptor is the peer's alone. Where that can't be, its ring is read all the same. */
static void tie(int *ringp) {
        int own;
        if (memfd_tie_peer(*ringp, &own) != 0)
                return;
        close(*ringp);
        *ringp = own;
}

int feed_new_ring(struct worker *worker, int ring_fd, int definitions_fd, const struct feed_options *options,
                  struct feed **feedp, const char **reasonp) {
        AUTO_CLOSE int ring = ring_fd;
        AUTO_CLOSE int definitions = definitions_fd;
        struct feed *feed;
        int r = new_feed(worker, options, options->kept, &feed);
        if (r == FEED_E_FULL)
                *reasonp = FEED_POOL_IS_USED_UP;
        if (r)
                return r;
        feed->by_ring = true;
        tie(&ring);
        r = options->kept
                    ? ring_reader_open_kept(&feed->ring, ring, options->mode, options->traceback_limit,
                                            options->domains, options->stall_limit_us, &feed->fds.control, reasonp)
                    : ring_reader_open(&feed->ring, ring, options->mode, options->traceback_limit, options->domains,
                                       options->stall_limit_us, reasonp);
        if (r == 0)
                r = definitions_open_ring(&feed->definitions, definitions, reasonp);
        if (r) {
                feed_discard_image(feed);
                feed_handle_free(feed);
                return r < 0 ? r : FEED_E_REFUSED;
        }
        feed->tied_fd = fcntl(ring, F_DUPFD_CLOEXEC, 3);
        if (options->kept) {
                feed->fds.ring = fd_steal(&ring);
                feed->fds.definitions = fd_steal(&definitions);
                feed->fds.table = keep_fd(feed->image.keep);
        }
        attach(feed, options);
        *feedp = feed;
        return 0;
}

int feed_new_socket(struct worker *worker, const struct feed_options *options, struct feed **feedp,
                    const char **reasonp) {
        struct feed *feed;
        int r = new_feed(worker, options, false, &feed);
        if (r == FEED_E_FULL)
                *reasonp = FEED_POOL_IS_USED_UP;
        if (r)
                return r;
        definitions_open_socket(&feed->definitions);
        feed->nodes_pushed = 1;
        attach(feed, options);
        *feedp = feed;
        return 0;
}

struct worker *feed_worker(const struct feed *feed) {
        return feed->worker;
}

bool feed_reads_ring(const struct feed *feed, int ring_fd) {
        struct stat st;
        return feed->by_ring && ring_fd >= 0 && fstat(ring_fd, &st) == 0 && st.st_ino == feed->ring.inode;
}

bool feed_has_writer(const struct feed *feed) {
        return feed->by_ring ? memfd_is_tied(feed->tied_fd) : !feed->cut_off;
}

int feed_control_fd(const struct feed *feed) {
        return feed->by_ring && !feed->finishing ? feed->ring.control_fd : -1;
}

uint64_t feed_position(const struct feed *feed) {
        if (feed->finishing)
                return atomic_load_explicit(&feed->gauges.position, memory_order_relaxed);
        return feed->by_ring ? ring_reader_head(&feed->ring) : feed->records_pushed;
}

void feed_set_limits(struct feed *feed, uint32_t traceback_limit, uint32_t domains) {
        if (!feed->by_ring || feed->finishing)
                return;
        atomic_store(&feed->ring.control->traceback_limit, traceback_limit);
        atomic_store(&feed->ring.control->domains, domains);
}

int feed_set_info(struct feed *feed, const struct snapshot_info *info) {
        struct snapshot_info copy;
        int r = snapshot_identity_copy(&copy, info);
        if (r)
                return r;
        snapshot_identity_deinit(&feed->info);
        feed->info = copy;
        return 0;
}

void feed_end(struct feed *feed) {
        if (feed->by_ring && !feed->finishing)
                ring_reader_set_mode(&feed->ring, TRACE_ENDED);
}

void feed_free(struct feed *feed, void (*closed)(void *data), void *data) {
        if (!feed)
                return;
        assert(!feed->freed);
        feed->freed = true;
        feed->closed = closed;
        feed->closed_data = data;
        worker_call(feed->worker, &feed->detach_job);
}

const struct feed_gauges *feed_gauges(const struct feed *feed) {
        return &feed->gauges;
}
