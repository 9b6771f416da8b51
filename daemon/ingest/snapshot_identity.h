/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of a snapshot_info that says whose it is: kept by a feed, put into each of its snapshots. Main loop. */

#include "daemon/live/snapshot.h"

/** snapshot_identity_copy() - with strings of its own; @from may be NULL (all empty). Return: 0; -ENOMEM (nothing
 * kept). */
int snapshot_identity_copy(struct snapshot_info *to, const struct snapshot_info *from);

/** snapshot_identity_deinit() - free the strings */
void snapshot_identity_deinit(struct snapshot_info *info);

/** snapshot_identity_apply() - put it into a builder's info
 * @label, @ended_by: instead of the identity's, where not NULL; copied. A label that is in @info already (of a
 * phase) stays where both others are empty. Return: 0; -ENOMEM. */
int snapshot_identity_apply(struct snapshot_info *info, const struct snapshot_info *identity, const char *label,
                            const char *ended_by);
