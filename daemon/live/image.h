/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The live state of one image: its blocks, its sums, and what is needed to make
 * a snapshot of them. Events change it (image_apply.h), forks copy it
 * (image_fork.h), snapshots read it (image_snapshot.h). One thread: the worker that owns it.
 */

#include "daemon/live/charge.h"
#include "daemon/live/cut.h"
#include "daemon/live/domain_map.h"
#include "daemon/live/interval_map.h"
#include "daemon/live/module_map.h"
#include "daemon/live/move_map.h"
#include "daemon/live/trace_table.h"
#include "daemon/live/traceback_sums.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_PHASE_BYTES_MAX 128 /* proto/agent.proto */

/* What a program says that it is doing. */
struct image_phase {
        uint8_t length; /* 0: it does not say */
        char label[IMAGE_PHASE_BYTES_MAX];
};

struct image {
        struct keep *keep; /* NULL: it ends with the daemon */
        struct charge *charge;
        struct trace_table *table;
        struct traceback_sums *sums;
        struct module_map *modules;
        struct domain_map domains;
        struct move_map moves;
        struct interval_map mappings;
        struct image_phase phase;    /* now */
        struct image_phase old_peak; /* the phase of the peak, where that was no higher in this one: */
        uint64_t phase_peak_size;    /* the peak when this phase began */
        struct image_fork *forks;    /* newest first */
        unsigned n_forks;
        uint64_t forks_dropped;      /* by IMAGE_FORKS_MAX */
        uint32_t fork_dropped_token; /* the last one */
        uint64_t events, unknown_frees;
        uint64_t lost;      /* holes, full tables and what LOST records say */
        uint64_t lost_told; /* by the agent's own counter; the larger of this and lost_records counts */
        uint64_t lost_records;
        uint64_t lost_forgotten; /* clear and start forget what was lost before */
        uint64_t inherited_size; /* of the blocks that a fork began with; 0 after a restart of the daemon */
        uint64_t exit_status;
        bool tracing;
        bool begun_inexact; /* there are blocks that nobody told us of */
        bool exit_seen, exec_pending;
        bool farewell; /* EXIT or EXEC said that nobody goes on */
        bool cut_off;  /* events after the last one may not have come */
};

enum {
        IMAGE_E_FULL = 2,
};

/** image_init() - empty, exact and tracing
 * @keep: where it lies, outlives the image; NULL: private memory
 * @memory_limit: bytes; 0: none. The image must not move afterwards. Return: 0; IMAGE_E_FULL; -ENOMEM. */
int image_init(struct image *image, struct keep *keep, uint64_t memory_limit);

/** image_open_state() - empty tables for an image that has none. Return: as image_init() */
int image_open_state(struct image *image);

/** image_deinit() - also what forks are unclaimed. Open snapshots keep what they read. */
void image_deinit(struct image *image);

/** image_release() - the process is gone: free everything but the unclaimed forks and the counters. Only
 * image_fork_take() and image_deinit() may follow. */
void image_release(struct image *image);

/** image_module_load(), image_domain() - what the Item of a MODULE_LOAD or DOMAIN record says
 * Return: 0; IMAGE_E_FULL; -ENOMEM. */
int image_module_load(struct image *image, uint32_t generation, const void *path, size_t path_length,
                      const uint8_t *build_id, size_t build_id_length);
int image_domain(struct image *image, unsigned index, uint32_t number, const void *name, size_t name_length);

/** image_begin_phase() - what the Item of a PHASE record says; cut at IMAGE_PHASE_BYTES_MAX */
void image_begin_phase(struct image *image, const void *label, size_t length);

/** image_peak_phase() - the phase in which the peak was reached. Return: borrowed until the next event. */
const struct image_phase *image_peak_phase(const struct image *image);

/** image_cut_off() - no event comes any more; where the process did not say farewell, some may be missing */
void image_cut_off(struct image *image);

/** image_lost_told() - the ring header's lost_events */
void image_lost_told(struct image *image, uint64_t lost_events);

/** image_lose() - @n events are missing here (a hole) */
void image_lose(struct image *image, uint64_t n);

/** image_lost() - events known to be missing since the start or the last clear */
uint64_t image_lost(const struct image *image);

/** image_is_exact() - nothing lost and nothing unknown */
bool image_is_exact(const struct image *image);

/** image_clear() - forget all blocks, sums and losses. Open cuts and forks keep the old table. Return: 0; -ENOMEM. */
int image_clear(struct image *image);

/** image_stop(), image_start() - stop forgets all and applies no blocks until start. Return: as image_clear() */
int image_stop(struct image *image);
void image_start(struct image *image);

/** image_reset_peak() - O(1) */
void image_reset_peak(struct image *image);

/** image_cut() - a cut of the blocks, those whose realloc is under way included. Return: as cut_open(). */
int image_cut(struct image *image, struct cut *cut);

/** image_check() - abort on a broken invariant (tests) */
void image_check(const struct image *image);
