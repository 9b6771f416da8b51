/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a feed's gauges say, as ps and the summary of a run tell it. */

#include "daemon/ingest/feed.h"
#include "proto/control.pb-c.h"

/* Memory of a reply's domains. */
struct gauge_domains {
        Tracemallocd__Control__Domain domains[FEED_GAUGE_DOMAINS], *pointers[FEED_GAUGE_DOMAINS];
};

/** gauge_reply_fill() - numbers and domains of a process
 * @m: initialized; borrows @g and @domains
 * Any thread. */
void gauge_reply_fill(Tracemallocd__Control__Process *m, const struct feed_gauges *g, struct gauge_domains *domains);
