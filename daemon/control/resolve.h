/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From what a user wrote for a snapshot to ids that this user may use. Pool threads. */

#include "daemon/control/pool_job.h"
#include "daemon/query/reference.h"
#include "daemon/store/id_list.h"

#include <stdint.h>

/** resolve_item() - append the ids of one item of a reference, in order
 * @item: REFERENCE_LIVE and REFERENCE_FILE are no stored snapshots, and fail the job
 * Return: 0; -1: the job has failed (no such snapshot, another user's, store). */
int resolve_item(struct pool_job *job, struct store_reader *reader, const struct reference_item *item,
                 struct id_list *list);

/** resolve_text() - the same for a whole reference; as above */
int resolve_text(struct pool_job *job, struct store_reader *reader, const char *text, struct id_list *list);
