/* SPDX-License-Identifier: Apache-2.0 */

/* list, show, label and delete: stored snapshots as things. A pool thread reads, the main loop asks the store to write.
 */

#include "daemon/control/pool_job.h"
#include "daemon/control/requests.h"
#include "daemon/control/resolve.h"
#include "daemon/control/selector.h"
#include "daemon/daemon.h"
#include "daemon/query/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct catalogue_job {
        struct pool_job job;
        Tracemallocd__Control__Request *request; /* a copy of its own */
        struct id_list ids;
};

static void free_job(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        tracemallocd__control__request__free_unpacked(c->request, NULL);
        id_list_deinit(&c->ids);
        free(c);
}

static void start(const struct request *r, void (*run)(struct pool_job *), void (*finish)(struct pool_job *)) {
        struct catalogue_job *c = calloc(1, sizeof *c);
        if (c)
                c->request = request_copy(r->body);
        if (!c || !c->request) {
                free(c);
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        }
        c->job = (struct pool_job){.daemon = r->daemon,
                                   .peer = control_peer_ref(r->peer),
                                   .who = *r->who,
                                   .run = run,
                                   .finish = finish,
                                   .free = free_job};
        pool_job_start(&c->job);
}

/* ---- list and show ---- */

static int add_info(void *data, const struct snapshot_info *info) {
        struct pool_job *job = data;
        Tracemallocd__Control__SnapshotInfo message = TRACEMALLOCD__CONTROL__SNAPSHOT_INFO__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply_snapshot_info(&info, 1, &message);
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_SNAPSHOT;
        reply.snapshot = &message;
        return reply_buffer_add(&job->replies, &reply);
}

#define NO_KIND (-2)

/* Return: enum snapshot_kind; STORE_ANY_KIND; NO_KIND. */
static int kind_of(const char *word) {
        if (!*word)
                return STORE_ANY_KIND;
        for (int kind = 0; kind < SNAPSHOT_LIVE; kind++) {
                if (strcmp(word, snapshot_kind_name((uint32_t)kind)) == 0)
                        return kind;
        }
        return NO_KIND;
}

static void run_filter(struct pool_job *job, struct store_reader *reader, const Tracemallocd__Control__ListRequest *m) {
        static const Tracemallocd__Control__ProcessSelector none = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        const Tracemallocd__Control__ProcessSelector *selector = m->selector ? m->selector : &none;
        char **names = selector_texts(selector->names, selector->n_names);
        char **units = selector_texts(selector->units, selector->n_units);
        char **label = selector_texts(&m->label, m->label.len ? 1 : 0);
        struct store_filter filter = {.all_users = job->who.sees_all,
                                      .uid = job->who.uid,
                                      .kind = kind_of(m->kind),
                                      .since_ns = m->since_unix_ns,
                                      .pids = selector->pids,
                                      .n_pids = selector->n_pids,
                                      .names = (const char *const *)names,
                                      .n_names = selector->n_names,
                                      .units = (const char *const *)units,
                                      .n_units = selector->n_units,
                                      .label = label ? label[0] : NULL};
        if (filter.kind == NO_KIND) {
                pool_job_fail(job, CONTROL_USAGE, "unknown kind '%s': it is request, exit, peak or import", m->kind);
        } else if (!names || !units || !label) {
                pool_job_fail(job, CONTROL_FAILED, "out of memory");
        } else {
                int r = store_reader_list(reader, &filter, add_info, job);
                if (r != 0)
                        pool_job_fail_store(job, r, store_reader_message(reader), "");
        }
        selector_texts_free(names);
        selector_texts_free(units);
        selector_texts_free(label);
}

static void run_list(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        struct store_reader *reader = pool_job_reader(job);
        if (reader)
                run_filter(job, reader, c->request->list);
}

void request_list(const struct request *r) {
        if (!selector_fits(r->body->list->selector))
                return control_peer_error(r->peer, CONTROL_USAGE, SELECTOR_MESSAGE_TOO_LONG);
        if (!request_label_fits(r, &r->body->list->label))
                return;
        start(r, run_list, NULL);
}

static void run_show(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        struct store_reader *reader = pool_job_reader(job);
        if (reader && resolve_text(job, reader, c->request->show->snapshot, &c->ids) == 0) {
                for (size_t i = 0; i < c->ids.n; i++) {
                        int r = store_reader_info(reader, c->ids.ids[i], add_info, job);
                        if (r != 0)
                                pool_job_fail_store(job, r, store_reader_message(reader), "it was deleted just now");
                }
        }
}

void request_show(const struct request *r) {
        start(r, run_show, NULL);
}

/* ---- label and delete: resolved on the pool, then written ---- */

/* What the store is asked to do answers the peer, not the pool job. */
static void on_written(void *data, const struct store_result *result) {
        struct control_peer *peer = data;
        if (result->code == 0)
                control_peer_done(peer);
        else
                control_peer_error(peer, result->code == STORE_E_NOT_FOUND ? CONTROL_NOT_FOUND : CONTROL_FAILED, "%s",
                                   *result->message ? result->message : "out of memory");
        control_peer_unref(peer);
}

static void resolve_references(struct pool_job *job, char **texts, size_t n) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        struct store_reader *reader = pool_job_reader(job);
        for (size_t i = 0; reader && i < n; i++) {
                if (resolve_text(job, reader, texts[i], &c->ids) < 0)
                        break;
        }
}

static void run_label(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        resolve_references(job, &c->request->label->snapshot, 1);
}

static void finish_label(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        const ProtobufCBinaryData *label = &c->request->label->label;
        if (store_label(job->daemon->store, c->ids.ids, c->ids.n, label->data, label->len, on_written, job->peer) < 0)
                on_written(job->peer, &(struct store_result){.code = -ENOMEM, .message = ""});
}

static void run_delete(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        resolve_references(job, c->request->delete_->snapshots, c->request->delete_->n_snapshots);
        id_list_unique(&c->ids);
        if (!job->error_code && c->ids.n == 0)
                pool_job_fail(job, CONTROL_USAGE, "delete takes at least one snapshot");
}

static void finish_delete(struct pool_job *job) {
        struct catalogue_job *c = (struct catalogue_job *)job;
        if (store_delete(job->daemon->store, c->ids.ids, c->ids.n, on_written, job->peer) < 0)
                on_written(job->peer, &(struct store_result){.code = -ENOMEM, .message = ""});
}

void request_label(const struct request *r) {
        if (request_label_fits(r, &r->body->label->label))
                start(r, run_label, finish_label);
}

void request_delete(const struct request *r) {
        start(r, run_delete, finish_delete);
}
