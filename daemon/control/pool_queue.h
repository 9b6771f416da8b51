/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who is next on libuv's thread pool. One user's requests, however many and however long, take a part of its threads;
 * those of several take turns (daemon/base/user_turns.h). The pool has threads that no request gets: snapshots are
 * finished on them. Main loop, but for run().
 */

#include "daemon/base/user_turns.h"

#include <uv.h>

#include <stdbool.h>
#include <sys/types.h>

#define POOL_REQUESTS_MAX          4                       /* at once */
#define POOL_REQUESTS_PER_USER_MAX 2                       /* of these */
#define POOL_THREADS               (POOL_REQUESTS_MAX + 2) /* late symbols, which may wait for a server; snapshots */

struct pool_queue;

/* Embed it. */
struct pool_task {
        struct user_turn turn; /* the queue's; first: it is found by it */
        uid_t uid;             /* whose it is; the caller sets this and the three below */
        /* on the loop, just before run() */
        void (*begin)(struct pool_task *task);
        /* the work, on a thread of the pool */
        void (*run)(struct pool_task *task);
        /* on the loop, when it is done with; may free it
         * @status: 0; UV_ECANCELED: it did not begin, the queue is closed */
        void (*done)(struct pool_task *task, int status);
        /* the queue's */
        struct pool_queue *queue;
        uv_work_t work;
};

struct pool_queue {
        uv_loop_t *loop;
        struct user_turns turns; /* of what waits and what runs */
        bool closed;
};

/** pool_queue_set_threads() - as many threads as this needs, unless the environment says how many; before the pool's
 * first work */
void pool_queue_set_threads(void);

/** pool_queue_init() - @loop: borrowed */
void pool_queue_init(struct pool_queue *queue, uv_loop_t *loop);

/** pool_queue_add() - run a task when its turn has come
 * @task: borrowed until done() is called, which may be before this returns. O(tasks). */
void pool_queue_add(struct pool_queue *queue, struct pool_task *task);

/** pool_queue_close() - what waits is done with at once, and so is what is added from now on; what runs runs on */
void pool_queue_close(struct pool_queue *queue);
