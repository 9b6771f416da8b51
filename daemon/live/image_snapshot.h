/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An image at one moment on its way into a snapshot: begin cuts, step reads
 * slices between batches of events, finish hands over a builder, whose
 * snapshot_builder_finish() (sorting) may run on any thread. One thread otherwise: the image's.
 */

#include "daemon/live/image.h"
#include "daemon/live/node_source.h"
#include "daemon/live/snapshot.h"

#include <stddef.h>

struct image_snapshot;

enum { IMAGE_SNAPSHOT_MORE = 1 };

/** image_snapshot_begin() - cut
 * @kind: SNAPSHOT_PEAK reads the sums at the peak, any other the blocks and what was allocated
 * @source: borrowed until finish or cancel. Return: 0; -ENOMEM. */
int image_snapshot_begin(struct image *image, enum snapshot_kind kind, const struct node_source *source,
                         struct image_snapshot **snapshotp);

/** image_snapshot_begin_block() - the same for one block: the smallest that contains an address
 * The snapshot then holds that block or nothing, and its info where it begins. Return: 0; -ENOMEM. */
int image_snapshot_begin_block(struct image *image, uint64_t address, const struct node_source *source,
                               struct image_snapshot **snapshotp);

/** image_snapshot_step() - read about @n blocks or nodes
 * Return: 0: all is read; IMAGE_SNAPSHOT_MORE; -ENOMEM (cancel it). */
int image_snapshot_step(struct image_snapshot *s, size_t n);

/** image_snapshot_finish() - after the step that returned 0
 * @s: freed. Return: the builder, the caller's; of its info kind, lost, exact and the two _known
 * are set, and label where the program labels its phases. */
struct snapshot_builder *image_snapshot_finish(struct image_snapshot *s);

/** image_snapshot_cancel() - NULL is fine. Return: NULL. */
struct image_snapshot *image_snapshot_cancel(struct image_snapshot *s);
