/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One `tmctl run`: the processes that its command became, by the token in
 * their environment, and what is left of those that ended. Main loop.
 */

#include "daemon/base/credentials.h"
#include "daemon/ingest/feed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon;
struct process;

#define RUN_TOKEN_BYTES  16
#define RUN_RESULTS_KEPT 6 /* the command and its five largest children (tmctl(1)) */

/* What is told of a process that ended. */
struct run_result {
        uint32_t pid, ppid, uid, image, traceback_limit;
        char *name, *exe, *ended_by, *layer_note;
        uint64_t start_ticks; /* with the pid: whose image it was */
        int64_t started_at_ns, exit_snapshot, peak_snapshot;
        uint64_t allocated_size, allocated_count;
        struct feed_gauges gauges; /* their last state */
        bool went_untraced;        /* by an exec, as far as is known */
};

struct run {
        struct run *next;
        struct daemon *daemon;
        uint8_t token[RUN_TOKEN_BYTES];
        uid_t uid;
        char *label;
        bool exit_snapshot, children;
        bool abandoned;     /* its client is gone: free it with its last process */
        size_t n_processes; /* alive or being stored */
        size_t n_ended;
        struct run_result results[RUN_RESULTS_KEPT]; /* [0] is the command once it is known */
        size_t n_results;
        pid_t client;                /* tmctl: the parent of the command */
        pid_t command;               /* 0 until it greets */
        void (*changed)(void *data); /* the waiting client; NULL: none */
        void *data;
};

/** run_new() - @client: pid and user of tmctl; @label: copied. Return: 0; -ENOMEM; -errno of getrandom(). */
int run_new(struct daemon *d, const struct credentials *client, const void *label, size_t label_length,
            struct run **runp);

/** run_has_token() - whether it is this one's. @token: [length] from a peer. */
bool run_has_token(const struct run *r, const void *token, size_t length);

/** run_find() - by token, of one user only. Return: NULL where there is none. */
struct run *run_find(struct daemon *d, uid_t uid, const void *token, size_t length);

/** run_add() - an image of it was born; the one before did not go on untraced, it only took long to greet */
void run_add(struct run *r, const struct process *p);

/** run_remove() - that process ended and is stored; takes note of it. May free @r when it is abandoned. */
void run_remove(struct run *r, const struct process *p);

/** run_abandon() - the client has what it wanted or is gone; frees @r now or with its last process */
void run_abandon(struct run *r);

/** run_tell_all() - the daemon leaves: have those who wait for a run look once more */
void run_tell_all(struct daemon *d);

/** run_n_alive() - processes of it that go on. O(processes of the daemon). */
size_t run_n_alive(const struct run *r);

/** run_is_due() - whether the command still lives, or it or a child is dead and about to be stored
 * Notices the ends of children that the loop has not come to yet. */
bool run_is_due(const struct run *r);
