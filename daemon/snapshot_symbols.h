/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The source frames of a snapshot: from the store, and for the rest from the symbol helper. Pool threads. */

#include "daemon/live/snapshot.h"
#include "daemon/store/store_reader.h"
#include "daemon/symbol/symbol_set.h"
#include "daemon/symbol/symbolizer.h"

/** snapshot_symbols() - make sure that a set knows all native locations of a snapshot, as far as anybody can
 * @known: changed; of the uid that the snapshot belongs to
 * @freshp: what the helper found out and the store doesn't have, or NULL; the caller's
 * Blocks while files are read, seconds for large ones. Return: 0; what store_reader_symbols() or the symbolizer
 * returned (@known then holds what there is; @freshp is set all the same). */
int snapshot_symbols(struct store_reader *reader, struct symbolizer *symbolizer, const struct snapshot *snapshot,
                     struct symbol_set *known, struct symbol_set **freshp);
