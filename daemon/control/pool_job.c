/* SPDX-License-Identifier: Apache-2.0 */

/* Requests on the thread pool. run() is the pool's; all else is the main loop's. */

#include "daemon/control/pool_job.h"

#include "daemon/control/control_server.h"
#include "daemon/daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of answers that a user's clients do not read, or not fast enough, beside the last two: memory that the user could
 * have of us for nothing. */
#define UNREAD_PER_USER_MAX ((size_t)256 << 20)

static void on_begin(struct pool_task *task) {
        struct pool_job *job = (struct pool_job *)task;
        if (job->who.uid != 0 && control_server_unread(job->daemon->control, job->who.uid) > UNREAD_PER_USER_MAX)
                pool_job_fail(
                        job, CONTROL_FAILED,
                        "earlier answers of yours, more than 256 MiB, wait to be read: end the tmctl that does not "
                        "read them");
        if (!job->finish && control_peer_is_gone(job->peer))
                pool_job_fail(job, CONTROL_FAILED, "the client is gone");
        job->reader = job->daemon->reader;
        job->daemon->reader = NULL;
}

static void on_run(struct pool_task *task) {
        struct pool_job *job = (struct pool_job *)task;
        if (!job->error_code)
                job->run(job);
}

static void answer(struct pool_job *job) {
        size_t length;
        uint8_t *bytes = reply_buffer_take(&job->replies, &length);
        if (job->error_code) {
                free(bytes);
                control_peer_error(job->peer, job->error_code, "%s", job->error ? job->error : "out of memory");
                return;
        }
        control_peer_reply_bytes(job->peer, bytes, length);
        control_peer_done(job->peer);
}

/* To connect, and to prepare the statements, takes a third of a short query. One reader waits for the next job; one
 * that something failed with does not. */
static void put_reader_back(struct pool_job *job) {
        struct daemon *d = job->daemon;
        if (job->reader && !d->reader && !d->stopping && !job->error_code) {
                store_reader_rest(job->reader);
                d->reader = job->reader;
        } else {
                store_reader_close(job->reader);
        }
        job->reader = NULL;
}

static void on_done(struct pool_task *task, int status) {
        struct pool_job *job = (struct pool_job *)task;
        if (status < 0)
                pool_job_fail(job, CONTROL_FAILED, "the daemon is leaving");
        put_reader_back(job);
        job->daemon->n_over++;
        if (job->finish && !job->error_code) {
                job->finish(job);
        } else {
                answer(job);
                control_peer_unref(job->peer);
        }
        reply_buffer_deinit(&job->replies);
        free(job->error);
        job->free(job);
}

void pool_job_start(struct pool_job *job) {
        job->task = (struct pool_task){.uid = job->who.uid, .begin = on_begin, .run = on_run, .done = on_done};
        pool_queue_add(&job->daemon->requests, &job->task);
}

void pool_job_fail(struct pool_job *job, int code, const char *format, ...) {
        if (job->error_code)
                return;
        job->error_code = code;
        va_list ap;
        va_start(ap, format);
        if (vasprintf(&job->error, format, ap) < 0)
                job->error = NULL;
        va_end(ap);
}

void pool_job_fail_store(struct pool_job *job, int code, const char *message, const char *what) {
        if (code == STORE_E_NOT_FOUND)
                pool_job_fail(job, CONTROL_NOT_FOUND, "no such snapshot: %s; 'tmctl list' shows those that there are",
                              what);
        else
                pool_job_fail(job, CONTROL_FAILED, "%s", *message ? message : "out of memory");
}

struct store_reader *pool_job_reader(struct pool_job *job) {
        char message[STORE_MESSAGE_MAX] = "";
        int r = job->reader ? 0 : store_reader_open(store_path(job->daemon->store), &job->reader, message);
        if (r == 0)
                return job->reader;
        pool_job_fail_store(job, r, message, "");
        return NULL;
}
