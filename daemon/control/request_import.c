/* SPDX-License-Identifier: Apache-2.0 */

/*
 * import: a file in pieces, each a request. A pool thread reads the piece; after
 * the last one the main loop has the snapshot stored, or keeps it for this
 * connection.
 */

#include "daemon/base/clock.h"
#include "daemon/control/pool_job.h"
#include "daemon/control/requests.h"
#include "daemon/control/uploads.h"
#include "daemon/daemon.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import_job {
        struct pool_job job;
        struct uploads *uploads; /* the peer's */
        uint8_t *bytes;          /* of the piece */
        size_t length;
        bool last, keep;
        int64_t modified_at_ns; /* of the file; 0: unknown */
        char *label;            /* NULL: none */
        struct snapshot *snapshot;
        char *foreign; /* NULL: none, or no memory for it */
};

/* ---- pool thread ---- */

static int finish_file(struct import_job *i) {
        struct pickle_reader *reader = i->uploads->reader;
        struct snapshot_info *info = pickle_reader_info(reader);
        info->uid = i->job.who.uid;
        info->taken_at_ns = clock_ns(CLOCK_REALTIME);
        info->started_at_ns = i->modified_at_ns;
        info->label = i->label;
        i->label = NULL;
        int r = pickle_reader_finish(reader, &i->snapshot);
        if (r == 0)
                i->foreign = strdup(pickle_reader_foreign(reader));
        return r;
}

static void run_import(struct pool_job *job) {
        struct import_job *i = (struct import_job *)job;
        int r = pickle_reader_feed(i->uploads->reader, i->bytes, i->length);
        if (r == 0 && i->last)
                r = finish_file(i);
        if (r == PICKLE_E_REFUSED)
                pool_job_fail(job, CONTROL_FAILED, "this is no tracemalloc snapshot that can be read: %s",
                              pickle_reader_message(i->uploads->reader));
        else if (r < 0)
                pool_job_fail(job, CONTROL_FAILED, "out of memory");
        if (r != 0)
                uploads_end(i->uploads);
}

/* ---- main loop ---- */

static void import_free(struct import_job *i) {
        free(i->bytes);
        free(i->label);
        free(i->foreign);
        snapshot_unref(i->snapshot);
        free(i);
}

static void answer(struct import_job *i, const char *reference) {
        Tracemallocd__Control__ImportResult result = TRACEMALLOCD__CONTROL__IMPORT_RESULT__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        result.snapshot = (char *)reference;
        result.foreign_attributes = i->foreign ? i->foreign : (char *)"";
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_IMPORT_RESULT;
        reply.import_result = &result;
        control_peer_reply(i->job.peer, &reply);
        control_peer_done(i->job.peer);
}

static void on_stored(void *data, const struct store_result *result) {
        struct import_job *i = data;
        char reference[32];
        if (result->code == 0) {
                snprintf(reference, sizeof reference, "%lld", (long long)result->ids[0]);
                answer(i, reference);
        } else {
                control_peer_error(i->job.peer, CONTROL_FAILED, "%s",
                                   *result->message ? result->message : "out of memory; nothing was stored");
        }
        control_peer_unref(i->job.peer);
        import_free(i);
}

/* The job ends before its snapshot is stored: what is still needed goes on in a copy. */
static void store(struct import_job *i) {
        struct import_job *copy = calloc(1, sizeof *copy);
        if (copy) {
                copy->job.peer = i->job.peer;
                copy->snapshot = i->snapshot;
                copy->foreign = i->foreign;
                i->snapshot = NULL;
                i->foreign = NULL;
                if (store_put(i->job.daemon->store, copy->snapshot, 0, on_stored, copy) == 0)
                        return;
                import_free(copy);
        }
        control_peer_error(i->job.peer, CONTROL_FAILED, "out of memory; nothing was stored");
        control_peer_unref(i->job.peer);
}

static void finish_import(struct pool_job *job) {
        struct import_job *i = (struct import_job *)job;
        if (i->last && i->keep) {
                uploads_end(i->uploads);
                return store(i);
        }
        if (i->last) {
                char reference[32];
                snprintf(reference, sizeof reference, "%%%zu", uploads_add(i->uploads, i->snapshot));
                i->snapshot = NULL;
                answer(i, reference);
        } else {
                control_peer_done(job->peer);
        }
        control_peer_unref(job->peer);
}

static void free_import(struct pool_job *job) {
        struct import_job *i = (struct import_job *)job;
        import_free(i);
}

/* Of the connection, made with its first file. Return: NULL: the request is answered. */
static struct uploads *find_uploads(const struct request *r) {
        struct uploads *u = (struct uploads *)control_peer_attachment(r->peer, uploads_free);
        if (u)
                return u;
        int result = uploads_new(r->daemon->control, r->who->uid, &u);
        if (result == 0) {
                control_peer_attach(r->peer, &u->attachment, uploads_free);
                return u;
        }
        if (result == UPLOADS_E_QUOTA)
                control_peer_error(r->peer, CONTROL_FAILED,
                                   "%d files of yours are being read at this moment; try again when one is done",
                                   UPLOADS_PER_USER_MAX);
        else
                control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        return NULL;
}

static void refuse(const struct request *r, int outcome) {
        switch (outcome) {
        case UPLOADS_E_NO_FILE:
                return control_peer_error(r->peer, CONTROL_USAGE, "a piece of a file that was not begun");
        case UPLOADS_E_TOO_LONG:
                return control_peer_error(r->peer, CONTROL_FAILED, "files of more than 1 GiB cannot be read");
        case UPLOADS_E_TOO_MANY:
                return control_peer_error(r->peer, CONTROL_FAILED, "a connection may have %d files", UPLOADS_MAX);
        default:
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        }
}

static struct import_job *new_job(const struct request *r, struct uploads *u) {
        const Tracemallocd__Control__ImportRequest *m = r->body->import_;
        struct import_job *i = calloc(1, sizeof *i);
        if (!i)
                return NULL;
        i->uploads = u;
        i->length = m->data.len;
        i->bytes = malloc(m->data.len + 1);
        i->last = m->last;
        i->modified_at_ns = m->modified_at_unix_ns;
        i->keep = m->keep;
        i->label = m->label.len ? strndup((const char *)m->label.data, m->label.len) : NULL;
        if (!i->bytes || (m->label.len && !i->label)) {
                import_free(i);
                return NULL;
        }
        if (m->data.len)
                memcpy(i->bytes, m->data.data, m->data.len);
        return i;
}

void request_import(const struct request *r) {
        const Tracemallocd__Control__ImportRequest *m = r->body->import_;
        struct uploads *u = find_uploads(r);
        if (!u)
                return;
        if (!request_label_fits(r, &m->label))
                return uploads_end(u);
        int outcome = m->first ? uploads_begin(u) : 0;
        if (outcome == 0)
                outcome = uploads_charge(u, m->data.len);
        struct import_job *i = outcome == 0 ? new_job(r, u) : NULL;
        if (!i) {
                uploads_end(u); /* a piece of it is missing */
                return refuse(r, outcome);
        }
        i->job = (struct pool_job){.daemon = r->daemon,
                                   .peer = control_peer_ref(r->peer),
                                   .who = *r->who,
                                   .run = run_import,
                                   .finish = finish_import,
                                   .free = free_import};
        pool_job_start(&i->job);
}
