/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The end of reading a pickle: from what its opcodes left to a snapshot. */

#include "daemon/live/snapshot.h"
#include "daemon/query/pickle_machine.h"

/** pickle_snapshot_make() - check that it was a Snapshot, and build ours
 * @m: has stopped
 * @builder: empty, but for its info; taken on success
 * @foreign: [PICKLE_MESSAGE_BYTES], set on 0 to names of attributes that are left out, "" for none
 * @snapshotp: set on 0, one reference
 * Strings, frames and tracebacks that only other values have do not go with it. O(traces + frames).
 * Return: 0; PICKLE_E_REFUSED (without a message: the bound of memory); -ENOMEM. */
int pickle_snapshot_make(struct pickle_machine *m, struct snapshot_builder *builder, char *foreign,
                         struct snapshot **snapshotp);
