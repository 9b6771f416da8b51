/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One image being fed: the bytes that its agent wrote, on their way into the
 * live state of the image (daemon/live/image.h). By ring, or by pushes of what
 * came over the socket.
 *
 * This is the main loop's handle. Every function below is called on the main
 * loop's thread, does not block, and every callback comes there, later, never
 * from inside the call. The work is done on the worker's thread, in the order
 * of the calls. Callbacks of one feed come in the order of their calls, except
 * that a snapshot may take longer than what was asked after it.
 *
 * Life: feed_new_*() -> ... -> feed_finish() when the process is dead (optional)
 * -> feed_free().
 */

#include "daemon/ingest/worker.h"
#include "daemon/live/image.h"
#include "daemon/live/snapshot.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct feed;

enum {
        FEED_E_REFUSED = 1, /* descriptors that are not what the protocol asks for; malformed push; *reasonp says why */
        FEED_E_FULL = 2,    /* a quota is used up; *reasonp says which */
};

enum feed_notice_kind {
        /* What the peer wrote breaks the protocol, or its memory limit is used up for good. Nothing more is read;
         * the table stays as it was, marked inexact. Comes once. The caller logs and drops
         * the peer (feed_finish() or feed_free()). reason is set. */
        FEED_NOTICE_MALFORMED,
        /* FORK_DONE was read: token, pid (as the peer sees it; 0: the fork failed) */
        FEED_NOTICE_FORK_DONE,
        /* the fork's table was dropped unclaimed: too many forks open (FEED_FORKS_MAX) or no memory for it */
        FEED_NOTICE_FORK_DROPPED,
        /* socket way: everything before position has been applied (Ack.sequence). Several pushes may share one. */
        FEED_NOTICE_APPLIED,
        FEED_NOTICE_EXIT,      /* EXIT was read; status */
        FEED_NOTICE_EXEC,      /* EXEC was read; the process may become another image now */
        FEED_NOTICE_EXEC_BACK, /* it did not */
        FEED_NOTICE_PHASE,     /* PHASE was read: phase */
};

struct feed_notice {
        enum feed_notice_kind kind;
        const char *reason; /* static text, or NULL */
        uint64_t position;
        uint32_t token, pid;
        uint64_t status;
        struct image_phase phase;
};

/* @data: feed_options.data. May call feed functions, also feed_free(). */
typedef void (*feed_notify_cb)(void *data, struct feed *feed, const struct feed_notice *notice);

struct feed_options {
        uint32_t mode;            /* TRACE_OFF or TRACE_EXACT */
        uint32_t traceback_limit; /* 1..65535 */
        uint32_t domains;         /* DOMAIN_BIT_* */
        uint32_t stall_limit_us;
        uint64_t memory_limit;    /* bytes the live state may take; 0: no limit */
        struct charge_pool *pool; /* what it takes together with others; NULL: none; referenced */
        uint64_t hole_timeout_ms; /* how long a hole of a living process may stay; 0: FEED_HOLE_TIMEOUT_MS */
        bool kept;                /* ring way: what it becomes lies in a memfd, for the next daemon (feed_kept.h) */
        uint64_t id;              /* with kept: who this is to feeds of its children, also in the next daemon */
        bool inexact;             /* RECONNECT: earlier blocks are unknown */
        uint64_t lost_before;     /* counted as lost from the start */
        /* Hello.kind FORK: the feed whose secret the child showed, else NULL. The table starts as the
         * parent's was at the FORK record with this token; where there is none (unknown token, dropped) it starts
         * empty and inexact. The worker is the parent's. Borrowed during the call only. */
        struct feed *parent;
        uint32_t fork_token;
        /* identity for its snapshots: everything but id, set, kind, taken_at_ns, totals, lost and flags. Copied,
         * strings too. */
        const struct snapshot_info *info;
        feed_notify_cb notify; /* may be NULL */
        void *data;
};
#define FEED_HOLE_TIMEOUT_MS 1000
#define FEED_FORKS_MAX       64 /* unclaimed fork tables an image; one more drops the oldest */

/** feed_new_ring() - begin to read a ring
 * @worker: ignored with options->parent (the parent's is used)
 * @ring_fd, @definitions_fd: taken, also on failure
 * @options: borrowed during the call
 * @feedp: set on 0 only
 * @reasonp: set on outcomes above 0: static text for HelloReply.reason and the log
 * Return: 0; FEED_E_REFUSED; -errno of mmap, memfd_create... (ours, not the peer's). */
int feed_new_ring(struct worker *worker, int ring_fd, int definitions_fd, const struct feed_options *options,
                  struct feed **feedp, const char **reasonp);

/** feed_new_socket() - begin a feed by pushes; else as feed_new_ring() */
int feed_new_socket(struct worker *worker, const struct feed_options *options, struct feed **feedp,
                    const char **reasonp);

/** feed_worker() - whose doorbell HelloReply brings */
struct worker *feed_worker(const struct feed *feed);

/** feed_reads_ring() - whether that descriptor is the memfd of the ring that it reads; borrowed */
bool feed_reads_ring(const struct feed *feed, int ring_fd);

/** feed_has_writer() - whether somebody may still write: the ring is mapped (also by a fork that has not become another
 * program), or the connection stands. Where that is not known: true. A system call. */
bool feed_has_writer(const struct feed *feed);

/** feed_control_fd() - the control memfd for HelloReply
 * Return: a descriptor, borrowed, sealed so that a receiver can't write; -1 in the socket way. */
int feed_control_fd(const struct feed *feed);

/** feed_position() - the position of "now": the ring's head, or what was pushed
 * To cut several feeds at one moment: sample all of them first, then ask for the snapshots. */
uint64_t feed_position(const struct feed *feed);

#define FEED_POSITION_NOW UINT64_MAX

struct feed_snapshot_options {
        enum snapshot_kind kind; /* SNAPSHOT_REQUEST, SNAPSHOT_LIVE: the blocks; SNAPSHOT_PEAK: sums at the peak */
        uint64_t position;       /* of feed_position(), or FEED_POSITION_NOW */
        int64_t taken_at_ns;     /* 0: now */
        const char *label;       /* NULL: that of options.info */
        bool one_block;          /* only the block that contains address: info.block_address, or nothing */
        uint64_t address;
};

/* @snapshot: one reference, the callee's; NULL with @error < 0: -ECANCELED (feed_free()), -ENOMEM. */
typedef void (*feed_snapshot_cb)(void *data, struct snapshot *snapshot, int error);

/** feed_snapshot() - everything before a position, nothing after
 * @options: borrowed during the call
 * The cut is made when the reader comes there (at once if it is already further); reading it out is sliced between
 * batches. Return: 0: the callback comes, once; -ENOMEM: it does not. */
int feed_snapshot(struct feed *feed, const struct feed_snapshot_options *options, feed_snapshot_cb cb, void *data);

enum {
        FEED_FINISH_EXIT = 1, /* build the exit snapshot */
        FEED_FINISH_PEAK = 2, /* build the peak snapshot */
};

/* @exit_snapshot, @peak_snapshot: one reference each, the callee's; NULL where not asked for, or on @error. */
typedef void (*feed_finish_cb)(void *data, struct snapshot *exit_snapshot, struct snapshot *peak_snapshot, int error);

/** feed_finish() - the process is dead: read all that is there, past holes, then free the table
 * @ended_by: for the snapshots' info, copied; NULL: that of options.info
 * Gauges stay readable and fork tables claimable until feed_free(). Socket way: what was pushed is all there is.
 * Return: 0: the callback comes, once; -ENOMEM: it does not. */
int feed_finish(struct feed *feed, unsigned flags, const char *ended_by, feed_finish_cb cb, void *data);

/** feed_set_mode() - start or stop
 * @mode: TRACE_OFF clears the traces at once; TRACE_EXACT begins with an empty table at feed_position(); what is
 * freed without having been seen is ignored. Setting the mode that is in force does nothing. The
 * socket way's agent is told by the caller (SetMode).
 * Return: 0; -ENOMEM (unchanged). */
int feed_set_mode(struct feed *feed, uint32_t mode);

/** feed_set_limits() - for start: another traceback limit and other domains, in force for what comes */
void feed_set_limits(struct feed *feed, uint32_t traceback_limit, uint32_t domains);

/** feed_clear() - forget all blocks and sums before feed_position(); the peak is 0 (clear_traces)
 * Return: 0; -ENOMEM (unchanged). */
int feed_clear(struct feed *feed);

/** feed_reset_peak() - the peak is what is alive at feed_position(). Return: 0; -ENOMEM (unchanged). */
int feed_reset_peak(struct feed *feed);

/** feed_set_info() - replace the identity for later snapshots; copied
 * Return: 0; -ENOMEM (unchanged). */
int feed_set_info(struct feed *feed, const struct snapshot_info *info);

/** feed_end() - the daemon leaves: TRACE_ENDED; the agent stops and greets the next daemon later */
void feed_end(struct feed *feed);

/** feed_cut_off() - socket way: the connection is gone; unless the process has said that it ends, its table is
 * inexact from here on. Main loop. Nothing happens without memory: the end of the feed says it again. */
void feed_cut_off(struct feed *feed);

/** feed_drop_fork() - nobody will claim that fork's table (its child did an exec, or is dead). Unknown tokens are fine.
 */
void feed_drop_fork(struct feed *feed, uint32_t token);

/** feed_free() - stop reading, free everything
 * @feed: taken; NULL is fine
 * @closed: NULL is fine; comes after every other callback of this feed (those that were waiting: -ECANCELED) */
void feed_free(struct feed *feed, void (*closed)(void *data), void *data);

#define FEED_GAUGE_DOMAINS    8
#define FEED_GAUGE_NAME_BYTES 48

/* Written by the worker, relaxed: each number is right by itself, some milliseconds old. */
struct feed_gauges {
        _Atomic uint64_t live_size, live_count, peak_size;
        _Atomic uint64_t inherited_size; /* of the parent's blocks that it began with */
        _Atomic uint64_t events;         /* records read */
        _Atomic uint64_t lost;           /* events known to be missing */
        _Atomic uint64_t unknown_frees;
        _Atomic uint64_t tracer_bytes;     /* live state here, ring and definitions */
        _Atomic uint64_t position;         /* everything before it is applied */
        _Atomic uint64_t stalls, stall_ns; /* what the agent says it waited for room */
        _Atomic uint64_t exit_status;      /* of the EXIT record */
        _Atomic uint32_t n_forks;          /* unclaimed fork tables */
        _Atomic bool exact, exit_seen, exec_pending, tracing, malformed;
        _Atomic uint32_t n_domains; /* of those below; grows only. number and name are set before it grows */
        struct feed_domain_gauges {
                uint32_t number;
                char name[FEED_GAUGE_NAME_BYTES];
                _Atomic uint64_t live_size, live_count, peak_size;
        } domains[FEED_GAUGE_DOMAINS]; /* the first ones seen */
};

/** feed_gauges() - for ps. Any thread until feed_free(). */
const struct feed_gauges *feed_gauges(const struct feed *feed);
