/* SPDX-License-Identifier: Apache-2.0 */

/* export: a file in chunks. A thread of the pool. */

#include "daemon/control/export_replies.h"

#include "daemon/query/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct export {
        struct reply_buffer *replies;
        uint64_t bytes;
};

static int add_chunk(void *userdata, const void *bytes, size_t length) {
        struct export *e = userdata;
        Tracemallocd__Control__ExportChunk chunk = TRACEMALLOCD__CONTROL__EXPORT_CHUNK__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        e->bytes += length;
        if (e->bytes > EXPORT_BYTES_MAX)
                return -EFBIG;
        chunk.data = (ProtobufCBinaryData){.data = (uint8_t *)bytes, .len = length};
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_CHUNK;
        reply.export_chunk = &chunk;
        return reply_buffer_add(e->replies, &reply);
}

static int add_summary(struct export *e, const struct pickle_summary *summary, bool inexact) {
        Tracemallocd__Control__ExportSummary message = TRACEMALLOCD__CONTROL__EXPORT_SUMMARY__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        message.blocks = summary->blocks;
        message.functions_left_out = summary->functions_left_out;
        message.modules_left_out = summary->modules_left_out;
        message.domain_names_left_out = summary->domain_names_left_out;
        message.total_nframe_left_out = summary->total_nframe_left_out;
        message.inexact = inexact;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_EXPORT_SUMMARY;
        reply.export_summary = &message;
        return reply_buffer_add(e->replies, &reply);
}

int export_replies(const struct model_source *sources, size_t n_sources,
                   const Tracemallocd__Control__ExportRequest *request, struct reply_buffer *replies, char **messagep) {
        struct export e = {.replies = replies};
        struct pickle_sink sink = {.write = add_chunk, .userdata = &e};
        struct pickle_summary summary;
        bool inexact = false;
        enum pickle_shape shape = request->shape == TRACEMALLOCD__CONTROL__EXPORT_REQUEST__SHAPE__PYTHON_3_8
                                          ? PICKLE_SHAPE_3_8
                                          : PICKLE_SHAPE_3_9;
        for (size_t i = 0; i < n_sources; i++)
                inexact = inexact || !sources[i].snapshot->info.exact;
        int r = query_export(sources, n_sources, request->view, shape, &sink, &summary, messagep);
        if (r == 0)
                return add_summary(&e, &summary, inexact);
        if (r == -EFBIG) {
                *messagep = strdup("the file would be longer than 1 GiB; leave something out with --include or "
                                   "--exclude, or use --format json");
                return *messagep ? QUERY_E_FAILED : -ENOMEM;
        }
        return r;
}
