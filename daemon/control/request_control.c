/* SPDX-License-Identifier: Apache-2.0 */

/* start, stop, clear and reset-peak: tracemalloc's module functions, on processes whose agent is loaded. Main loop. */

#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/process.h"
#include "proto/ring.h"

/* All of these: 0; -ENOMEM (nothing changed). */

static int set_mode(struct process *p, uint32_t mode) {
        int r = feed_set_mode(p->feed, mode);
        if (r < 0)
                return r;
        p->stopped = mode == TRACE_OFF;
        if (p->peer)
                agent_peer_set_mode(p->peer, mode, p->traceback_limit, p->domains);
        return 0;
}

/* As tracemalloc: already tracing, it does nothing and the old limit stays. */
static int start(struct process *p, uint32_t traceback_limit) {
        if (!p->stopped)
                return 0;
        if (traceback_limit)
                p->traceback_limit = traceback_limit;
        feed_set_limits(p->feed, p->traceback_limit, p->domains);
        return set_mode(p, TRACE_EXACT);
}

static int act(struct process *p, const Tracemallocd__Control__ControlRequest *m) {
        switch (m->action) {
        case TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__START:
                return start(p, m->traceback_limit);
        case TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__STOP:
                return p->stopped ? 0 : set_mode(p, TRACE_OFF);
        case TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__CLEAR:
                return feed_clear(p->feed);
        case TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__RESET_PEAK:
                return feed_reset_peak(p->feed);
        default:
                return 0;
        }
}

void request_control(const struct request *r) {
        const Tracemallocd__Control__ControlRequest *m = r->body->control;
        struct selection s;
        if (m->traceback_limit > 65535)
                return control_peer_error(r->peer, CONTROL_USAGE, "the number of frames must be in range [1; 65535]");
        if ((int)m->action < 0 || m->action > TRACEMALLOCD__CONTROL__CONTROL_REQUEST__ACTION__RESET_PEAK)
                return control_peer_error(r->peer, CONTROL_USAGE, "no such action");
        if (request_select(r, m->selector, false, &s) != 0)
                return;
        int result = 0;
        for (size_t i = 0; result == 0 && i < s.n_processes; i++)
                result = act(s.processes[i], m);
        selection_deinit(&s);
        if (result < 0)
                control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        else
                control_peer_done(r->peer);
}
