/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The block that contains an address, as a Reply message. A thread of the pool. */

#include "daemon/query/model.h"
#include "daemon/query/reply.h"

#define BLOCK_REPLY_E_NONE 16 /* apart from QUERY_E_* */

/** block_reply() - Block
 * @source: a live table of which only that block was read (feed_snapshot_options.one_block)
 * Return: 0; BLOCK_REPLY_E_NONE: no block contains it, *messagep says so (for free()); else as query_traces(). */
int block_reply(const struct model_source *source, const struct reply_sink *sink, char **messagep);
