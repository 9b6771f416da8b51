/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entries of the hooks that are called all the time, in any thread. While nothing is traced, what such a hook costs is
 * instructions: so it has no frame, and jumps where others would call. This file, unlike the other hooks, is
 * compiled with sibling calls, and has nothing in it that is more than one.
 */

#include "agent/hooks_entry.h"

#include "agent/hooks.h"
#include "agent/real.h"
#include "agent/state.h"

#include <stdlib.h>

HOOK void *malloc(size_t size) {
        struct epoch *epoch;
        if (agent_passes(true, &epoch))
                return real.malloc(size);
        return traced_malloc(size, epoch);
}

HOOK void *calloc(size_t count, size_t size) {
        struct epoch *epoch;
        if (agent_passes(true, &epoch))
                return real.calloc(count, size);
        return traced_calloc(count, size, epoch);
}

HOOK void *realloc(void *block, size_t size) {
        struct epoch *epoch;
        if (agent_passes(true, &epoch))
                return real.realloc(block, size);
        return traced_realloc(block, size, epoch);
}

HOOK void free(void *block) {
        struct epoch *epoch;
        if (agent_passes(false, &epoch))
                real.free(block);
        else
                traced_free(block, epoch);
}

#define DEFINE_NEW(name, parameters, arguments, alignment)                                                             \
        HOOK void *name parameters;                                                                                    \
        HOOK void *name parameters {                                                                                   \
                struct epoch *epoch;                                                                                   \
                if (agent_passes(true, &epoch))                                                                        \
                        return real##name arguments;                                                                   \
                return traced##name(HOOKS_UNPACK arguments, epoch);                                                    \
        }

#define DEFINE_DELETE(name, parameters, arguments)                                                                     \
        HOOK void name parameters;                                                                                     \
        HOOK void name parameters {                                                                                    \
                struct epoch *epoch;                                                                                   \
                if (agent_passes(false, &epoch))                                                                       \
                        real##name arguments;                                                                          \
                else                                                                                                   \
                        traced##name(HOOKS_UNPACK arguments, epoch);                                                   \
        }

EACH_NEW(DEFINE_NEW)
EACH_DELETE(DEFINE_DELETE)
