/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A request that a thread of libuv's pool answers: it may read the store and
 * wait for the symbol helper, which the main loop may not. Begun and ended on the main
 * loop.
 */

#include "daemon/control/control_peer.h"
#include "daemon/control/pool_queue.h"
#include "daemon/control/reply_buffer.h"
#include "daemon/store/store_reader.h"

#include <stdint.h>

struct daemon;

/* Embed it as the first member. */
struct pool_job {
        struct pool_task task;
        struct daemon *daemon;
        struct control_peer *peer; /* referenced */
        struct credentials who;    /* the peer's */
        struct reply_buffer replies;
        struct store_reader *reader; /* pool_job_reader() */
        int error_code;              /* CONTROL_*; 0: done */
        char *error;                 /* malloc'd */
        /* pool thread: the work */
        void (*run)(struct pool_job *job);
        /* main loop, when run() did not fail: goes on with what run() found, and answers job->peer, whose reference
         * it takes. NULL: the replies are the answer, and all that comes of it: nothing is run for a client that is
         * gone. */
        void (*finish)(struct pool_job *job);
        /* main loop: frees the job and what it holds */
        void (*free)(struct pool_job *job);
};

/** pool_job_start() - queue it behind others of its user; what it becomes is told to the peer. @job: taken */
void pool_job_start(struct pool_job *job);

/** pool_job_fail() - pool thread: the request fails with this message; the first failure counts */
void pool_job_fail(struct pool_job *job, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** pool_job_fail_store() - what a store function returned, in a user's words
 * @what: the object that was asked for, for STORE_E_NOT_FOUND */
void pool_job_fail_store(struct pool_job *job, int code, const char *message, const char *what);

/** pool_job_reader() - pool thread: a connection to the store, the job's until it ends
 * Return: a reader, or NULL: the job has failed. */
struct store_reader *pool_job_reader(struct pool_job *job);
