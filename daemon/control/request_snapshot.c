/* SPDX-License-Identifier: Apache-2.0 */

/* snapshot: cuts of one or several processes at one moment, stored together. Main loop. */

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/daemon.h"
#include "daemon/late_symbols.h"
#include "daemon/process.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOMENT_NS    INT64_C(1000000) /* tmctl(1): a set is of one moment */
#define MOMENT_TRIES 50

struct snapshot_request {
        struct daemon *daemon;
        struct control_peer *peer;
        size_t n, n_waiting;
        int error;
        struct part {
                struct snapshot_request *request;
                struct snapshot *snapshot;
                uint64_t position;
                int64_t taken_at_ns; /* when the position was the ring's end */
        } parts[];
};

static void request_free(struct snapshot_request *q) {
        for (size_t i = 0; i < q->n; i++)
                snapshot_unref(q->parts[i].snapshot);
        control_peer_unref(q->peer);
        free(q);
}

static void fail(struct snapshot_request *q, int code, const char *message) {
        control_peer_error(q->peer, code, "%s", message);
        request_free(q);
}

static void on_stored(void *data, const struct store_result *result) {
        struct snapshot_request *q = data;
        if (result->code != 0)
                return fail(q, CONTROL_FAILED, *result->message ? result->message : "out of memory");
        Tracemallocd__Control__SnapshotIds ids = TRACEMALLOCD__CONTROL__SNAPSHOT_IDS__INIT;
        ids.ids = (int64_t *)result->ids;
        ids.n_ids = result->n_ids;
        ids.set = result->set;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_IDS;
        reply.ids = &ids;
        control_peer_reply(q->peer, &reply);
        control_peer_done(q->peer);
        for (size_t i = 0; result->unresolved && i < result->n_ids; i++)
                late_symbols_add(q->daemon->late_symbols, result->ids[i]);
        request_free(q);
}

static void store_all(struct snapshot_request *q) {
        if (q->error == -ECANCELED)
                return fail(q, CONTROL_NOT_FOUND, "the process ended before the snapshot was taken");
        if (q->error < 0)
                return fail(q, CONTROL_FAILED, "out of memory while reading the table; nothing was stored");
        int r = -ENOMEM;
        if (q->n == 1) {
                r = store_put(q->daemon->store, q->parts[0].snapshot, 0, on_stored, q);
        } else {
                struct snapshot **snapshots = calloc(q->n, sizeof(struct snapshot *));
                for (size_t i = 0; snapshots && i < q->n; i++)
                        snapshots[i] = q->parts[i].snapshot;
                if (snapshots)
                        r = store_put_set(q->daemon->store, snapshots, q->n, on_stored, q);
                free(snapshots);
        }
        if (r < 0)
                fail(q, CONTROL_FAILED, "out of memory; nothing was stored");
}

static void on_snapshot(void *data, struct snapshot *snapshot, int error) {
        struct part *part = data;
        struct snapshot_request *q = part->request;
        part->snapshot = snapshot;
        if (error < 0)
                q->error = error;
        if (--q->n_waiting == 0)
                store_all(q);
}

static bool all_tracing(const struct selection *s) {
        for (size_t i = 0; i < s->n_processes; i++) {
                if (s->processes[i]->stopped)
                        return false;
        }
        return true;
}

/* The positions are sampled one right after the other: that is the moment. Where the kernel let somebody else run
 * in between, it was none, and they are sampled again. Each snapshot keeps its own time, so that anybody can see. */
static void sample_positions(struct snapshot_request *q, const struct selection *s) {
        int64_t span_ns = INT64_MAX;
        for (int i = 0; i < MOMENT_TRIES && span_ns > MOMENT_NS; i++) {
                int64_t begun_ns = clock_ns(CLOCK_REALTIME);
                for (size_t k = 0; k < q->n; k++) {
                        q->parts[k].position = feed_position(s->processes[k]->feed);
                        q->parts[k].taken_at_ns = clock_ns(CLOCK_REALTIME);
                }
                span_ns = q->parts[q->n - 1].taken_at_ns - begun_ns;
        }
        if (span_ns > MOMENT_NS)
                log_warning("a set of %zu snapshots: its moment took %" PRId64 " us", q->n, span_ns / 1000);
}

static void cut(struct snapshot_request *q, const struct selection *s, const Tracemallocd__Control__SnapshotRequest *m,
                char *label) {
        const size_t n = q->n; /* the last part to fail frees @q */
        struct feed_snapshot_options options = {.kind = m->peak ? SNAPSHOT_PEAK : SNAPSHOT_REQUEST, .label = label};
        sample_positions(q, s);
        for (size_t i = 0; i < n; i++) {
                options.position = q->parts[i].position;
                options.taken_at_ns = q->parts[i].taken_at_ns;
                if (feed_snapshot(s->processes[i]->feed, &options, on_snapshot, &q->parts[i]) < 0)
                        on_snapshot(&q->parts[i], NULL, -ENOMEM);
        }
}

void request_snapshot(const struct request *r) {
        const Tracemallocd__Control__SnapshotRequest *m = r->body->snapshot;
        struct selection s;
        if (!request_label_fits(r, &m->label) || request_select(r, m->selector, false, &s) != 0)
                return;
        if (!all_tracing(&s)) {
                selection_deinit(&s);
                /* Python's words */
                return control_peer_error(
                        r->peer, CONTROL_FAILED,
                        "the tracemalloc module must be tracing memory allocations to take a snapshot");
        }
        struct snapshot_request *q = calloc(1, sizeof *q + s.n_processes * sizeof q->parts[0]);
        char *label = m->label.len ? strndup((const char *)m->label.data, m->label.len) : NULL;
        if (!q || (m->label.len && !label)) {
                free(q);
                selection_deinit(&s);
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        }
        q->daemon = r->daemon;
        q->peer = control_peer_ref(r->peer);
        q->n = q->n_waiting = s.n_processes;
        for (size_t i = 0; i < q->n; i++)
                q->parts[i].request = q;
        cut(q, &s, m, label);
        free(label);
        selection_deinit(&s);
}
