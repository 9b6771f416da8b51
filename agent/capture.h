/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From a hook to a traceback node: walk the caller's stack, intern it.
 */

#include "agent/epoch.h"

#include <stdbool.h>
#include <stdint.h>

/** capture_is_own() - whether @pc, a return address, is the agent's: of a hook whose function calls the program back
 * (handlers of pthread_atfork(), destructors in dlclose()). Such are no frames. */
static inline bool capture_is_own(uint64_t pc) {
        extern const char __ehdr_start[], etext[] __attribute__((visibility("hidden"))); /* the linker's */

        return pc - (uintptr_t)__ehdr_start < (uintptr_t)etext - (uintptr_t)__ehdr_start;
}

/** capture_traceback() - node of the stack that called a hook
 * @cfa: HOOK_CFA of a hook that is still running: frames below it are ours or of operator new, and are left out
 * The thread's guard is set; no reservation is held. Return: node; 0 where there is no room for one. */
uint32_t capture_traceback(struct epoch *epoch, uintptr_t cfa);
