/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small daemon for tests of the agent: it greets like tracemallocd, maps the
 * ring and the definitions (or takes EventBatch messages) and applies every
 * record to a table of its own, the oracle. It shares no code with the daemon,
 * so that the two can disagree. One thread of its own serves everything.
 */

#include "proto/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_IMAGES_MAX  4096
#define FAKE_MODULES_MAX 1024

struct fake_daemon_options {
        uint32_t mode;            /* enum trace_mode to put in force; 0: exact */
        uint32_t traceback_limit; /* 0: what the agent wants */
        uint32_t stall_limit_us;  /* 0: 60 s, more than this thread is ever kept from its processor */
        uint32_t minor;           /* of the protocol that it speaks: 0 is the first, before RELABEL */
        bool refuse;              /* answer every Hello with REFUSED */
        uint32_t silences;        /* so many Hellos at first are taken and never answered */
        uint32_t hang_ups;        /* so many Hellos at first end their connection: a daemon that died over them */
        bool keep_full;           /* never move the tail: the ring fills up */
        const char *record;       /* NULL, or a path: what image N wrote about blocks goes to PATH.N (event_stream.h) */
};

/* What one image told; read it after fake_daemon_stop() or for an image that has ended. */
struct fake_image {
        uint32_t kind;      /* Hello.Kind */
        uint32_t transport; /* Hello.Transport */
        int pid;            /* of SO_PEERCRED */
        char name[64];
        uint8_t secret[16];
        uint8_t parent_secret[16];
        uint32_t fork_token;
        uint32_t n_greetings;                /* Hellos in a row that brought its ring; socket way: 0 */
        uint32_t n_rings;                    /* rings that Hellos brought until it came */
        uint64_t count[RECORD_TYPE_MAX + 1]; /* records by enum record_type */
        uint64_t live_count, live_bytes;
        uint64_t peak_bytes;
        uint64_t unknown_frees;       /* FREE of an address that is not alive */
        uint64_t replaced;            /* ALLOC at an address that is alive */
        uint64_t unknown_moves;       /* MOVE_IN or MOVE_BACK without its MOVE_OUT */
        uint64_t moving;              /* blocks between MOVE_OUT and MOVE_IN */
        uint64_t bad_records;         /* unknown type, a node or generation that was not told before */
        uint64_t lost;                /* sum of LOST records */
        uint64_t lost_events;         /* ring header's counter at the end */
        uint64_t mmap_bytes;          /* live length of domain mmap */
        uint64_t complete_tracebacks; /* allocations whose oldest frame is in the executable or a libc */
        uint64_t cut_tracebacks;      /* with a NODE_UNIT_DEPTH or NODE_UNIT_CUT leaf */
        uint64_t empty_tracebacks;    /* allocations with node 0 */
        uint32_t n_modules, n_module_files;
        int exit_status; /* of the EXIT record; -1: none */
};

struct fake_daemon;

/** fake_daemon_start() - serve DIR/agent.sock
 * @dir: exists; borrowed until the return
 * Return: 0; -errno. */
int fake_daemon_start(const char *dir, const struct fake_daemon_options *options, struct fake_daemon **daemonp);

/** fake_daemon_settle() - wait until every image known so far has ended and all that it recorded was applied */
void fake_daemon_settle(struct fake_daemon *daemon);

/** fake_daemon_wait() - wait until @n_images have said Hello */
void fake_daemon_wait(struct fake_daemon *daemon, size_t n_images);

/** fake_daemon_set_mode() - put a mode in force in every image */
void fake_daemon_set_mode(struct fake_daemon *daemon, uint32_t mode);

/** fake_daemon_images() - what was told; @imagesp borrowed from the daemon, in the order of the Hellos
 * Call it between settle and stop. Return: number of images. */
size_t fake_daemon_images(struct fake_daemon *daemon, struct fake_image ***imagesp);

/** fake_daemon_stop() - close everything (mode TRACE_ENDED is set first if @announce) and free */
void fake_daemon_stop(struct fake_daemon *daemon, bool announce);
