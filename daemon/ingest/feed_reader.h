/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The worker's side of feeds. Worker's thread. */

#include "daemon/ingest/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct feed;

struct feed_round_result {
        uint64_t due_ns; /* CLOCK_MONOTONIC: when the next feed wants to be read; UINT64_MAX: none */
        bool more;       /* do not sleep: something is left to do */
        bool worked;     /* something was there */
};

/** feed_round_all() - one round: read what is there, do what was asked, a slice of each snapshot
 * @feeds: linked by next; @now_ns: CLOCK_MONOTONIC; @rang: the doorbell woke us */
struct feed_round_result feed_round_all(struct feed *feeds, uint64_t now_ns, bool rang);

/* Jobs of feed.c. */
enum worker_job_state feed_attach_run(struct worker_job *job);
enum worker_job_state feed_detach_run(struct worker_job *job);
enum worker_job_state feed_op_run(struct worker_job *job);
enum worker_job_state feed_push_run(struct worker_job *job);

/** feed_commit() - with a keep: all that was done is in force, also for the next daemon */
void feed_commit(struct feed *feed);
