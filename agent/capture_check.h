/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Only in the checking build of the agent (tests/support/capture_check.c): holds
 * every traceback against what other unwinders see. Nothing of it is in the agent that is installed.
 */

#include "agent/epoch.h"

#include <stdint.h>

enum capture_way {
        CAPTURE_REMEMBERED, /* an earlier stack was still there */
        CAPTURE_WALKED,     /* by rules, some of its frames at least */
        CAPTURE_SLOW,       /* by libgcc's unwinder */
};

/** capture_check() - compare; @node: what was captured for @cfa and @limit, 0: nothing */
void capture_check(struct epoch *epoch, uintptr_t cfa, uint32_t limit, uint32_t node, enum capture_way way);
