/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests at a position of a feed. Worker's thread. */

struct feed;
struct feed_op;

/** feed_op_start() - the reader is there: do it, or cut and read out in later rounds
 * @op: taken; goes back to the main loop when it is done */
void feed_op_start(struct feed *feed, struct feed_op *op);

/** feed_ops_step() - a slice of each snapshot that is being read out; the end of the feed when it waits for them */
void feed_ops_step(struct feed *feed);

/** feed_ops_refuse() - answer all that wait for their position with an error: there is no table any more */
void feed_ops_refuse(struct feed *feed, int error);

/** feed_ops_cancel() - answer everything with -ECANCELED */
void feed_ops_cancel(struct feed *feed);
