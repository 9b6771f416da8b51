/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is behind a struct feed, for feed*.c alone. Three
 * parts by who touches them: the main loop, both (atomics, and what is set before
 * the worker hears of the feed), the worker.
 */

#include "daemon/ingest/definitions.h"
#include "daemon/ingest/feed.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/ingest/ring_reader.h"
#include "daemon/ingest/worker_private.h"
#include "daemon/live/image.h"
#include "daemon/live/image_kept.h"
#include "daemon/live/image_snapshot.h"

enum feed_op_kind {
        FEED_OP_SNAPSHOT,
        FEED_OP_FINISH,
        FEED_OP_CLEAR,
        FEED_OP_RESET_PEAK,
        FEED_OP_START,
        FEED_OP_STOP,
        FEED_OP_DROP_FORK,
        FEED_OP_CUT_OFF,
};

/* Something asked for at a position. From the main loop to the worker's queue of the feed and back. */
struct feed_op {
        struct worker_job job; /* first */
        struct feed *feed;
        struct feed_op *next; /* worker's: in feed->ops, then in feed->reading */
        enum feed_op_kind kind;
        uint64_t position;
        uint32_t token;
        int error;
        /* FEED_OP_SNAPSHOT uses the first of each, FEED_OP_FINISH: exit, peak */
        struct image_snapshot *reading[2];
        struct snapshot_builder *builders[2];
        struct snapshot *snapshots[2];
        enum snapshot_kind kinds[2];
        bool wanted[2];
        bool one_block;
        uint64_t address; /* with one_block */
        int64_t taken_at_ns;
        char *label, *ended_by; /* NULL: those of the feed's info */
        feed_snapshot_cb snapshot_cb;
        feed_finish_cb finish_cb;
        void *data;
        uv_work_t work; /* sorting, on the thread pool */
};

/* Socket way: bytes on their way to the worker. Frees itself when it is used up. */
struct feed_push {
        struct worker_job job; /* first */
        struct feed *feed;
        struct feed_push *next;
        uint64_t position;                 /* of the records */
        size_t length, offset;             /* of records */
        size_t nodes_length, items_length; /* of definitions, one behind the other */
        unsigned char bytes[];
};

enum feed_phase {
        FEED_WAITS_FOR_PARENT, /* until the parent's FORK record was read */
        FEED_ADOPTS,           /* takes the parent's blocks over */
        FEED_RUNS,
        FEED_BROKEN,   /* the peer broke the protocol */
        FEED_FINISHED, /* everything is read, the table is gone */
};

struct feed {
        struct worker *worker;
        struct feed_gauges gauges;
        bool by_ring;
        struct ring_reader ring; /* main: control_fd, head, mode */
        struct worker_job attach_job, detach_job;

        /* main loop's */
        feed_notify_cb notify;
        void *data;
        struct snapshot_info info; /* strings are ours */
        uint32_t mode;
        uint32_t nodes_pushed;
        uint64_t items_pushed, records_pushed;
        uint64_t memory_limit;
        struct charge_pool *pool;     /* NULL: none */
        uint64_t definitions_charged; /* socket way: of the pool; main loop */
        bool finishing, freed, detached;
        unsigned n_ops; /* that have not called back */
        void (*closed)(void *data);
        void *closed_data;
        struct keep *keep;   /* of the image; its identity is the main loop's. NULL: none */
        struct feed_fds fds; /* until feed_fds_stored(); -1 each: none */
        uint64_t id;
        int tied_fd;  /* memfd_is_tied() of the ring; -1: socket way */
        bool cut_off; /* socket way */

        /* worker's */
        struct feed *next; /* worker->feeds */
        enum feed_phase phase;
        struct image image;
        struct definitions definitions;
        struct feed_op *ops, **ops_end; /* waiting for their position */
        struct feed_op *reading;        /* snapshots being read out, newest first */
        struct feed_op *finish;         /* waiting for reading to be empty */
        struct feed_push *pushes, **pushes_end;
        uint64_t applied; /* socket way: position */
        uint64_t applied_told;
        uint64_t due_ns, period_ns, hole_timeout_ns;
        uint64_t forks_dropped_told;
        bool dead; /* nobody writes any more */
        bool ring_closed;
        bool gauge_seen[256];
        uint8_t gauge_domains[FEED_GAUGE_DOMAINS]; /* index of each line of the gauges */
        /* while it waits for or adopts from its parent */
        struct feed *parent;
        struct image_fork *fork;
        uint32_t fork_token;
        uint64_t parent_id, parent_position;   /* up to which its fork may come; UINT64_MAX: up to its end */
        struct feed_notice_job *broken_notice; /* made beforehand: it must not fail */
};

/* A notice on its way to the main loop. */
struct feed_notice_job {
        struct worker_job job; /* first */
        struct feed *feed;
        struct feed_notice notice;
};

#define FEED_POOL_IS_USED_UP "its user's share of memory is used up (table_memory_per_user)"

/** feed_handle_new() - what all ways have in common; the image is missing. Main loop. Return: 0; -errno. */
int feed_handle_new(struct worker *worker, const struct feed_options *options, struct feed **feedp);

/** feed_handle_free() - all of it but image and definitions; one that no worker has heard of, or has let go. Main loop
 */
void feed_handle_free(struct feed *feed);

/** feed_discard_image() - the image of a feed that cannot be, with what it lies in; before feed_handle_free() */
void feed_discard_image(struct feed *feed);

/** feed_close_if_done() - the end of a feed that the worker has let go of, once nothing is left that calls back: a
 * snapshot may still be sorted then. Main loop */
void feed_close_if_done(struct feed *feed);

/** feed_notice_done() - main loop: call notify, free the job (feed.c) */
void feed_notice_done(struct worker_job *job);
