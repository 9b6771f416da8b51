/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events change an image. Worker's thread. */

#include "daemon/live/event.h"
#include "daemon/live/image.h"

#include <stddef.h>

enum {
        IMAGE_SPECIAL = 1, /* stopped behind a MODULE_LOAD, DOMAIN, PHASE, FORK, FORK_DONE, EXIT, EXEC or EXEC_BACK */
};

/** image_apply() - a batch of events
 * @events: [n], n <= EVENT_BATCH_MAX; hash is scratch
 * @donep: events applied
 * Events that find no memory are counted as lost. Return: 0 (all done); IMAGE_SPECIAL: the image has done its
 * part for events[*donep - 1]; the caller may have one: image_module_load() and the like; then call again with the
 * rest. */
int image_apply(struct image *image, struct event *events, size_t n, size_t *donep);

/** image_apply_inherited() - a block that a fork's child begins with: to its table an allocation like any other */
void image_apply_inherited(struct image *child, const struct trace_block *block);
