/* SPDX-License-Identifier: Apache-2.0 */

/* How a process comes to be known: its agent greets. Main loop; called by daemon/agents.c. */

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/fd_store.h"
#include "daemon/kept_processes.h"
#include "daemon/process.h"
#include "daemon/process_forks.h"
#include "daemon/process_layers.h"
#include "daemon/process_private.h"
#include "daemon/run.h"
#include "proto/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRACEBACK_LIMIT_MAX 65535 /* tracemalloc's */
#define TEXT_MAX            4096  /* of a name or path that an agent gives: PATH_MAX */

int process_share_memory(struct process *p) {
        if (p->uid == 0)
                return 0;
        for (const struct process *other = p->daemon->processes; other; other = other->next) {
                if (other->uid == p->uid && other->pool) {
                        p->pool = charge_pool_ref(other->pool);
                        return 0;
                }
        }
        p->pool = charge_pool_new(p->daemon->config.table_bytes_per_user);
        return p->pool ? 0 : -ENOMEM;
}

static char *copy_text(const ProtobufCBinaryData *text) {
        size_t length = text->len < TEXT_MAX ? text->len : TEXT_MAX;
        return strndup(length ? (const char *)text->data : "", length);
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high) {
        return value < low ? low : value > high ? high : value;
}

static int fill_identity(struct process *p, const Tracemallocd__Agent__Hello *hello) {
        p->name = copy_text(&hello->name);
        p->exe = copy_text(&hello->exe);
        p->label = p->run && !hello->label.len ? strdup(p->run->label) : copy_text(&hello->label);
        p->traceback_limit = clamp(hello->traceback_limit, 1, TRACEBACK_LIMIT_MAX);
        p->domains = hello->domains;
        p->forked = hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK;
        p->image = 1;
        if (!p->name || !p->exe || !p->label)
                return -ENOMEM;
        if (getrandom(p->secret, sizeof p->secret, 0) != sizeof p->secret)
                return -errno;
        memcpy(&p->id, p->secret, sizeof p->id);
        p->kept = fd_store_keeps(p->daemon->fd_store) &&
                  hello->transport != TRACEMALLOCD__AGENT__HELLO__TRANSPORT__SOCKET;
        return process_set_layers(p, hello);
}

/* Whose fork @p is. A program may have become another user since it greeted (setuid()), and its children are that
 * one's from the start. Return: NULL: nobody's, or of a parent whose table is not for this user. */
static struct process *find_parent(const struct process *p, const Tracemallocd__Agent__Hello *hello) {
        if (hello->kind != TRACEMALLOCD__AGENT__HELLO__KIND__FORK)
                return NULL;
        struct process *parent = process_find_secret(p->daemon, hello->secret.data, hello->secret.len);
        return parent && (parent->uid == p->uid || proc_user(parent->proc.pid, parent->proc.start_ticks) == p->uid)
                       ? parent
                       : NULL;
}

static struct run *find_run(const struct process *p, const Tracemallocd__Agent__Hello *hello) {
        struct run *run = run_find(p->daemon, p->uid, hello->run.data, hello->run.len);
        const struct process *parent = run ? NULL : find_parent(p, hello);
        return parent ? parent->run : run; /* which is another user's then */
}

static int open_feed(struct process *p, const Tracemallocd__Agent__Hello *hello, int fds[2], const char **reasonp) {
        struct daemon *d = p->daemon;
        struct snapshot_info info = process_info(p);
        bool child = hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK;
        struct process *parent = find_parent(p, hello);
        /* the FORK record was sent before the fork, but the child's greeting may be read before it */
        if (parent && parent->peer)
                agent_peer_drain(parent->peer);
        struct feed_options options = {
                .mode = hello->mode == TRACE_OFF ? TRACE_OFF : TRACE_EXACT,
                .traceback_limit = p->traceback_limit,
                .domains = p->domains,
                .stall_limit_us = d->config.stall_limit_ms * 1000,
                .memory_limit = d->config.table_bytes_per_process,
                .pool = p->pool,
                .kept = p->kept,
                .id = p->id,
                .inexact = hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__RECONNECT || (child && !parent),
                .lost_before = hello->lost_before,
                .parent = parent ? parent->feed : NULL,
                .fork_token = hello->fork_token,
                .info = &info,
                .notify = process_on_notice,
                .data = p,
        };
        p->stopped = options.mode == TRACE_OFF;
        process_forks_settle(d, p->proc.pid, options.parent ? hello->fork_token : 0);
        struct worker *worker = d->workers[0];
        for (size_t i = 1; i < d->n_workers; i++) {
                if (worker_n_feeds(d->workers[i]) < worker_n_feeds(worker))
                        worker = d->workers[i];
        }
        if (fds[0] < 0)
                return feed_new_socket(worker, &options, &p->feed, reasonp);
        int r = feed_new_ring(worker, fds[0], fds[1], &options, &p->feed, reasonp);
        fds[0] = fds[1] = -1;
        return r;
}

/* The same process greeted before: it did an exec, or it comes back to a daemon that it had left. */
static void replace_predecessor(struct process *p, const Tracemallocd__Agent__Hello *hello) {
        struct process *old = process_find(p->daemon, p->proc.pid);
        if (!old) {
                p->image = exec_watch_take(p->daemon->exec_watch, &p->proc) + 1;
                return;
        }
        if (old->proc.start_ticks != p->proc.start_ticks)
                return process_end(old, NULL);
        p->image = old->image + 1;
        process_end(old, hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__RECONNECT ? "reconnect" : "exec");
}

static int build(struct process *p, const Tracemallocd__Agent__Hello *hello, int fds[2], const char **reasonp) {
        int r = fill_identity(p, hello);
        if (r == 0)
                r = proc_info_read(p->proc.pid, &p->proc);
        if (r == 0) {
                replace_predecessor(p, hello);
                r = open_feed(p, hello, fds, reasonp);
        }
        return r;
}

struct process *process_greets_again(struct daemon *d, const struct credentials *who, int ring_fd) {
        struct process *p = process_find(d, who->pid);
        return p && p->kept && p->uid == who->uid && feed_reads_ring(p->feed, ring_fd) &&
                               proc_lives(who->pid, p->proc.start_ticks)
                       ? p
                       : NULL;
}

int process_new(struct daemon *d, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                struct agent_peer *peer, struct process **processp, const char **reasonp) {
        struct process *p = calloc(1, sizeof *p);
        *reasonp = "the daemon is out of memory or descriptors";
        if (!p)
                return -ENOMEM;
        *p = (struct process){.daemon = d, .uid = who->uid, .pidfd = -1, .proc.pid = who->pid};
        p->run = find_run(p, hello);
        int r = process_share_memory(p);
        if (r == 0)
                r = build(p, hello, fds, reasonp);
        if (r == 0)
                r = process_watch(p);
        if (r == -ESRCH)
                *reasonp = "its process is gone";
        process_link(p);
        if (r != 0) {
                p->run = NULL;
                process_close(p);
                return r;
        }
        p->peer = hello->transport == TRACEMALLOCD__AGENT__HELLO__TRANSPORT__SOCKET ? peer : NULL;
        if (p->run)
                run_add(p->run, p);
        kept_process_put(p);
        log_debug("process %d (%s), image %u, uid %u is traced", (int)p->proc.pid, p->name, p->image, (unsigned)p->uid);
        *processp = p;
        return 0;
}
