/* SPDX-License-Identifier: Apache-2.0 */

/* Users' turns for the threads of the pool. Main loop; used by pool_job.c. */

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

static void begin_next(struct pool_queue *queue);

static void on_work(uv_work_t *work) {
        struct pool_task *task = work->data;
        task->run(task);
}

static void on_worked(uv_work_t *work, int status) {
        struct pool_task *task = work->data;
        struct pool_queue *queue = task->queue;
        user_turns_remove(&queue->turns, &task->turn);
        task->done(task, status);
        begin_next(queue);
}

static void begin_next(struct pool_queue *queue) {
        for (struct user_turn *next;
             (next = user_turns_next(&queue->turns, POOL_REQUESTS_MAX, POOL_REQUESTS_PER_USER_MAX));) {
                struct pool_task *task = (struct pool_task *)next;
                user_turns_serve(&queue->turns, next);
                task->begin(task);
                task->work.data = task;
                uv_queue_work(queue->loop, &task->work, on_work, on_worked); /* fails without a callback only */
        }
}

void pool_queue_add(struct pool_queue *queue, struct pool_task *task) {
        if (queue->closed)
                return task->done(task, UV_ECANCELED);
        task->queue = queue;
        user_turns_add(&queue->turns, &task->turn, task->uid);
        begin_next(queue);
}

static struct user_turn *first_waiting(const struct pool_queue *queue) {
        struct user_turn *turn = queue->turns.first;
        while (turn && turn->served)
                turn = turn->next;
        return turn;
}

void pool_queue_close(struct pool_queue *queue) {
        queue->closed = true;
        for (struct user_turn *turn; (turn = first_waiting(queue));) {
                struct pool_task *task = (struct pool_task *)turn;
                user_turns_remove(&queue->turns, turn);
                task->done(task, UV_ECANCELED);
        }
}
