/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A record (proto/record.h) taken out of its ring or message: checked words in
 * the daemon's own memory. daemon/ingest makes batches of them, image_apply()
 * takes them.
 */

#include <stdint.h>

#define EVENT_BATCH_MAX 256 /* 14 KiB of events: they stay in the first level cache between decoding and applying */

struct event {
        uint64_t position; /* of the record */
        uint64_t hash;     /* image_apply()'s: trace_table_hash() of (domain, word[0]) */
        uint32_t node;     /* image_apply()'s: whose sums it probably changes */
        uint64_t word[3];  /* payload in the record's order; behind its end: anything */
        uint32_t argument;
        uint8_t type; /* enum record_type, checked */
        uint8_t domain;
};
