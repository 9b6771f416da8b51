/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fair queueing: a task's turn is one behind the last of the same user that is here, and not before the turn that is
 * being served. So who comes with one task waits for one of each other user's, however many these have brought.
 * Main loop; used by pool_job.c.
 */

#include "daemon/control/pool_queue.h"

#include <stdio.h>
#include <stdlib.h>

void pool_queue_set_threads(void) {
        char number[16];
        snprintf(number, sizeof number, "%d", POOL_THREADS);
        setenv("UV_THREADPOOL_SIZE", number, 0);
}

void pool_queue_init(struct pool_queue *queue, uv_loop_t *loop) {
        *queue = (struct pool_queue){.loop = loop};
}

static void append(struct pool_queue *queue, struct pool_task *task) {
        struct pool_task **link = &queue->tasks;
        task->turn = queue->turn;
        for (; *link; link = &(*link)->next) {
                if ((*link)->uid == task->uid && (*link)->turn >= task->turn)
                        task->turn = (*link)->turn + 1;
        }
        task->next = NULL;
        *link = task;
}

static void take_out(struct pool_queue *queue, struct pool_task *task) {
        struct pool_task **link = &queue->tasks;
        while (*link != task)
                link = &(*link)->next;
        *link = task->next;
}

/* @uid: NULL: everybody's */
static unsigned count_running(const struct pool_queue *queue, const uid_t *uid) {
        unsigned n = 0;
        for (const struct pool_task *task = queue->tasks; task; task = task->next)
                n += task->running && (!uid || task->uid == *uid);
        return n;
}

static struct pool_task *next_task(const struct pool_queue *queue) {
        struct pool_task *next = NULL;
        if (count_running(queue, NULL) >= POOL_REQUESTS_MAX)
                return NULL;
        for (struct pool_task *task = queue->tasks; task; task = task->next) {
                if (!task->running && (!next || task->turn < next->turn) &&
                    count_running(queue, &task->uid) < POOL_REQUESTS_PER_USER_MAX)
                        next = task;
        }
        return next;
}

static void begin_next(struct pool_queue *queue);

static void on_work(uv_work_t *work) {
        struct pool_task *task = work->data;
        task->run(task);
}

static void on_worked(uv_work_t *work, int status) {
        struct pool_task *task = work->data;
        struct pool_queue *queue = task->queue;
        take_out(queue, task);
        task->done(task, status);
        begin_next(queue);
}

static void begin_next(struct pool_queue *queue) {
        for (struct pool_task *task; (task = next_task(queue));) {
                queue->turn = task->turn;
                task->running = true;
                task->begin(task);
                task->work.data = task;
                uv_queue_work(queue->loop, &task->work, on_work, on_worked); /* fails without a callback only */
        }
}

void pool_queue_add(struct pool_queue *queue, struct pool_task *task) {
        if (queue->closed)
                return task->done(task, UV_ECANCELED);
        task->queue = queue;
        task->running = false;
        append(queue, task);
        begin_next(queue);
}

static struct pool_task *first_waiting(const struct pool_queue *queue) {
        struct pool_task *task = queue->tasks;
        while (task && task->running)
                task = task->next;
        return task;
}

void pool_queue_close(struct pool_queue *queue) {
        queue->closed = true;
        for (struct pool_task *task; (task = first_waiting(queue));) {
                take_out(queue, task);
                task->done(task, UV_ECANCELED);
        }
}
