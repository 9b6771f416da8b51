/* SPDX-License-Identifier: Apache-2.0 */

/* The main loop's handle of a feed. Runs on the main loop's thread; the worker's side is in feed_reader.c. */

#include "daemon/ingest/feed.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/ingest/feed_gauges.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/ingest/memfd.h"
#include "daemon/ingest/snapshot_identity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POOL_IS_USED_UP "its user's share of memory is used up (table_memory_per_user)"

static void close_fd(int *fdp) {
        if (*fdp >= 0)
                close(*fdp);
        *fdp = -1;
}

static void destroy(struct feed *feed) {
        close_fd(&feed->fds.ring);
        close_fd(&feed->fds.definitions);
        close_fd(&feed->fds.control);
        close_fd(&feed->tied_fd);
        ring_reader_close(&feed->ring);
        snapshot_identity_deinit(&feed->info);
        free(feed->broken_notice);
        charge_pool_give(feed->pool, feed->definitions_charged);
        charge_pool_unref(feed->pool);
        free(feed);
}

/* The last callback may be that of an op whose snapshot is still being sorted when the worker has let go. */
static void maybe_close(struct feed *feed) {
        if (!feed->detached || feed->n_ops > 0)
                return;
        void (*closed)(void *) = feed->closed;
        void *data = feed->closed_data;
        destroy(feed);
        if (closed)
                closed(data);
}

static void on_detached(struct worker_job *job) {
        struct feed *feed = (struct feed *)((char *)job - offsetof(struct feed, detach_job));
        job->worker->n_feeds--;
        feed->detached = true;
        maybe_close(feed);
}

void feed_notice_done(struct worker_job *job) {
        struct feed_notice_job *notice = (struct feed_notice_job *)job;
        struct feed *feed = notice->feed;
        if (feed->notify && !feed->freed)
                feed->notify(feed->data, feed, &notice->notice);
        free(notice);
}

/* The image of a feed that cannot be: with what it lies in. */
static void discard_image(struct feed *feed) {
        struct keep *keep = feed->image.keep;
        image_deinit(&feed->image);
        keep_free(keep);
}

/* What all ways have in common; the image is missing. Return: 0; -errno. */
static int new_handle(struct worker *worker, const struct feed_options *options, struct feed **feedp) {
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
                destroy(feed);
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
        int r = new_handle(worker, options, &feed);
        if (r)
                return r;
        if (kept)
                r = keep_new(&keep);
        if (r == 0)
                r = image_init(&feed->image, keep, options->memory_limit);
        if (r) {
                keep_free(keep);
                destroy(feed);
                return r < 0 ? r : -ENOMEM;
        }
        feed->keep = keep;
        if (options->pool && !charge_join(feed->image.charge, options->pool)) {
                discard_image(feed);
                destroy(feed);
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
                *reasonp = POOL_IS_USED_UP;
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
                discard_image(feed);
                destroy(feed);
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

struct feed_fds feed_fds(const struct feed *feed) {
        return feed->fds;
}

void feed_fds_stored(struct feed *feed) {
        close_fd(&feed->fds.ring);
        close_fd(&feed->fds.definitions);
        close_fd(&feed->fds.control);
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
               struct feed **feedp, const void **identityp, size_t *identity_lengthp, const char **reasonp) {
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
        r = new_handle(worker, options, &feed);
        if (r == 0) {
                r = adopt_parts(feed, fds, keep, options, reasonp);
                if (r)
                        destroy(feed);
        }
        keep_busy(keep, false);
        if (r) {
                keep_free(keep);
                return r < 0 ? r : FEED_E_REFUSED;
        }
        feed->keep = keep;
        *identityp = keep_identity(keep, identity_lengthp);
        *feedp = feed;
        return 0;
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
        discard_image(feed);
        definitions_close(&feed->definitions);
        destroy(feed);
}

void feed_dismiss(const struct feed_fds *fds) {
        ring_reader_dismiss(fds->control);
}

int feed_new_socket(struct worker *worker, const struct feed_options *options, struct feed **feedp,
                    const char **reasonp) {
        struct feed *feed;
        int r = new_feed(worker, options, false, &feed);
        if (r == FEED_E_FULL)
                *reasonp = POOL_IS_USED_UP;
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

/* Numbers follow on, parents come first; that the items can be read is seen when they are. */
static const char *refuse_definitions(const struct feed *feed, uint32_t first_node, const unsigned char *nodes,
                                      size_t nodes_length, uint64_t first_item, size_t items_length) {
        if (nodes_length % sizeof(struct node_def) || items_length % 8)
                return "definitions of a length that does not fit";
        if ((nodes_length && first_node != feed->nodes_pushed) || (items_length && first_item != feed->items_pushed))
                return "definitions do not follow on";
        for (size_t i = 0; i < nodes_length / sizeof(struct node_def); i++) {
                struct node_def def;
                memcpy(&def, nodes + i * sizeof def, sizeof def);
                if (def.parent >= first_node + i)
                        return "a node comes before its parent";
        }
        return NULL;
}

int feed_push_definitions(struct feed *feed, uint32_t first_node, const void *nodes, size_t nodes_length,
                          uint64_t first_item, const void *items, size_t items_length, const char **reasonp) {
        const char *reason = refuse_definitions(feed, first_node, nodes, nodes_length, first_item, items_length);
        if (feed->by_ring)
                reason = "definitions are in the ring way's memfd";
        if (reason) {
                *reasonp = reason;
                return FEED_E_REFUSED;
        }
        if (nodes_length == 0 && items_length == 0)
                return 0;
        uint64_t nodes_after = feed->nodes_pushed + nodes_length / sizeof(struct node_def);
        uint64_t items_after = feed->items_pushed + items_length;
        if (nodes_after > NODE_CAPACITY_MAX || items_after > ITEMS_CAPACITY_MAX ||
            nodes_after * sizeof(struct node_def) + items_after > feed->memory_limit) {
                *reasonp = "too many definitions";
                return FEED_E_FULL;
        }
        if (!charge_pool_take(feed->pool, nodes_length + items_length)) {
                *reasonp = POOL_IS_USED_UP;
                return FEED_E_FULL;
        }
        feed->definitions_charged += nodes_length + items_length;
        struct feed_push *push = calloc(1, sizeof *push + nodes_length + items_length);
        if (!push)
                return -ENOMEM;
        push->job.run = feed_push_run;
        push->feed = feed;
        push->nodes_length = nodes_length;
        push->items_length = items_length;
        if (nodes_length)
                memcpy(push->bytes, nodes, nodes_length);
        if (items_length)
                memcpy(push->bytes + nodes_length, items, items_length);
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
        struct feed_push *push = calloc(1, sizeof *push + length);
        if (!push)
                return -ENOMEM;
        push->job.run = feed_push_run;
        push->feed = feed;
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

uint64_t feed_position(const struct feed *feed) {
        if (feed->finishing)
                return atomic_load_explicit(&feed->gauges.position, memory_order_relaxed);
        return feed->by_ring ? ring_reader_head(&feed->ring) : feed->records_pushed;
}

static void free_op(struct feed_op *op) {
        for (size_t i = 0; i < 2; i++) {
                snapshot_builder_free(op->builders[i]);
                snapshot_unref(op->snapshots[i]);
        }
        free(op->label);
        free(op->ended_by);
        free(op);
}

/* Back on the main loop with everything done: the callback, which takes the references. */
static void complete_op(struct feed_op *op) {
        struct feed *feed = op->feed;
        struct snapshot *snapshots[2] = {op->snapshots[0], op->snapshots[1]};
        op->snapshots[0] = op->snapshots[1] = NULL;
        if (op->error) {
                snapshots[0] = snapshot_unref(snapshots[0]);
                snapshots[1] = snapshot_unref(snapshots[1]);
        }
        if (op->finish_cb)
                op->finish_cb(op->data, snapshots[0], snapshots[1], op->error);
        else if (op->snapshot_cb)
                op->snapshot_cb(op->data, snapshots[0], op->error);
        else if (op->error && op->error != -ECANCELED && op->error != -ESRCH)
                log_error("process %u: %s", feed->info.pid, strerror(-op->error));
        free_op(op);
        feed->n_ops--;
        maybe_close(feed);
}

/* On the thread pool. */
static void sort_snapshots(uv_work_t *work) {
        struct feed_op *op = work->data;
        for (size_t i = 0; i < 2 && op->error == 0; i++) {
                if (!op->builders[i])
                        continue;
                op->error = snapshot_builder_finish(op->builders[i], &op->snapshots[i]);
                if (op->error == 0)
                        op->builders[i] = NULL;
        }
}

static void on_sorted(uv_work_t *work, int status) {
        struct feed_op *op = work->data;
        if (status < 0 && op->error == 0)
                op->error = status;
        complete_op(op);
}

static void identify(struct feed_op *op) {
        for (size_t i = 0; i < 2 && op->error == 0; i++) {
                if (!op->builders[i])
                        continue;
                struct snapshot_info *info = snapshot_builder_info(op->builders[i]);
                op->error = snapshot_identity_apply(info, &op->feed->info, op->label, op->ended_by);
                info->taken_at_ns = op->taken_at_ns;
        }
}

static void on_op_done(struct worker_job *job) {
        struct feed_op *op = (struct feed_op *)job;
        identify(op);
        op->work.data = op;
        if (op->error || (!op->builders[0] && !op->builders[1]) ||
            uv_queue_work(job->worker->loop, &op->work, sort_snapshots, on_sorted))
                complete_op(op);
}

static struct feed_op *new_op(struct feed *feed, enum feed_op_kind kind, uint64_t position) {
        struct feed_op *op = calloc(1, sizeof *op);
        if (!op)
                return NULL;
        op->job.run = feed_op_run;
        op->job.done = on_op_done;
        op->feed = feed;
        op->kind = kind;
        op->position = position;
        return op;
}

static void send_op(struct feed_op *op) {
        assert(!op->feed->freed);
        op->feed->n_ops++;
        worker_call(op->feed->worker, &op->job);
}

static int send_simple_op(struct feed *feed, enum feed_op_kind kind, uint64_t position) {
        struct feed_op *op = new_op(feed, kind, position);
        if (!op)
                return -ENOMEM;
        send_op(op);
        return 0;
}

static int64_t realtime_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int feed_snapshot(struct feed *feed, const struct feed_snapshot_options *options, feed_snapshot_cb cb, void *data) {
        uint64_t position = options->position == FEED_POSITION_NOW ? feed_position(feed) : options->position;
        struct feed_op *op = new_op(feed, FEED_OP_SNAPSHOT, position);
        if (!op)
                return -ENOMEM;
        if (options->label && !(op->label = strdup(options->label))) {
                free_op(op);
                return -ENOMEM;
        }
        op->kinds[0] = options->kind;
        op->wanted[0] = true;
        op->one_block = options->one_block;
        op->address = options->address;
        op->taken_at_ns = options->taken_at_ns ? options->taken_at_ns : realtime_ns();
        op->snapshot_cb = cb;
        op->data = data;
        send_op(op);
        return 0;
}

int feed_finish(struct feed *feed, unsigned flags, const char *ended_by, feed_finish_cb cb, void *data) {
        struct feed_op *op = new_op(feed, FEED_OP_FINISH, UINT64_MAX);
        if (!op)
                return -ENOMEM;
        if (ended_by && !(op->ended_by = strdup(ended_by))) {
                free_op(op);
                return -ENOMEM;
        }
        op->kinds[0] = SNAPSHOT_EXIT;
        op->kinds[1] = SNAPSHOT_PEAK;
        op->wanted[0] = flags & FEED_FINISH_EXIT;
        op->wanted[1] = flags & FEED_FINISH_PEAK;
        op->taken_at_ns = realtime_ns();
        op->finish_cb = cb;
        op->data = data;
        feed->finishing = true;
        send_op(op);
        return 0;
}

int feed_set_mode(struct feed *feed, uint32_t mode) {
        if (feed->mode == mode || feed->finishing)
                return 0;
        bool start = feed->mode == TRACE_OFF;
        bool stop = mode == TRACE_OFF;
        if (start || stop) {
                int r = send_simple_op(feed, start ? FEED_OP_START : FEED_OP_STOP, start ? feed_position(feed) : 0);
                if (r)
                        return r;
        }
        feed->mode = mode;
        if (feed->by_ring)
                ring_reader_set_mode(&feed->ring, mode);
        return 0;
}

void feed_set_limits(struct feed *feed, uint32_t traceback_limit, uint32_t domains) {
        if (!feed->by_ring || feed->finishing)
                return;
        atomic_store(&feed->ring.control->traceback_limit, traceback_limit);
        atomic_store(&feed->ring.control->domains, domains);
}

int feed_clear(struct feed *feed) {
        return send_simple_op(feed, FEED_OP_CLEAR, feed_position(feed));
}

int feed_reset_peak(struct feed *feed) {
        return send_simple_op(feed, FEED_OP_RESET_PEAK, feed_position(feed));
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

void feed_cut_off(struct feed *feed) {
        feed->cut_off = true;
        if (!feed->finishing && !feed->by_ring)
                send_simple_op(feed, FEED_OP_CUT_OFF, feed_position(feed));
}

void feed_drop_fork(struct feed *feed, uint32_t token) {
        struct feed_op *op = new_op(feed, FEED_OP_DROP_FORK, feed_position(feed));
        if (!op)
                return; /* FEED_FORKS_MAX bounds what stays */
        op->token = token;
        send_op(op);
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
