/* SPDX-License-Identifier: Apache-2.0 */

/* ps: from the gauges that the workers keep. Main loop. */

#include "daemon/control/gauge_reply.h"
#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/process.h"

#include <stdatomic.h>

static void send_process(struct control_peer *peer, const struct process *p) {
        const struct feed_gauges *g = feed_gauges(p->feed);
        struct gauge_domains domains;
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
        gauge_reply_fill(&m, g, &domains);
        m.resident_size = proc_resident_size(p->proc.pid);
        m.tracer_size = atomic_load_explicit((_Atomic uint64_t *)&g->tracer_bytes, memory_order_relaxed);
        m.phase = request_bytes(p->phase ? p->phase : "");
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
