/* SPDX-License-Identifier: Apache-2.0 */

/* What was asked of a feed: cuts, clears, its end. Runs on the ingest worker; called by feed_reader.c when the reader
 * has come to the position of the request. */

#include "daemon/ingest/feed_ops.h"

#include "daemon/ingest/feed_gauges.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/live/image_fork.h"

#include <errno.h>

#define SLICE_BLOCKS 8192 /* of one snapshot in one round: what the ring of a busy process takes meanwhile */

static void finish_op(struct feed *feed, struct feed_op *op) {
        feed_gauges_update(feed);
        worker_job_finish(&op->job);
}

/* Cut what the op wants; it is read out in later rounds. */
static void begin_reading(struct feed *feed, struct feed_op *op) {
        for (size_t i = 0; i < 2 && op->error == 0; i++) {
                if (op->one_block && op->wanted[i])
                        op->error = image_snapshot_begin_block(&feed->image, op->address, &feed->definitions.source,
                                                               &op->reading[i]);
                else if (op->wanted[i])
                        op->error = image_snapshot_begin(&feed->image, op->kinds[i], &feed->definitions.source,
                                                         &op->reading[i]);
        }
        op->next = feed->reading;
        feed->reading = op;
}

void feed_op_start(struct feed *feed, struct feed_op *op) {
        switch (op->kind) {
        case FEED_OP_FINISH:
                if (!feed->by_ring)
                        image_cut_off(&feed->image); /* a ring outlives its process, what was not sent does not */
                feed->finish = op;
                begin_reading(feed, op);
                return;
        case FEED_OP_SNAPSHOT:
                begin_reading(feed, op);
                return;
        case FEED_OP_CLEAR:
                op->error = image_clear(&feed->image);
                break;
        case FEED_OP_RESET_PEAK:
                image_reset_peak(&feed->image);
                break;
        case FEED_OP_START:
                image_start(&feed->image);
                break;
        case FEED_OP_STOP:
                op->error = image_stop(&feed->image);
                break;
        case FEED_OP_DROP_FORK:
                image_fork_free(image_fork_take(&feed->image, op->token));
                break;
        case FEED_OP_CUT_OFF:
                image_cut_off(&feed->image);
                break;
        }
        feed_commit(feed); /* what is answered is in force */
        finish_op(feed, op);
}

/* A slice of each snapshot of the op. Return: whether there is more. */
static bool step_op(struct feed_op *op) {
        bool more = false;
        for (size_t i = 0; i < 2; i++) {
                if (!op->reading[i] || op->error)
                        continue;
                int r = image_snapshot_step(op->reading[i], SLICE_BLOCKS);
                if (r < 0)
                        op->error = r;
                else if (r == IMAGE_SNAPSHOT_MORE)
                        more = true;
                else {
                        op->builders[i] = image_snapshot_finish(op->reading[i]);
                        op->reading[i] = NULL;
                }
        }
        return more && op->error == 0;
}

static void cancel_reading(struct feed_op *op) {
        for (size_t i = 0; i < 2; i++) {
                op->reading[i] = image_snapshot_cancel(op->reading[i]);
                if (op->error)
                        op->builders[i] = snapshot_builder_free(op->builders[i]);
        }
}

static void close_state(struct feed *feed) {
        image_release(&feed->image);
        definitions_close(&feed->definitions);
        ring_reader_close(&feed->ring); /* since feed_finish() the main loop does not look at it */
        feed->ring_closed = true;
        feed->phase = FEED_FINISHED;
}

void feed_ops_step(struct feed *feed) {
        struct feed_op **link = &feed->reading;
        while (*link) {
                struct feed_op *op = *link;
                if (step_op(op)) {
                        link = &op->next;
                        continue;
                }
                cancel_reading(op); /* nothing is left to cancel but after an error */
                *link = op->next;
                if (op->kind != FEED_OP_FINISH)
                        finish_op(feed, op);
        }
        if (!feed->finish || feed->reading)
                return;
        struct feed_op *op = feed->finish;
        feed->finish = NULL;
        feed_gauges_update(feed);
        close_state(feed);
        worker_job_finish(&op->job);
}

/* Asked of a feed that has no table any more. */
void feed_ops_refuse(struct feed *feed, int error) {
        while (feed->ops) {
                struct feed_op *op = feed->ops;
                feed->ops = op->next;
                if (op->kind == FEED_OP_DROP_FORK)
                        image_fork_free(image_fork_take(&feed->image, op->token));
                else
                        op->error = error;
                worker_job_finish(&op->job);
        }
        feed->ops_end = &feed->ops;
}

void feed_ops_cancel(struct feed *feed) {
        while (feed->reading) {
                struct feed_op *op = feed->reading;
                feed->reading = op->next;
                op->error = -ECANCELED;
                cancel_reading(op);
                if (op != feed->finish)
                        worker_job_finish(&op->job);
        }
        if (feed->finish) { /* it may have been read out and waited for others */
                feed->finish->error = -ECANCELED;
                cancel_reading(feed->finish);
                worker_job_finish(&feed->finish->job);
        }
        feed_ops_refuse(feed, -ECANCELED);
}
