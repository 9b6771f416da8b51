/* SPDX-License-Identifier: Apache-2.0 */

/* ps: from the gauges that the workers keep. Main loop. */

#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/process.h"

#include <stdatomic.h>

static uint64_t gauge(const _Atomic uint64_t *value) {
        return atomic_load_explicit((_Atomic uint64_t *)value, memory_order_relaxed);
}

static size_t fill_domains(const struct feed_gauges *g, Tracemallocd__Control__Domain *domains,
                           Tracemallocd__Control__Domain **pointers) {
        size_t n = atomic_load_explicit((_Atomic uint32_t *)&g->n_domains, memory_order_acquire);
        for (size_t i = 0; i < n && i < FEED_GAUGE_DOMAINS; i++) {
                tracemallocd__control__domain__init(&domains[i]);
                domains[i].number = g->domains[i].number;
                domains[i].name = request_bytes(g->domains[i].name);
                domains[i].live_size = gauge(&g->domains[i].live_size);
                domains[i].live_count = gauge(&g->domains[i].live_count);
                domains[i].peak_size = gauge(&g->domains[i].peak_size);
                pointers[i] = &domains[i];
        }
        return n < FEED_GAUGE_DOMAINS ? n : FEED_GAUGE_DOMAINS;
}

static void send_process(struct control_peer *peer, const struct process *p) {
        const struct feed_gauges *g = feed_gauges(p->feed);
        Tracemallocd__Control__Domain domains[FEED_GAUGE_DOMAINS], *pointers[FEED_GAUGE_DOMAINS];
        Tracemallocd__Control__Process m = TRACEMALLOCD__CONTROL__PROCESS__INIT;
        m.pid = (uint32_t)p->proc.pid;
        m.ns_pid = (uint32_t)p->proc.ns_pid;
        m.ppid = (uint32_t)p->proc.ppid;
        m.uid = p->uid;
        m.name = request_bytes(p->name);
        m.exe = request_bytes(p->exe);
        m.unit = request_bytes(p->proc.unit);
        m.cgroup = request_bytes(p->proc.cgroup);
        m.image = p->image;
        m.started_at_unix_ns = p->proc.started_at_ns;
        m.mode = (char *)(p->stopped ? "off" : "exact");
        m.state = (char *)(p->stopped ? "stopped" : "tracing");
        m.layers = p->layers;
        m.n_layers = p->n_layers;
        m.traceback_limit = p->traceback_limit;
        m.n_domains = fill_domains(g, domains, pointers);
        m.domains = pointers;
        m.live_size = gauge(&g->live_size);
        m.live_count = gauge(&g->live_count);
        m.peak_size = gauge(&g->peak_size);
        m.resident_size = proc_resident_size(p->proc.pid);
        m.tracer_size = gauge(&g->tracer_bytes);
        m.events = gauge(&g->events);
        m.lost = gauge(&g->lost);
        m.phase = request_bytes(p->phase ? p->phase : "");
        m.exact = atomic_load_explicit((_Atomic bool *)&g->exact, memory_order_relaxed);
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_PROCESS;
        reply.process = &m;
        control_peer_reply(peer, &reply);
}

void request_ps(const struct request *r) {
        struct selection s;
        if (request_select(r, r->body->ps->selector, true, &s) != 0)
                return;
        for (size_t i = 0; i < s.n_processes; i++)
                send_process(r->peer, s.processes[i]);
        selection_deinit(&s);
        control_peer_done(r->peer);
}
