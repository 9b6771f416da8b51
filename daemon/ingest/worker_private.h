/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between worker.c, feed.c and feed_reader.c. */

#include "daemon/ingest/worker.h"

#include <stdbool.h>

struct feed;

struct worker {
        uv_loop_t *loop;
        uv_async_t async;
        uv_thread_t thread;
        int doorbell_fd;
        struct doorbell *doorbell;
        unsigned n_feeds; /* main loop's */
        void (*closed)(void *data);
        void *closed_data;
        uv_mutex_t mutex; /* over what follows */
        struct worker_job *inbox, **inbox_end;
        struct worker_job *outbox, **outbox_end;
        bool stopping;
        /* the thread's own */
        struct feed *feeds;
};

/** worker_post() - worker's thread: have job->done() called on the main loop; no run() needed before */
void worker_post(struct worker *worker, struct worker_job *job);
