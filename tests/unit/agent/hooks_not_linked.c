/* SPDX-License-Identifier: Apache-2.0 */

/* What the agent's life calls of hooks that a test program does not have. */

#include "agent/hooks.h"
#include "agent/python.h"

void hooks_track_reconnected(struct epoch *to, uintptr_t cfa) {
}

int hooks_track_python(unsigned int domain, uintptr_t address, size_t size) {
        return -2;
}

int hooks_untrack_python(unsigned int domain, uintptr_t address) {
        return -2;
}

int hooks_python_object(void *object, int event, void *data) {
        return 0;
}
