/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The functions that the agent puts in front of the program's. Their names and
 * signatures are those of the functions that they wrap; agent.map exports them
 * and nothing else.
 */

#include <stdint.h>

#define HOOK __attribute__((visibility("default")))

/* Stack pointer of the hook's caller at the call: where the traceback begins. */
#define HOOK_CFA ((uintptr_t)__builtin_dwarf_cfa())

/** hooks_process_setup() - ask libc to tell of the process's exit; once an image, before anything is recorded */
void hooks_process_setup(void);
