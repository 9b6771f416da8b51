/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The functions that the agent puts in front of the program's. Their names and
 * signatures are those of the functions that they wrap; agent.map exports them
 * and nothing else.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK __attribute__((visibility("default")))

/* Stack pointer of the hook's caller at the call: where the traceback begins. Asking for the frame's address
 * makes the compiler give the hook a frame pointer, so that the words below the CFA are the return address and
 * the caller's rbp; both are there until the hook returns, because these files are compiled without sibling
 * calls. That is what stack_memo_capture() begins with. */
#define HOOK_CFA ((uintptr_t)__builtin_frame_address(0) + 16)

/* Declares real_NAME; every libc that has a caller for it has it. */
#define REAL(name)                                                                                                     \
        static __typeof__(name) *cached_;                                                                              \
        __typeof__(name) *real_##name = cached_ ? cached_ : (cached_ = (__typeof__(name) *)real_symbol(#name))

/** hooks_process_setup() - ask libc to tell of the process's exit; once an image, before anything is recorded */
void hooks_process_setup(void);

/** hooks_about_to_fork() - the FORK record, whose token the child greets with; none where nothing is recorded */
void hooks_about_to_fork(uintptr_t cfa);

/** hooks_forked() - in parent and child; @pid: what fork() returns, and this does */
pid_t hooks_forked(pid_t pid, uintptr_t cfa);

/** hooks_about_to_share() - before a clone(); @flags: CLONE_VM and the like. Notes what caller and child both write to
 */
void hooks_about_to_share(uint64_t flags);

/** hooks_syscall_setup() - look for libc's syscall(), so that no call of it needs a frame of ours */
void hooks_syscall_setup(void);

/** hooks_track_python() - the agent's PyTraceMalloc_Track() and, below, PyTraceMalloc_Untrack(), under names of its
 * own: under theirs the loader may find Python's */
int hooks_track_python(unsigned int domain, uintptr_t address, size_t size);
int hooks_untrack_python(unsigned int domain, uintptr_t address);

struct epoch;

/** hooks_track_reconnected() - a daemon came that knows nothing of this process; the guard is set */
void hooks_track_reconnected(struct epoch *epoch, uintptr_t cfa);
