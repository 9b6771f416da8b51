/* SPDX-License-Identifier: Apache-2.0 */

/* What the main loop asks of a feed: made and sent off here, done by the worker in feed_ops.c, called back here. Main
 * loop, but for the sorting of snapshots, which is the thread pool's. */

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/ingest/feed.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/ingest/snapshot_identity.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
        feed_close_if_done(feed);
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
        op->taken_at_ns = options->taken_at_ns ? options->taken_at_ns : clock_ns(CLOCK_REALTIME);
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
        op->taken_at_ns = clock_ns(CLOCK_REALTIME);
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

int feed_clear(struct feed *feed) {
        return send_simple_op(feed, FEED_OP_CLEAR, feed_position(feed));
}

int feed_reset_peak(struct feed *feed) {
        return send_simple_op(feed, FEED_OP_RESET_PEAK, feed_position(feed));
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
