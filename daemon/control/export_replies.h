/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A tracemalloc file as Reply messages. A thread of the pool. */

#include "daemon/control/reply_buffer.h"
#include "daemon/query/model.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

#define EXPORT_BYTES_MAX (UINT64_C(1) << 30) /* as much as can be imported; it is made in memory */

/** export_replies() - ExportChunks, then ExportSummary
 * @sources: [n_sources >= 1]
 * Return: 0; as query_export(), QUERY_E_FAILED also for a file that is too long; @messagep as there. */
int export_replies(const struct model_source *sources, size_t n_sources,
                   const Tracemallocd__Control__ExportRequest *request, struct reply_buffer *replies, char **messagep);
