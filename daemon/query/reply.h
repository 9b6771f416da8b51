/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Results as Reply messages of control.proto. */

#include "daemon/query/left_out.h"
#include "daemon/query/model.h"
#include "daemon/query/statistics.h"
#include "daemon/query/trace_list.h"
#include "proto/control.pb-c.h"

#include <stddef.h>
#include <stdint.h>

#define REPLY_CHUNK_BYTES (UINT32_C(32) << 10) /* rows are sent when they have reached this */

struct reply_sink {
        /* @reply: valid during the call; pack it there. Return: 0; anything else ends the query. */
        int (*send)(void *userdata, const Tracemallocd__Control__Reply *reply);
        void *userdata;
};

/** reply_snapshot_info() - what list, show and the headers say of a snapshot, or of the sum of several
 * @infos: [n >= 1] borrowed, also by @message
 * A sum has no id, its set where all have the same one, pid, uid, image and texts where they agree. */
void reply_snapshot_info(const struct snapshot_info *const *infos, size_t n,
                         Tracemallocd__Control__SnapshotInfo *message);

/** reply_statistics() - header, then rows
 * @left_out: what it says of wrappers
 * @header: filled in but for that, totals, n_rows and without_lines
 * @limit: most rows to send; 0 is all
 * Return: 0; -ENOMEM; -EMSGSIZE; the sink's. */
int reply_statistics(const struct model *m, const struct statistics *s, const struct left_out *left_out, uint64_t limit,
                     const Tracemallocd__Control__StatisticsHeader *header, const struct reply_sink *sink);

/** reply_sources_until_ns() - until when source files were what they were when they ran: the first start among the
 * processes; of an imported file, when it was written. A program may load a file later than it starts: then it is shown
 * too few lines, never wrong ones. Return: CLOCK_REALTIME; 0: unknown. */
int64_t reply_sources_until_ns(const struct model_source *sources, size_t n_sources);

/** reply_traces() - rows
 * @sources: [n_sources] name the domains
 * Return: as above. */
int reply_traces(const struct model *m, const struct trace_list *list, uint64_t limit,
                 const struct model_source *sources, size_t n_sources, const struct reply_sink *sink);
