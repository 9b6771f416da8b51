/* SPDX-License-Identifier: Apache-2.0 */

/* See gauge_reply.h. Called by request_ps.c and request_run.c, main loop. */

#include "daemon/control/gauge_reply.h"

#include "daemon/control/requests.h"

#include <stdatomic.h>

static uint64_t gauge(const _Atomic uint64_t *value) {
        return atomic_load_explicit((_Atomic uint64_t *)value, memory_order_relaxed);
}

static size_t fill_domains(const struct feed_gauges *g, struct gauge_domains *domains) {
        size_t n = atomic_load_explicit((_Atomic uint32_t *)&g->n_domains, memory_order_acquire);
        for (size_t i = 0; i < n && i < FEED_GAUGE_DOMAINS; i++) {
                Tracemallocd__Control__Domain *domain = &domains->domains[i];
                tracemallocd__control__domain__init(domain);
                domain->number = g->domains[i].number;
                domain->name = request_bytes(g->domains[i].name);
                domain->live_size = gauge(&g->domains[i].live_size);
                domain->live_count = gauge(&g->domains[i].live_count);
                domain->peak_size = gauge(&g->domains[i].peak_size);
                domains->pointers[i] = domain;
        }
        return n < FEED_GAUGE_DOMAINS ? n : FEED_GAUGE_DOMAINS;
}

void gauge_reply_fill(Tracemallocd__Control__Process *m, const struct feed_gauges *g, struct gauge_domains *domains) {
        m->n_domains = fill_domains(g, domains);
        m->domains = domains->pointers;
        m->live_size = gauge(&g->live_size);
        m->live_count = gauge(&g->live_count);
        m->peak_size = gauge(&g->peak_size);
        m->events = gauge(&g->events);
        m->lost = gauge(&g->lost);
        m->exact = atomic_load_explicit((_Atomic bool *)&g->exact, memory_order_relaxed);
}
