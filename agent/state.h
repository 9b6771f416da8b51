/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The agent's states and what a hook asks at its entry. While nothing is traced, a hook that is called all the time is
 * a predictable branch and a jump, and one that allocates counts down.
 *
 *   NEW        a fresh image or the child of a fork: the next hooked call arms
 *   RECORDING  an epoch is there (the daemon may not have answered yet)
 *   PAUSED     socket way, mode off: looks for SetMode now and then
 *   IDLE       no daemon: tries again now and then
 *   INERT      never traced: a foreign libc, TRACEMALLOCD_OFF, a child with CHILDREN=0
 */

#include "agent/epoch.h"
#include "agent/python.h"
#include "agent/thread.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define AGENT_TICKS 1024 /* calls of a thread between two looks for a daemon, or for what became of it in mode off */

enum gate {
        GATE_NEW = 0, /* what the kernel makes of this page in the child of a fork */
        GATE_RECORDING,
        GATE_PAUSED,
        GATE_IDLE,
        GATE_INERT,
        GATE_STATES = 7, /* mask; besides: */
        GATE_PASS = 8,   /* there is nothing to do but to call the real function, and to look now and then */
        GATE_LOOK = 16,  /* python_look() has something to look for: hooks go the long way */
};

/* A page of its own with MADV_WIPEONFORK: so the child of a fork, however made, finds zeros here
 * without asking for its pid. A vfork child, which shares the parent's heap, finds the parent's. */
struct process_page {
        _Atomic uint32_t gate;       /* enum gate, and what is besides */
        _Atomic uint32_t arming;     /* one thread is in agent_arm() */
        _Atomic int pid;             /* whose page this is; 0 in the child of a fork. A vfork child has another */
        _Atomic uint32_t fork_token; /* what the child of a fork greets with, whichever thread does; else 0 */
        _Atomic uint64_t version;    /* agent_changed(); 0 in the child of a fork until then */
        char padding[4096 - 24];
};

extern struct process_page process_page AGENT_HIDDEN;
extern _Atomic uint64_t agent_last_version; /* not in the page: a child goes on counting */
extern struct epoch *_Atomic current_epoch AGENT_HIDDEN;

/** agent_gate() - its state */
static inline enum gate agent_gate(void) {
        return (enum gate)(atomic_load_explicit(&process_page.gate, memory_order_acquire) & GATE_STATES);
}

/** agent_watch_python() - set python_watch, and with it what hooks do */
void agent_watch_python(bool watch);

/** agent_changed() - what threads have settled (python_settled.h) holds no more; after a change of the gate, of
 * current_epoch or of the Python layer's state, and before a code object is freed */
static inline void agent_changed(void) {
        atomic_store(&process_page.version, atomic_fetch_add(&agent_last_version, 1) + 1);
}

/** agent_closed() - the rest of agent_epoch() where the gate is not RECORDING: arms, tries again
 * Return: the epoch to record in now, or NULL. */
struct epoch *agent_closed(uint32_t domain_bit);

/** agent_not_exact() - the rest of agent_epoch() where the mode is not EXACT: notices the daemon's end, said or not */
void agent_not_exact(struct epoch *epoch, uint32_t mode);

/** agent_drain() - socket way: send; @flush: even if it is not due. The guard is set. */
void agent_drain(struct epoch *epoch, bool flush);

/** agent_bring_files() - hand over files of new modules, if there are any and the last time is long ago
 * @last: do it now. The guard is set. */
void agent_bring_files(struct epoch *epoch, bool last);

/** agent_pid() - of the process that records, as it was when it armed */
int agent_pid(void);

/** agent_takes() - whether the daemon wants every event of a domain */
static inline bool agent_takes(const struct ring_control *control, uint32_t domain_bit) {
        return likely(atomic_load_explicit(&control->mode, memory_order_relaxed) == TRACE_EXACT) &&
               likely(atomic_load_explicit(&control->domains, memory_order_relaxed) & domain_bit);
}

/** agent_passes() - agent_epoch(DOMAIN_BIT_MALLOC) for the hooks that are called all the time
 * @allocates: it counts for AGENT_TICKS; what frees does not, so that a block counts once
 * *epochp: where to record; NULL where agent_epoch() has to be asked
 * Return: true: nowhere, and the real function is all there is to call. */
static inline bool agent_passes(bool allocates, struct epoch **epochp) {
        uint32_t gate = atomic_load_explicit(&process_page.gate, memory_order_acquire), mode;
        const struct ring_control *control;
        struct epoch *epoch;
        *epochp = NULL;
        if (likely(gate & GATE_PASS))
                return !allocates || likely(--thread_state.ticks > 0);
        if (unlikely(gate != GATE_RECORDING))
                return false;
        epoch = atomic_load_explicit(&current_epoch, memory_order_acquire);
        control = epoch_control(epoch);
        mode = atomic_load_explicit(&control->mode, memory_order_relaxed);
        if (unlikely(mode != TRACE_EXACT))
                return mode == TRACE_OFF && !epoch->socket && (!allocates || likely(--thread_state.ticks > 0));
        if (unlikely(!(atomic_load_explicit(&control->domains, memory_order_relaxed) & DOMAIN_BIT_MALLOC)))
                return true;
        *epochp = epoch;
        return false;
}

/** agent_epoch() - where to record an event of a domain
 * Return: NULL: nowhere. */
static inline struct epoch *agent_epoch(uint32_t domain_bit) {
        uint32_t mode;
        if (unlikely(agent_gate() != GATE_RECORDING))
                return agent_closed(domain_bit);
        struct epoch *epoch = atomic_load_explicit(&current_epoch, memory_order_acquire);
        const struct ring_control *control = epoch_control(epoch);
        mode = atomic_load_explicit(&control->mode, memory_order_relaxed);
        if (unlikely(mode != TRACE_EXACT)) {
                agent_not_exact(epoch, mode);
                return NULL;
        }
        return atomic_load_explicit(&control->domains, memory_order_relaxed) & domain_bit ? epoch : NULL;
}

/** agent_epoch_any() - the same for events that belong to no domain (fork, exec, exit): in any mode but ENDED
 * Return: NULL where this process does not record, a vfork child included. */
struct epoch *agent_epoch_any(void);

/** agent_epoch_to_fork() - the same before a fork. A child of fork that had no event so far arms here: the daemon
 * keeps one table for it, which one process can begin with, and the children that it forks may be many (a server's
 * workers, behind a process that only made itself a daemon). */
struct epoch *agent_epoch_to_fork(void);

/** agent_share_memory() - a process is about to begin that shares this one's memory without being a thread of libc's:
 * from now on no writer is alone */
void agent_share_memory(void);
