/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests of tmctl: from a message's bytes to the answer of what looks at
 * snapshots. Whatever a request says, it is answered, or refused with a message.
 *
 * Input: one Request.
 */

#include "daemon/query/query.h"
#include "daemon/query/reference.h"
#include "tests/support/snapshot_random.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count_reply(void *userdata, const Tracemallocd__Control__Reply *reply) {
        size_t length = tracemallocd__control__reply__get_packed_size(reply);
        assert(length > 0 && length <= UINT32_C(16) << 20);
        ++*(unsigned *)userdata;
        return 0;
}

static int count_bytes(void *userdata, const void *bytes, size_t length) {
        ++*(unsigned *)userdata;
        return 0;
}

static void answer(const Tracemallocd__Control__Request *request, const struct model_source sources[2]) {
        unsigned n = 0;
        struct reply_sink sink = {.send = count_reply, .userdata = &n};
        struct pickle_sink pickle = {.write = count_bytes, .userdata = &n};
        struct pickle_summary summary;
        char *message = NULL;
        int r = 0;
        switch (request->body_case) {
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS:
                r = query_stats(sources, 2, request->stats->view, &sink, &message);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE:
                r = query_compare(sources, 1, sources + 1, 1, request->compare->view, &sink, &message);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES:
                r = query_traces(sources, 1, request->traces->view, &sink, &message);
                break;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_EXPORT:
                r = query_export(sources, 1, request->export->view, PICKLE_SHAPE_3_9, &pickle, &summary, &message);
                break;
        default:
                break;
        }
        assert(r <= 0 || (message && *message));
        free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct model_source sources[2];
        for (unsigned i = 0; i < 2 && !sources[i].snapshot; i++)
                sources[i].snapshot =
                        snapshot_random(&(struct snapshot_random_options){.seed = i + 1, .n_tracebacks = 30});
        Tracemallocd__Control__Request *request = tracemallocd__control__request__unpack(NULL, size, data);
        if (!request)
                return 0;
        answer(request, sources);
        /* as request_copy() does */
        size_t length = tracemallocd__control__request__get_packed_size(request);
        uint8_t *packed = malloc(length ? length : 1);
        assert(packed);
        tracemallocd__control__request__pack(request, packed);
        Tracemallocd__Control__Request *copy = tracemallocd__control__request__unpack(NULL, length, packed);
        /* a field of number 0, which is kept as unknown, does not come back; the request fails then */
        assert(!copy || copy->body_case == request->body_case);
        if (copy)
                tracemallocd__control__request__free_unpacked(copy, NULL);
        tracemallocd__control__request__free_unpacked(request, NULL);
        free(packed);
        return 0;
}
