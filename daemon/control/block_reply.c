/* SPDX-License-Identifier: Apache-2.0 */

/* block: a row of traces, and where the block begins. A thread of the pool. */

#include "daemon/control/block_reply.h"

#include "daemon/query/query.h"

#include <errno.h>
#include <stdio.h>

struct block {
        const struct reply_sink *sink;
        uint64_t address;
};

static int send_block(void *userdata, const Tracemallocd__Control__Reply *traces) {
        const struct block *b = userdata;
        Tracemallocd__Control__Block message = TRACEMALLOCD__CONTROL__BLOCK__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        if (traces->body_case != TRACEMALLOCD__CONTROL__REPLY__BODY_TRACES || traces->traces->n_rows == 0)
                return 0;
        message.address = b->address;
        message.trace = traces->traces->rows[0];
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_BLOCK;
        reply.block = &message;
        return b->sink->send(b->sink->userdata, &reply);
}

int block_reply(const struct model_source *source, const struct reply_sink *sink, char **messagep) {
        const struct snapshot_info *info = &source->snapshot->info;
        struct block b = {.sink = sink, .address = info->block_address};
        const struct reply_sink inner = {.send = send_block, .userdata = &b};
        if (info->count > 0)
                return query_traces(source, 1, NULL, &inner, messagep);
        if (asprintf(messagep,
                     "no live block of process %u contains that address: it was freed, or nobody saw it "
                     "allocated",
                     info->pid) < 0)
                return -ENOMEM;
        return BLOCK_REPLY_E_NONE;
}
