/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One image of a traced process, as the main loop knows it: who it is, the feed
 * that reads it, and the pidfd that tells of its end. The table itself belongs to
 * the feed's worker.
 *
 * Life: process_new() -> alive -> process_end() -> its last snapshots are
 * stored -> freed. A dead parent stays until no fork table of it can be claimed any more.
 */

#include "daemon/base/credentials.h"
#include "daemon/base/proc.h"
#include "daemon/ingest/agent_peer.h"
#include "daemon/ingest/feed.h"

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct process_fork;
struct run;

#define PROCESS_SECRET_BYTES 16

enum process_state {
        PROCESS_ALIVE,
        PROCESS_ENDING,    /* dead or another image now: its ring is read out, its last snapshots are stored */
        PROCESS_LINGERING, /* stored; only fork tables are left */
};

struct process {
        struct process *next, *previous;
        struct daemon *daemon;
        enum process_state state;
        struct proc_info proc;
        uid_t uid;
        uint32_t image;
        char *name, *exe, *label;
        char *phase; /* NULL where it does not say */
        char **layers;
        size_t n_layers;
        char *layer_note; /* what is not hooked, and why; NULL */
        uint32_t n_notes; /* that it had */
        uint32_t traceback_limit, domains;
        bool stopped; /* tmctl stop */
        bool forked;  /* this image began by fork */
        /* it was but the moment between a fork and an exec, and leaves nothing: nearly all its blocks are copies of the
         * parent's. Shells have one for each command that they start */
        bool interlude;
        bool went_untraced; /* its last exec made it a program without an agent */
        uint8_t secret[PROCESS_SECRET_BYTES];
        struct run *run; /* NULL: not below tmctl run */
        struct feed *feed;
        struct charge_pool *pool; /* of its user's processes; NULL: root's */
        struct agent_peer *peer;  /* socket way while connected; borrowed */
        int pidfd;
        uv_poll_t pidfd_poll;
        struct process_fork *forks; /* process_forks.h */
        size_t n_forks;
        uint32_t n_execs;        /* under way: daemon/exec_watch.h */
        uint64_t exec_at_ms;     /* uv_now() when the last of them was heard of */
        uint64_t id;             /* of kept ones: the names of their descriptors in the store begin with it */
        bool kept;               /* the next daemon goes on with it */
        bool waits;              /* adopted: for its parent's table, when this daemon began */
        bool left;               /* to that one: it stays in the store */
        bool stored;             /* its last snapshots are */
        bool unstored;           /* they are not, and the next daemon takes them again */
        const char *replaced_by; /* "exec" where the process lives on as another image; NULL: it died */
        char *ended_by;
        int64_t lived_ns;                     /* when its end was noticed; reading the rest may take long */
        int64_t last_taken_at_ns;             /* when its last snapshots were taken; 0: not yet */
        int64_t exit_snapshot, peak_snapshot; /* ids, 0 until stored */
        unsigned n_stores;                    /* snapshots on their way to the store */
        uint64_t allocated_size, allocated_count;
};

/** process_new() - take a process that greeted
 * @who: its credentials; @hello: checked for form only; @fds: ring and definitions, or -1 both; taken are set to -1
 * @peer: borrowed by the process in the socket way
 * @processp: set on 0
 * @reasonp: static text when it isn't 0
 * Return: 0; FEED_E_REFUSED; -errno. */
int process_new(struct daemon *d, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                struct agent_peer *peer, struct process **processp, const char **reasonp);

/** process_greets_again() - one that greeted the daemon before, whose answer did not arrive: the same ring, in the
 * hands of the same process
 * @ring_fd: borrowed. Return: NULL: there is none such. */
struct process *process_greets_again(struct daemon *d, const struct credentials *who, int ring_fd);

/** process_end() - the image is over: read what is left, keep its last snapshots
 * @replaced_by: "exec" or "reconnect" if the process itself lives on; static; NULL: dead */
void process_end(struct process *p, const char *replaced_by);

/** process_notice_end() - process_end() if it has died and the loop has not come to that yet */
void process_notice_end(struct process *p);

/** process_outlives_daemon() - whether what is known of it stays for the next daemon, should this one end now */
bool process_outlives_daemon(const struct process *p);

/** process_is_stored() - its last snapshots are, or are lost: it is freed, or waits for what its forks may claim. Or
 * they are left to the next daemon (unstored), and so is the process. */
void process_is_stored(struct process *p);

/** process_discard() - the daemon leaves: stop reading at once, keep nothing */
void process_discard(struct process *p);

/** process_share_memory() - set the pool of its user, which all processes of that user draw from. Return: 0; -ENOMEM.
 */
int process_share_memory(struct process *p);

/** process_identify() - tell the feed whose snapshots it makes. Return: 0; -ENOMEM. */
int process_identify(struct process *p);

/** process_adopt() - take one that an earlier daemon left
 * @p: on the heap, from calloc(); id, identity and feed are set (daemon/kept_processes.c); taken */
void process_adopt(struct process *p);

/** process_adopt_state() - what the main loop wants to know of its table; after all were taken and linked, and before
 * process_adopt_start() of any: from then on the workers change their children's and parents' tables, too */
void process_adopt_state(struct process *p);

/** process_adopt_start() - go on with it, or end it where it died meanwhile */
void process_adopt_start(struct process *p);

/** process_abandon() - free one that could not be made whole, before process_adopt() */
void process_abandon(struct process *p);

/** process_on_notice() - options.notify of its feed */
void process_on_notice(void *data, struct feed *feed, const struct feed_notice *notice);

/** process_find() - the living image of a pid. Return: NULL where there is none. */
struct process *process_find(struct daemon *d, pid_t pid);

/** process_find_secret() - the image that knows a secret, alive or lingering. Return: NULL. */
struct process *process_find_secret(struct daemon *d, const void *secret, size_t length);

/** process_sweep() - drop fork tables whose children are gone; call it every few seconds */
void process_sweep(struct daemon *d);

/** process_count() - images alive */
size_t process_count(const struct daemon *d);
