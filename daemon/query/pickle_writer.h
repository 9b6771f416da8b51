/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Traces as a file that tracemalloc.Snapshot.load() reads: one tuple a block,
 * in the order of Snapshot.traces (trace_list.h), protocol 4.
 *
 * What Python's model has no place for is left out: functions, modules, domain
 * names (python_traces.h). A file that is read and written again is the same
 * file.
 */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKLE_CHUNK_BYTES (UINT32_C(256) << 10)

struct pickle_sink {
        /* @bytes: [length], valid during the call, in order; at most PICKLE_CHUNK_BYTES
         * Return: 0; anything else ends the export. */
        int (*write)(void *userdata, const void *bytes, size_t length);
        void *userdata;
};

enum pickle_shape {
        PICKLE_SHAPE_3_9 = 0, /* (domain, size, frames, total_nframe): Python 3.9 and later */
        PICKLE_SHAPE_3_8 = 1, /* (domain, size, frames): Python 3.6 to 3.8 */
};

struct pickle_summary {
        uint64_t blocks;
        bool functions_left_out, modules_left_out; /* python_traces.h */
        bool domain_names_left_out;                /* set by query_export(), which knows them */
        bool total_nframe_left_out;                /* the older shape has none */
};

enum pickle_writer_outcome {
        PICKLE_E_NO_SIZES = 2, /* only sums are known of some trace, as in peak snapshots */
};

/** pickle_write() - MODEL_NEW as a file
 * @m: can only be deinitialised afterwards
 * @traceback_limit: Snapshot.traceback_limit
 * @summaryp: set on 0
 * A block takes one byte if it is like the one before it, else some fifteen. O(blocks).
 * Return: 0; PICKLE_E_NO_SIZES (nothing was written); -ENOMEM; -EOVERFLOW (2^32 different names, frames
 * and tracebacks); the sink's. */
int pickle_write(struct model *m, enum pickle_shape shape, uint32_t traceback_limit, const struct pickle_sink *sink,
                 struct pickle_summary *summaryp);
