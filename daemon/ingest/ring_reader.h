/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's end of a ring (proto/ring.h): the agent's memfd mapped read-only, and the
 * control page that we write. Opened on the main loop's thread, read by the worker; the functions
 * marked so touch only atomics and may be called by the main loop while the worker reads.
 */

#include "daemon/ingest/definitions.h"
#include "daemon/ingest/memfd_pages.h"
#include "daemon/live/event.h"
#include "proto/ring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring_reader {
        const struct ring_header *header;
        const _Atomic uint64_t *data;
        struct ring_control *control;
        int control_fd;           /* for the agent, who can't write through it */
        uint64_t inode;           /* of the ring's memfd */
        int ring_fd;              /* the same */
        struct memfd_pages pages; /* of it */
        uint64_t there_until;     /* position: the pages from where we are to here are there */
        unsigned log2_size;
        uint64_t mapped_bytes;
        uint64_t position;      /* everything before it was read */
        uint64_t woken_at;      /* position when we last looked whether writers wait */
        uint64_t hole_since_ns; /* 0: not at a hole */
        uint64_t skip_at_ns;    /* not before: ring_reader_may_skip() */
        bool late_writers; /* a hole was skipped while the process lived: its writer may come back and write there */
};

enum {
        RING_READER_E_REFUSED = 1,
        RING_READER_HOLE = 2,
        RING_READER_E_MALFORMED = 3,
};

/** ring_reader_open() - check and map a ring, make its control page
 * @ring_fd: borrowed
 * @mode, @traceback_limit, @domains, @stall_limit_us: for the control page
 * Return: 0; RING_READER_E_REFUSED with @reasonp; -errno. */
int ring_reader_open(struct ring_reader *r, int ring_fd, uint32_t mode, uint32_t traceback_limit, uint32_t domains,
                     uint32_t stall_limit_us, const char **reasonp);

/** ring_reader_open_kept() - as ring_reader_open(), with a control page that another daemon can take over: not sealed
 * against writing, but its file's mode lets nobody else open it for that, and @control_fd is read-only
 * @own_fdp: set on 0: the control memfd itself, for the store of descriptors; the caller closes it */
int ring_reader_open_kept(struct ring_reader *r, int ring_fd, uint32_t mode, uint32_t traceback_limit, uint32_t domains,
                          uint32_t stall_limit_us, int *own_fdp, const char **reasonp);

/** ring_reader_adopt() - go on where another daemon ended
 * @ring_fd, @control_fd: borrowed; @position: everything before it was read. Return: as ring_reader_open(). */
int ring_reader_adopt(struct ring_reader *r, int ring_fd, int control_fd, uint64_t position, const char **reasonp);

/** ring_reader_dismiss() - tell the agent behind a control memfd of ours that the daemon has left it
 * @control_fd: borrowed; anything else is left alone */
void ring_reader_dismiss(int control_fd);

/** ring_reader_close() - zeroed memory and closed ones are fine */
void ring_reader_close(struct ring_reader *r);

/** ring_reader_size() - bytes of data */
static inline uint64_t ring_reader_size(const struct ring_reader *r) {
        return UINT64_C(1) << r->log2_size;
}

/** ring_reader_head() - position of now; any thread. Hostile until ring_reader_limit() said yes. */
static inline uint64_t ring_reader_head(const struct ring_reader *r) {
        return atomic_load_explicit(&((struct ring_header *)r->header)->head, memory_order_acquire);
}

/** ring_reader_limit() - check that a head can be true: whole words, not behind us, not further ahead than the ring is
 * long */
static inline bool ring_reader_limit(const struct ring_reader *r, uint64_t head) {
        return head % 8 == 0 && head >= r->position && head - r->position <= ring_reader_size(r);
}

/** ring_reader_read() - records from the position on
 * @limit: stop there; ring_reader_limit() was true for it
 * @events: [n]; @np: number set, on every return
 * Return: 0: the limit is reached, or @n; RING_READER_HOLE: the record at the position is not there;
 * RING_READER_E_MALFORMED: it is, and breaks the protocol. */
int ring_reader_read(struct ring_reader *r, struct definitions *definitions, uint64_t limit, struct event *events,
                     size_t n, size_t *np);

/** ring_reader_may_skip() - whether it is time to look behind a hole of a living process: the more there is to look
 * through, the more rarely, so that an empty ring of 256 MiB takes a worker no more than a full one of a few KiB */
bool ring_reader_may_skip(struct ring_reader *r, uint64_t limit, uint64_t now_ns);

/** ring_reader_skip() - go from a hole to the next header before @limit, or to @limit if @to_limit
 * @lostp: how many records may have been in between. Return: whether there was a place to go to. */
bool ring_reader_skip(struct ring_reader *r, uint64_t limit, bool to_limit, uint64_t *lostp);

/** ring_reader_resync() - after RING_READER_E_MALFORMED: could a writer that came back late to a hole that we skipped
 * have written over that record? If so, go on behind it.
 * @lostp: records given up. Return: whether it could. */
bool ring_reader_resync(struct ring_reader *r, uint64_t limit, uint64_t *lostp);

/** ring_reader_release() - the position becomes the tail. One of those who wait for room is woken for each 32nd of the
 * ring: for less it would write a little, wait again, and cost a system call a batch; and all at once they would take
 * the processors that the reader needs to make room, and stand still together while it does. */
void ring_reader_release(struct ring_reader *r);

/** ring_reader_wake() - wake who waits for room, however little there is: before the reader turns away */
void ring_reader_wake(struct ring_reader *r);

/** ring_reader_arm() - before a sleep: have a writer ring the doorbell when the ring is half full
 * Return: false if it is already (do not sleep). */
bool ring_reader_arm(struct ring_reader *r);

/** ring_reader_set_mode() - any thread; also wakes writers that wait */
void ring_reader_set_mode(struct ring_reader *r, uint32_t mode);
