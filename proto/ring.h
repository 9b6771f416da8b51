/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Shared memory between one image of a traced process and the daemon. Four
 * memfds, each mapped whole, each with one writer side:
 *
 *   ring         made by the agent; the daemon maps it read-only
 *   definitions  made by the agent; the daemon maps it read-only
 *   control      made by the daemon (one an image). No agent can write to it: it
 *                is sealed F_SEAL_FUTURE_WRITE after the daemon's own mapping or,
 *                where another daemon shall be able to go on with it, of mode 0400 and
 *                handed over by a read-only descriptor
 *   doorbell     made by the daemon (one an ingest worker), written by both;
 *                garbage in it costs the daemon a wake-up, nothing else
 *
 * The agent's two are sealed F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL and lie
 * on tmpfs with ordinary pages, or the daemon refuses them. They may be sparse: what lies in a page
 * that was never written is not there. All offsets below
 * are part of protocol version 1.
 *
 * THE RING. Positions are bytes since the ring began, 64 bits, never wrapped;
 * the word of position p lies at data[(p % size) / 8]; a record may cross the
 * end. A writer
 *   1. loads head (relaxed) and control.tail (acquire) and checks that
 *      head + length - tail <= size - reserve (the reserve is RING_FREE_RESERVE for
 *      allocations, 0 for everything else: keep room for frees; a tail of before will do, since it only rises),
 *   2. reserves by compare-and-swap of head (acq_rel; not locked where no other thread of the process can write,
 *      so that a fill_mark which the reader sets at the moment of its passing may go unnoticed until a page later),
 *   3. stores the payload words (relaxed), then the header (release).
 * Between 2 and 3 it makes no system call, takes no signal-unsafe step and
 * waits for nobody. The reader takes a word as a header of position p only if
 * bit 63 is set and its lap is that of p; otherwise the position is a hole that
 * its writer has not filled yet, or never will (killed). The reader never
 * writes to the ring: laps make zeroing needless.
 * After a reservation that passes control.fill_mark (before < mark <= after)
 * the writer adds 1 to the doorbell word and calls FUTEX_WAKE on it.
 * A writer that finds no room and may wait increments header.waiters, then waits with FUTEX_WAIT on
 * control.tail_wake (shared futex, read-only mapping) for at most
 * control.stall_limit_us in all, then decrements it. Where many wait, one at a time may be woken. What it gives up is
 * added to lost_events, and the next writer that finds room without the reserve puts a LOST record.
 *
 * THE DEFINITIONS. Header page, then node_capacity nodes of 16 bytes, then
 * the items area of items_capacity bytes. Both are append-only: what is
 * there never changes. Node n is written before the first record that names
 * it. A node's parent has a smaller number than the node. Node 0 is the root:
 * an empty traceback. Items are u32 length (bytes that follow), then that many bytes of one
 * packed Item message (proto/agent.proto), then padding to 8; named by
 * their offset in the items area. In the socket way the same nodes and items
 * travel in Definitions messages.
 */

#include <stdatomic.h>
#include <stdint.h>

#define RING_MAGIC        UINT32_C(0x72636d74) /* "tmcr" */
#define DEFINITIONS_MAGIC UINT32_C(0x64636d74) /* "tmcd" */
#define CONTROL_MAGIC     UINT32_C(0x63636d74) /* "tmcc" */
#define RING_VERSION      1

#define RING_HEADER_BYTES       4096
#define RING_LOG2_SIZE_MIN      16
#define RING_LOG2_SIZE_MAX      28
#define RING_LOG2_SIZE_DEFAULT  22 /* 4 MiB, 170,000 allocations */
/* bytes that allocations leave free for frees, so that a full ring can always be told what went away */
#define RING_FREE_RESERVE(size) ((size) / 8)

/* Page 0 of the ring memfd; the data follow at RING_HEADER_BYTES. */
struct ring_header {
        uint32_t magic;
        uint32_t version;
        uint32_t log2_size;
        uint32_t zero;
        _Alignas(64) _Atomic uint64_t head;        /* reservation position */
        _Alignas(64) _Atomic uint64_t lost_events; /* since the image began; every one of them */
        _Atomic uint64_t stalls;                   /* times that a writer waited for room */
        _Atomic uint64_t stall_ns;
        _Alignas(64) _Atomic uint32_t waiters; /* writers in FUTEX_WAIT */
};

enum trace_mode {
        TRACE_OFF = 0,   /* record nothing; the agent's next poll of this word may change it */
        TRACE_EXACT = 1, /* record every block */
        TRACE_SAMPLED = 2,
        TRACE_ENDED = 3, /* the daemon leaves: stop, unmap, greet the next daemon later */
};

/* Bits of ring_control.domains and of Hello.domains. */
#define DOMAIN_BIT_MALLOC UINT32_C(1)
#define DOMAIN_BIT_PYTHON UINT32_C(2)
#define DOMAIN_BIT_MMAP   UINT32_C(4)
#define DOMAIN_BIT_OTHER  UINT32_C(8)

/* The control memfd: one page. The daemon writes, the agent reads. */
struct ring_control {
        uint32_t magic;
        uint32_t version;
        _Atomic uint32_t mode;                   /* enum trace_mode */
        _Atomic uint32_t traceback_limit;        /* 1..65535 frames */
        _Atomic uint32_t domains;                /* DOMAIN_BIT_* */
        _Atomic uint32_t stall_limit_us;         /* longest wait of one writer for room */
        _Atomic uint64_t sampling_interval;      /* bytes, TRACE_SAMPLED */
        _Alignas(64) _Atomic uint64_t tail;      /* read position: everything before it may be overwritten */
        _Alignas(64) _Atomic uint32_t tail_wake; /* futex word: changes when somebody waits and is to look again */
        _Alignas(64) _Atomic uint64_t fill_mark; /* position; UINT64_MAX: do not ring */
};
#define CONTROL_BYTES 4096

/* The doorbell memfd: one page. */
struct doorbell {
        _Atomic uint32_t word;
};
#define DOORBELL_BYTES 4096

enum node_unit {
        /* unit of a node says what value is:
         * 0                       pc outside every module; value is the pc
         * 1..0x7fffffff           module generation; value is the pc less the load bias,
         *                         that is an address as the ELF file has it
         * 0x80000000 | code       Python code object; value is the instruction offset in bytes + 1,
         *                         0 where it has run none yet (its first line), or
         *                         NODE_VALUE_LINE | line where the interpreter
         *                         itself keeps a line for the frame (a trace function is set)
         * 0xffffffff              no frame: value is the total_nframe of a traceback
         *                         that was cut at the traceback limit; only as a leaf
         * 0xfffffffe              no frame: a traceback of which only the most recent value >> 32 frames
         *                         count, and value & 0xffffffff is its total_nframe; only as a leaf
         * pcs are return addresses: the call is at value - 1. A pc that is none (interrupted
         * by a signal) is stored plus 1. */
        NODE_UNIT_UNKNOWN = 0,
};
#define NODE_UNIT_CODE  UINT32_C(0x80000000)
#define NODE_UNIT_DEPTH UINT32_C(0xffffffff)
#define NODE_UNIT_CUT   UINT32_C(0xfffffffe)
#define NODE_VALUE_LINE (UINT64_C(1) << 32)

struct node_def {
        uint32_t parent;
        uint32_t unit;
        uint64_t value;
};

/* Page 0 of the definitions memfd. */
struct definitions_header {
        uint32_t magic;
        uint32_t version;
        uint32_t node_capacity;
        uint32_t zero;
        uint64_t items_capacity;                  /* bytes */
        _Alignas(64) _Atomic uint32_t n_nodes;    /* handed out; node 0 counts. May run ahead of what is written */
        _Alignas(64) _Atomic uint64_t items_used; /* bytes handed out */
};
#define DEFINITIONS_HEADER_BYTES 4096
#define NODE_CAPACITY_MAX        (UINT32_C(1) << 24)
#define ITEMS_CAPACITY_MAX       (UINT64_C(1) << 30)
#define ITEM_BYTES_MAX           (UINT32_C(1) << 20)
