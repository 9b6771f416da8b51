/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One ingest thread. It owns the feeds that were made on it (feed.h) and
 * nobody else touches their rings and tables. The main loop hands it jobs; it
 * hands them back done.
 *
 * The thread sleeps in FUTEX_WAIT on the first word of its doorbell, a memfd
 * page that is shared with every agent it serves. A peer can write anything
 * there: that costs this thread a wake-up, or delays one until its timer (at
 * most WORKER_SLEEP_MAX_MS), and nothing else.
 *
 * All functions: main loop's thread, except where said.
 */

#include <uv.h>

#include <stdint.h>

#define WORKER_SLEEP_MIN_MS 1   /* a busy ring is read this often */
#define WORKER_SLEEP_MAX_MS 100 /* an idle one */

struct worker;

enum worker_job_state {
        WORKER_JOB_DONE,    /* hand it back now */
        WORKER_JOB_PENDING, /* worker_job_finish() will be called */
};

/* Embedded in whatever the caller needs; must stay valid until done(). */
struct worker_job {
        /* on the worker's thread; NULL: nothing to do there */
        enum worker_job_state (*run)(struct worker_job *job);
        /* on the main loop; may free the job. NULL: the job frees itself in run() */
        void (*done)(struct worker_job *job);
        struct worker *worker;   /* set by worker_call() */
        struct worker_job *next; /* the worker's */
};

/** worker_new() - start the thread, make its doorbell
 * @doorbell_fd: of a daemon before this one, taken, also on failure; -1: make one
 * @loop: where done() is called; borrowed until the closed callback of worker_free()
 * @workerp: set on 0 only
 * Return: 0; -errno of memfd_create, mmap, thread or loop. */
int worker_new(uv_loop_t *loop, int doorbell_fd, struct worker **workerp);

/** worker_free() - end the thread, then everything else
 * @worker: taken; every feed on it has been given to feed_free() before
 * @closed: called on the main loop when no descriptor and no handle is left; NULL is fine
 * Jobs that were handed in before are run; their done() comes before closed(). Blocks
 * for as long as the thread needs for its present round (milliseconds). */
void worker_free(struct worker *worker, void (*closed)(void *data), void *data);

/** worker_doorbell_fd() - the descriptor that HelloReply brings to agents of this worker
 * Return: a descriptor, borrowed; DOORBELL_BYTES long, sealed against resizing. */
int worker_doorbell_fd(const struct worker *worker);

/** worker_call() - have job->run() run on the thread, job->done() on the main loop after it
 * @job: borrowed until done(). Jobs run in the order they were handed in. */
void worker_call(struct worker *worker, struct worker_job *job);

/** worker_job_finish() - the thread is done with a job that was WORKER_JOB_PENDING; worker's thread */
void worker_job_finish(struct worker_job *job);

/** worker_n_feeds() - feeds made on it and not freed, for spreading new ones */
unsigned worker_n_feeds(const struct worker *worker);
