/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stats, compare, traces and export: from resolved references to Reply messages. No
 * I/O, no global state: any thread of the pool may run it, over snapshots that
 * it holds references to. Neither Error nor Done is sent from here.
 */

#include "daemon/query/model.h"
#include "daemon/query/pickle_writer.h"
#include "daemon/query/reply.h"
#include "daemon/query/view.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

/*
 * Of all:
 * @sources: [n_sources >= 1], their sum is what is looked at; borrowed for the call
 * @view: as it came from the peer; NULL is the default
 * @sink: called with each Reply in order; what it returns other than 0 ends the query and is returned
 * Return: 0; QUERY_E_USAGE, QUERY_E_FAILED (nothing was sent; @messagep is for free()); -ENOMEM;
 * -EOVERFLOW (too many frames); -EMSGSIZE (one row is longer than a message may be); the sink's.
 */

/** query_stats() - StatisticsHeader, then StatisticRows */
int query_stats(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                const struct reply_sink *sink, char **messagep);

/** query_compare() - the same for new.compare_to(old); @olds: [n_olds], of which there may be none: then it is
 * query_stats() */
int query_compare(const struct model_source *olds, size_t n_olds, const struct model_source *sources, size_t n_sources,
                  const Tracemallocd__Control__View *view, const struct reply_sink *sink, char **messagep);

/** query_traces() - TraceRows */
int query_traces(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                 const struct reply_sink *sink, char **messagep);

/** query_export() - a file of tracemalloc; grouping and limit are not looked at
 * @sink: as in pickle_writer.h
 * @summaryp: set on 0
 * Return: as above; QUERY_E_USAGE also for everything allocated, QUERY_E_FAILED for peak snapshots: neither knows the
 * size of each block. */
int query_export(const struct model_source *sources, size_t n_sources, const Tracemallocd__Control__View *view,
                 enum pickle_shape shape, const struct pickle_sink *sink, struct pickle_summary *summaryp,
                 char **messagep);
