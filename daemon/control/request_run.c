/* SPDX-License-Identifier: Apache-2.0 */

/* run_begin and run_wait: what tmctl run needs before and after its command. A run is its connection's, one at a time,
 * so that a client that is killed leaves none behind. Main loop. */

#include "daemon/base/cleanup.h"
#include "daemon/control/gauge_reply.h"
#include "daemon/control/requests.h"
#include "daemon/daemon.h"
#include "daemon/run.h"

#include <uv.h>

#include <stdio.h>
#include <stdlib.h>

#define WAIT_MAX_MS 60000

/* The run that a connection began and has not waited for. */
struct begun_run {
        struct control_attachment attachment;
        struct run *run;
};

static void abandon(struct control_attachment *attached) {
        struct begun_run *begun = (struct begun_run *)attached;
        run_abandon(begun->run);
        free(begun);
}

static struct begun_run *begun_run_of(const struct control_peer *peer) {
        return (struct begun_run *)control_peer_attachment(peer, abandon);
}

/* Return: NULL: no memory. */
static struct run *begin(const struct request *r, const ProtobufCBinaryData *label) {
        struct begun_run *begun = calloc(1, sizeof *begun);
        if (!begun || run_new(r->daemon, r->who, label->data, label->len, &begun->run) < 0) {
                free(begun);
                return NULL;
        }
        control_peer_attach(r->peer, &begun->attachment, abandon);
        return begun->run;
}

void request_run_begin(const struct request *r) {
        const Tracemallocd__Control__RunBegin *m = r->body->run_begin;
        if (!request_label_fits(r, &m->label))
                return;
        if (begun_run_of(r->peer))
                return control_peer_error(r->peer, CONTROL_USAGE, "a connection has one run at a time");
        struct run *run = begin(r, &m->label);
        if (!run)
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        run->exit_snapshot = m->exit_snapshot;
        run->children = m->children;
        Tracemallocd__Control__RunToken token = TRACEMALLOCD__CONTROL__RUN_TOKEN__INIT;
        token.token.data = run->token;
        token.token.len = sizeof run->token;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_RUN;
        reply.run = &token;
        control_peer_reply(r->peer, &reply);
        control_peer_done(r->peer);
}

/* A client that waits for the processes of its command to be stored. */
struct run_wait {
        struct run *run;
        struct control_peer *peer;
        uv_timer_t timer;
        bool timed_out;
};

/* What nobody could know before. Return: malloc'd; NULL: no memory. */
static char *note_of(const struct run_result *result) {
        static const char untraced[] =
                "went on untraced: static, set-uid, without our LD_PRELOAD, in another root, or as another user";
        bool both = result->layer_note[0] && result->went_untraced;
        char *note;
        int n = asprintf(&note, "%s%s%s", result->layer_note, both ? "; " : "", result->went_untraced ? untraced : "");
        return n < 0 ? NULL : note;
}

static void send_result(struct control_peer *peer, const struct run *run, const struct run_result *result) {
        Tracemallocd__Control__Process process = TRACEMALLOCD__CONTROL__PROCESS__INIT;
        process.pid = process.ns_pid = result->pid;
        process.ppid = result->ppid;
        process.uid = result->uid;
        process.image = result->image;
        process.name = request_bytes(result->name);
        process.exe = request_bytes(result->exe);
        process.started_at_unix_ns = result->started_at_ns;
        process.mode = (char *)"exact";
        process.state = (char *)"ended";
        process.traceback_limit = result->traceback_limit;
        struct gauge_domains domains;
        gauge_reply_fill(&process, &result->gauges, &domains);
        Tracemallocd__Control__RunProcess m = TRACEMALLOCD__CONTROL__RUN_PROCESS__INIT;
        m.process = &process;
        m.exit_snapshot = result->exit_snapshot;
        m.peak_snapshot = result->peak_snapshot;
        m.allocated_count = result->allocated_count;
        m.allocated_size = result->allocated_size;
        m.ended_by = request_bytes(result->ended_by);
        AUTO_FREE char *note = note_of(result);
        if (note)
                m.layer_note = note;
        m.others = (uint32_t)run->n_ended;
        m.running = (uint32_t)run_n_alive(run);
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_RUN_PROCESS;
        reply.run_process = &m;
        control_peer_reply(peer, &reply);
}

static void on_timer_closed(uv_handle_t *handle) {
        free(handle->data);
}

static void answer(struct run_wait *w) {
        struct run *run = w->run;
        struct begun_run *begun = begun_run_of(w->peer);
        for (size_t i = 0; i < run->n_results; i++)
                send_result(w->peer, run, &run->results[i]);
        control_peer_detach(w->peer, &begun->attachment);
        abandon(&begun->attachment);
        control_peer_done(w->peer);
        control_peer_unref(w->peer);
        uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static bool is_complete(const struct run_wait *w) {
        if (w->run->n_processes == 0 || w->run->daemon->stopping)
                return true;
        return w->timed_out && !run_is_due(w->run);
}

static void on_changed(void *data) {
        if (is_complete(data))
                answer(data);
}

/* From here on children that live are no longer waited for; the command's own end is, and what is dead already. */
static void on_timeout(uv_timer_t *timer) {
        struct run_wait *w = timer->data;
        w->timed_out = true;
        on_changed(w);
}

void request_run_wait(const struct request *r) {
        const Tracemallocd__Control__RunWait *m = r->body->run_wait;
        const struct begun_run *begun = begun_run_of(r->peer);
        struct run *run = begun ? begun->run : NULL;
        if (!run || !run_has_token(run, m->token.data, m->token.len))
                return control_peer_error(r->peer, CONTROL_NOT_FOUND, "no such run");
        struct run_wait *w = calloc(1, sizeof *w);
        if (!w)
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        *w = (struct run_wait){.run = run, .peer = control_peer_ref(r->peer), .timed_out = m->timeout_ms == 0};
        run->changed = on_changed;
        run->data = w;
        uv_timer_init(r->daemon->loop, &w->timer);
        w->timer.data = w;
        if (is_complete(w))
                return answer(w);
        if (m->timeout_ms)
                uv_timer_start(&w->timer, on_timeout, m->timeout_ms < WAIT_MAX_MS ? m->timeout_ms : WAIT_MAX_MS, 0);
}
