/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an image leaves: the table at its end and at its peak, where they are wanted, stored. Main loop. */

struct process;

/** last_snapshots_take() - read the feed to its end; process_is_stored() follows when nothing is left to store. Errors
 * are logged: then there is that much less. */
void last_snapshots_take(struct process *p);
