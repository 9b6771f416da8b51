/* SPDX-License-Identifier: Apache-2.0 */

/* An ingest thread and its two queues. Functions of worker.h run on the main loop's thread, thread_main() and what it
 * calls on the worker's. */

#include "daemon/ingest/feed_reader.h"
#include "daemon/ingest/memfd.h"
#include "daemon/ingest/worker_private.h"
#include "proto/ring.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS   UINT64_C(1000000)
/* A bell that rings for nothing makes the thread deaf for a while: twice as long each time, up to this. */
#define DEAF_NS_MIN (50 * 1000)
#define DEAF_NS_MAX (10 * NS_PER_MS)

static uint64_t now_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static void queue_put(struct worker_job ***endp, struct worker_job *job) {
        job->next = NULL;
        **endp = job;
        *endp = &job->next;
}

/* The whole queue, in order. */
static struct worker_job *queue_take(struct worker *worker, struct worker_job **headp, struct worker_job ***endp) {
        uv_mutex_lock(&worker->mutex);
        struct worker_job *jobs = *headp;
        *headp = NULL;
        *endp = headp;
        uv_mutex_unlock(&worker->mutex);
        return jobs;
}

static void ring_bell(struct worker *worker) {
        atomic_fetch_add(&worker->doorbell->word, 1);
        syscall(SYS_futex, &worker->doorbell->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void worker_call(struct worker *worker, struct worker_job *job) {
        job->worker = worker;
        uv_mutex_lock(&worker->mutex);
        queue_put(&worker->inbox_end, job);
        uv_mutex_unlock(&worker->mutex);
        ring_bell(worker);
}

void worker_post(struct worker *worker, struct worker_job *job) {
        job->worker = worker;
        uv_mutex_lock(&worker->mutex);
        queue_put(&worker->outbox_end, job);
        uv_mutex_unlock(&worker->mutex);
        uv_async_send(&worker->async);
}

void worker_job_finish(struct worker_job *job) {
        if (job->done)
                worker_post(job->worker, job);
}

static void run_jobs(struct worker *worker) {
        struct worker_job *next, *job = queue_take(worker, &worker->inbox, &worker->inbox_end);
        for (; job; job = next) {
                next = job->next;
                /* run() may free a job that has no done() */
                void (*done)(struct worker_job *) = job->done;
                enum worker_job_state state = job->run ? job->run(job) : WORKER_JOB_DONE;
                if (state == WORKER_JOB_DONE && done)
                        worker_job_finish(job);
        }
}

static bool is_stopping(struct worker *worker) {
        uv_mutex_lock(&worker->mutex);
        bool stopping = worker->stopping && !worker->inbox;
        uv_mutex_unlock(&worker->mutex);
        return stopping;
}

/* Sleeps until the bell rings or the time is over. Return: whether it rang. */
static bool wait_for_bell(struct worker *worker, uint32_t heard, uint64_t timeout_ns) {
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / (1000 * NS_PER_MS)),
                                   .tv_nsec = (long)(timeout_ns % (1000 * NS_PER_MS))};
        long r = syscall(SYS_futex, &worker->doorbell->word, FUTEX_WAIT, heard, &timeout, NULL, 0);
        return r == 0 || errno != ETIMEDOUT;
}

/* Before the next sleep after a ring that brought nothing: an agent that rings all the time gets a slow daemon, not a
 * busy one. Return: the next such pause. */
static uint64_t stay_deaf(uint64_t pause_ns) {
        struct timespec pause = {.tv_nsec = (long)pause_ns};
        nanosleep(&pause, NULL);
        return pause_ns * 2 < DEAF_NS_MAX ? pause_ns * 2 : DEAF_NS_MAX;
}

static void thread_main(void *data) {
        struct worker *worker = data;
        uint64_t deaf_ns = DEAF_NS_MIN;
        bool rang = false;
        prctl(PR_SET_NAME, "ingest");
        for (;;) {
                /* before the queues and rings are looked at: what comes later changes the word, and the wait ends at
                 * once */
                uint32_t heard = atomic_load(&worker->doorbell->word);
                uv_mutex_lock(&worker->mutex);
                bool had_jobs = worker->inbox != NULL;
                uv_mutex_unlock(&worker->mutex);
                run_jobs(worker);
                if (is_stopping(worker))
                        return;
                struct feed_round_result result = feed_round_all(worker->feeds, now_ns(), rang);
                if (result.more)
                        continue;
                if (result.worked || had_jobs || !rang)
                        deaf_ns = DEAF_NS_MIN;
                else
                        deaf_ns = stay_deaf(deaf_ns);
                uint64_t now = now_ns(), latest = now + WORKER_SLEEP_MAX_MS * NS_PER_MS;
                uint64_t due = result.due_ns < latest ? result.due_ns : latest;
                rang = due > now ? wait_for_bell(worker, heard, due - now) : false;
        }
}

/* Signals are the main loop's: a thread that took SIGTERM would swallow it. */
static int start_thread(struct worker *worker) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = uv_thread_create(&worker->thread, thread_main, worker);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

static void deliver(struct worker *worker) {
        struct worker_job *next, *job = queue_take(worker, &worker->outbox, &worker->outbox_end);
        for (; job; job = next) {
                next = job->next;
                job->done(job);
        }
}

static void on_async(uv_async_t *async) {
        deliver(async->data);
}

static void free_memory(struct worker *worker) {
        munmap(worker->doorbell, DOORBELL_BYTES);
        close(worker->doorbell_fd);
        uv_mutex_destroy(&worker->mutex);
        free(worker);
}

static void on_failed_async_closed(uv_handle_t *handle) {
        free_memory(handle->data);
}

static int open_doorbell(struct worker *worker, int doorbell_fd, void **doorbellp) {
        if (doorbell_fd < 0)
                return memfd_make("tracemallocd-doorbell", DOORBELL_BYTES, 0, &worker->doorbell_fd, doorbellp);
        *doorbellp = memfd_map_own(doorbell_fd, DOORBELL_BYTES);
        if (!*doorbellp) {
                close(doorbell_fd);
                return -EINVAL;
        }
        worker->doorbell_fd = doorbell_fd;
        return 0;
}

int worker_new(uv_loop_t *loop, int doorbell_fd, struct worker **workerp) {
        struct worker *worker = calloc(1, sizeof *worker);
        if (!worker) {
                if (doorbell_fd >= 0)
                        close(doorbell_fd);
                return -ENOMEM;
        }
        worker->loop = loop;
        worker->inbox_end = &worker->inbox;
        worker->outbox_end = &worker->outbox;
        void *doorbell;
        int r = open_doorbell(worker, doorbell_fd, &doorbell);
        if (r) {
                free(worker);
                return r;
        }
        worker->doorbell = doorbell;
        r = uv_mutex_init(&worker->mutex);
        if (r) {
                munmap(doorbell, DOORBELL_BYTES);
                close(worker->doorbell_fd);
                free(worker);
                return r;
        }
        worker->async.data = worker;
        r = uv_async_init(loop, &worker->async, on_async);
        if (r) {
                free_memory(worker);
                return r;
        }
        r = start_thread(worker);
        if (r) {
                uv_close((uv_handle_t *)&worker->async, on_failed_async_closed);
                return r;
        }
        *workerp = worker;
        return 0;
}

static void on_async_closed(uv_handle_t *handle) {
        struct worker *worker = handle->data;
        void (*closed)(void *) = worker->closed;
        void *data = worker->closed_data;
        free_memory(worker);
        if (closed)
                closed(data);
}

void worker_free(struct worker *worker, void (*closed)(void *data), void *data) {
        uv_mutex_lock(&worker->mutex);
        worker->stopping = true;
        uv_mutex_unlock(&worker->mutex);
        ring_bell(worker);
        uv_thread_join(&worker->thread);
        assert(!worker->feeds); /* feed_free() came before */
        deliver(worker);
        worker->closed = closed;
        worker->closed_data = data;
        uv_close((uv_handle_t *)&worker->async, on_async_closed);
}

int worker_doorbell_fd(const struct worker *worker) {
        return worker->doorbell_fd;
}

unsigned worker_n_feeds(const struct worker *worker) {
        return worker->n_feeds;
}
