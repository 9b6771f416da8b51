/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One connection of a traced process to agent.sock: reads its messages and
 * descriptors, checks their form, and hands them to an agent_handler, which
 * knows processes. Every byte is hostile: what doesn't have the form drops the
 * peer with one log line. Main loop.
 */

#include "daemon/base/credentials.h"
#include "daemon/base/drops.h"
#include "proto/agent.pb-c.h"

#include <uv.h>

#include <stddef.h>
#include <stdint.h>

struct agent_peer;

/* What the daemon answers to a Hello. */
struct agent_welcome {
        int status; /* enum HelloReply.Status */
        const char *reason;
        uint8_t secret[16];
        uint32_t traceback_limit, domains, mode;
        uint64_t window;
        int control_fd, doorbell_fd; /* borrowed; -1 in the socket way */
};

/* Return values below 0 drop the peer. */
struct agent_handler {
        void *user;
        /* @fds: ring and definitions in the ring way; one that is kept is set to -1
         * @associatep: what the later calls get; may stay NULL after a refusal */
        void (*hello)(void *user, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                      struct agent_peer *peer, struct agent_welcome *welcome, void **associatep);
        /* @fds: as many as modules; one that is kept is set to -1 */
        int (*module_files)(void *associate, const Tracemallocd__Agent__ModuleFiles *files, int *fds);
        int (*definitions)(void *associate, const Tracemallocd__Agent__Definitions *definitions);
        int (*events)(void *associate, const Tracemallocd__Agent__EventBatch *batch);
        /* the connection is gone, for whatever reason; the last call for this peer, made once if associate was set */
        void (*closed)(void *associate);
        /* the peer has left memory: releases what admitted it (quota) */
        void (*freed)(void *user, const struct credentials *who);
        struct agent_peer *peers; /* all that are open; the peers keep it */
        struct drops *drops;      /* borrowed */
};

/** agent_peer_open() - take a connection
 * @fd: taken, also on errors
 * Return: 0; -errno (handler->freed is called then, too). */
int agent_peer_open(uv_loop_t *loop, int fd, const struct credentials *who, struct agent_handler *handler,
                    struct agent_peer **peerp);

/** agent_peer_ack() - socket way: everything before @sequence has been applied */
void agent_peer_ack(struct agent_peer *p, uint64_t sequence);

/** agent_peer_set_mode() - socket way: tell the agent what to record from now on */
void agent_peer_set_mode(struct agent_peer *p, uint32_t mode, uint32_t traceback_limit, uint32_t domains);

/** agent_peer_drain() - handle what the process of a peer wrote before its end, up to the end of the connection
 * (which drops the peer) or a bound on what a process may have under way */
void agent_peer_drain(struct agent_peer *p);

/** agent_peer_drop() - close, with a log line that gives @reason, which is static, unless it is NULL; may be called
 * from within a handler
 */
void agent_peer_drop(struct agent_peer *p, const char *reason);

/** agent_peer_drop_all() - hang up on everybody, in silence */
void agent_peer_drop_all(struct agent_handler *handler);
