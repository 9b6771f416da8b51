/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether two snapshots say the same, whatever the order and the numbers of their arrays. */

#include "daemon/live/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

/** snapshot_equal() - compare
 * @with_id: also info.id and info.set
 * @why: [size], one line that names the first difference
 * O(n log n) in frames. Return: whether they are equal; aborts without memory. */
bool snapshot_equal(const struct snapshot *a, const struct snapshot *b, bool with_id, char *why, size_t size);
