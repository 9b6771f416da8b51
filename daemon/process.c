/* SPDX-License-Identifier: Apache-2.0 */

/* Images of traced processes. Main loop; born by daemon/agents.c, ended by their pidfd or by their successor. */

#include "daemon/process.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/kept_processes.h"
#include "daemon/last_snapshots.h"
#include "daemon/process_forks.h"
#include "daemon/process_layers.h"
#include "daemon/process_private.h"
#include "daemon/run.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* ---- the list ---- */

void process_link(struct process *p) {
        struct daemon *d = p->daemon;
        p->next = d->processes;
        p->previous = NULL;
        if (d->processes)
                d->processes->previous = p;
        d->processes = p;
}

static void unlink_process(struct process *p) {
        if (p->previous)
                p->previous->next = p->next;
        else
                p->daemon->processes = p->next;
        if (p->next)
                p->next->previous = p->previous;
}

struct process *process_find(struct daemon *d, pid_t pid) {
        for (struct process *p = d->processes; p; p = p->next) {
                if (p->proc.pid == pid && p->state == PROCESS_ALIVE)
                        return p;
        }
        return NULL;
}

struct process *process_find_secret(struct daemon *d, const void *secret, size_t length) {
        if (length != PROCESS_SECRET_BYTES)
                return NULL;
        for (struct process *p = d->processes; p; p = p->next) {
                if (memcmp(p->secret, secret, length) == 0)
                        return p;
        }
        return NULL;
}

size_t process_count(const struct daemon *d) {
        size_t n = 0;
        for (const struct process *p = d->processes; p; p = p->next)
                n += p->state == PROCESS_ALIVE;
        return n;
}

/* ---- death ---- */

static void on_feed_closed(void *data) {
        struct process *p = data;
        proc_info_deinit(&p->proc);
        if (p->pidfd >= 0)
                close(p->pidfd);
        process_free_layers(p);
        free(p->forks);
        free(p->name);
        free(p->exe);
        free(p->label);
        free(p->phase);
        free(p->ended_by);
        charge_pool_unref(p->pool);
        free(p);
}

/* Not sooner: children that wait for its table get it when its feed is detached, and a daemon that dies before that
 * leaves both to the next one. */
static void on_feed_closed_for_good(void *data) {
        kept_process_remove(data);
        on_feed_closed(data);
}

void process_close(struct process *p) {
        void (*closed)(void *data) = p->left ? on_feed_closed : on_feed_closed_for_good;
        p->daemon->n_over++;
        unlink_process(p);
        if (p->feed)
                feed_free(p->feed, closed, p);
        else
                closed(p);
}

bool process_outlives_daemon(const struct process *p) {
        return p->kept && !p->daemon->for_good;
}

/* The daemon leaves: what is kept stays in the store of descriptors for the next one. */
static void leave(struct process *p) {
        p->left = process_outlives_daemon(p);
        process_close(p);
}

static void settle(struct process *p) {
        if (p->unstored || (p->n_forks > 0 && p->daemon->stopping))
                leave(p); /* nobody sweeps any more */
        else if (p->n_forks > 0)
                p->state = PROCESS_LINGERING;
        else
                process_close(p);
}

void process_is_stored(struct process *p) {
        struct run *run = p->run;
        log_info("process %d (%s), image %u ended: %s%s", (int)p->proc.pid, p->name, p->image,
                 p->ended_by ? p->ended_by : "out of memory",
                 p->unstored ? "; its last snapshots are left to the next daemon" : "");
        p->stored = !p->unstored;
        kept_process_update(p);
        p->state = PROCESS_LINGERING; /* run_remove() tells a client that looks at the states */
        p->run = NULL;
        if (run)
                run_remove(run, p);
        settle(p);
}

static void on_pidfd_closed(uv_handle_t *handle) {
        struct process *p = handle->data;
        /* not closed before: how it ended is asked of it */
        last_snapshots_take(p);
}

static void stop_watching(struct process *p, uv_close_cb closed) {
        if (p->peer)
                agent_peer_drop(p->peer, NULL);
        uv_close((uv_handle_t *)&p->pidfd_poll, closed);
}

void process_end(struct process *p, const char *replaced_by) {
        if (p->state != PROCESS_ALIVE)
                return;
        /* its end was seen before its last words were read */
        if (p->peer)
                agent_peer_drain(p->peer);
        p->state = PROCESS_ENDING;
        p->replaced_by = replaced_by;
        kept_process_update(p);
        stop_watching(p, on_pidfd_closed);
}

void process_notice_end(struct process *p) {
        struct pollfd pidfd = {.fd = p->pidfd, .events = POLLIN};
        if (p->state == PROCESS_ALIVE && p->pidfd >= 0 && poll(&pidfd, 1, 0) > 0)
                process_end(p, NULL);
}

static void on_discarded(uv_handle_t *handle) {
        process_close(handle->data);
}

void process_discard(struct process *p) {
        if (p->state == PROCESS_ENDING)
                return; /* its last snapshots are on their way; process_is_stored() frees it */
        if (p->state == PROCESS_LINGERING)
                return leave(p);
        p->left = process_outlives_daemon(p);
        p->state = PROCESS_ENDING;
        if (!p->left)
                feed_end(p->feed);
        stop_watching(p, on_discarded);
}

static void on_pidfd(uv_poll_t *poll, int status, int events) {
        process_end(poll->data, NULL);
}

int process_watch(struct process *p) {
        p->pidfd = pidfd_open(p->proc.pid, 0);
        if (p->pidfd < 0)
                return -errno;
        int r = uv_poll_init(p->daemon->loop, &p->pidfd_poll, p->pidfd);
        if (r < 0) {
                fd_close(&p->pidfd); /* an open one says that there is a handle to close */
                return r;
        }
        p->pidfd_poll.data = p;
        r = uv_poll_start(&p->pidfd_poll, UV_READABLE, on_pidfd);
        assert(r == 0); /* fails where another handle has the descriptor */
        return 0;
}

void process_sweep(struct daemon *d) {
        for (struct process *p = d->processes, *next; p; p = next) {
                next = p->next;
                process_forks_sweep(p);
                if (p->state == PROCESS_LINGERING && p->n_forks == 0)
                        process_close(p);
        }
}

/* ---- who it is ---- */

struct snapshot_info process_info(const struct process *p) {
        return (struct snapshot_info){
                .pid = (uint32_t)p->proc.pid,
                .uid = p->uid,
                .ppid = (uint32_t)p->proc.ppid,
                .image = p->image,
                .traceback_limit = p->traceback_limit,
                .started_at_ns = p->proc.started_at_ns,
                .name = p->name,
                .exe = p->exe,
                .unit = p->proc.unit,
                .cgroup = p->proc.cgroup,
                .label = p->label,
                .ended_by = (char *)"",
        };
}

int process_identify(struct process *p) {
        struct snapshot_info info = process_info(p);
        return feed_set_info(p->feed, &info);
}

/* ---- what its feed tells ---- */

void process_on_notice(void *data, struct feed *feed, const struct feed_notice *notice) {
        struct process *p = data;
        switch (notice->kind) {
        case FEED_NOTICE_MALFORMED:
                if (drops_count(&p->daemon->drops, uv_now(p->daemon->loop), "process", p->uid, notice->reason))
                        log_line(LOG_LEVEL_WARNING, "process %d (%s), uid %u: reading ended: %s", (int)p->proc.pid,
                                 p->name, (unsigned)p->uid, notice->reason);
                if (p->peer)
                        agent_peer_drop(p->peer, NULL);
                break;
        case FEED_NOTICE_APPLIED:
                if (p->peer)
                        agent_peer_ack(p->peer, notice->position);
                break;
        case FEED_NOTICE_FORK_DONE:
                process_forks_note(p, notice->token, (pid_t)notice->pid);
                break;
        case FEED_NOTICE_PHASE:
                free(p->phase);
                p->phase = notice->phase.length ? strndup(notice->phase.label, notice->phase.length) : NULL;
                break;
        case FEED_NOTICE_EXEC:
                exec_watch_begin(p);
                break;
        case FEED_NOTICE_EXEC_BACK:
                exec_watch_back(p);
                break;
        case FEED_NOTICE_FORK_DROPPED:
        case FEED_NOTICE_EXIT:
                break;
        }
}

/* ---- from the daemon before ---- */

void process_adopt(struct process *p) {
        process_link(p);
}

void process_abandon(struct process *p) {
        feed_abandon(p->feed);
        p->feed = NULL;
        on_feed_closed(p);
}

/* The pidfd first, then who it is: if it is the right one now, it was the right one when the pidfd was opened. */
static bool watch_again(struct process *p) {
        return !p->replaced_by && !p->stored && process_watch(p) == 0 && proc_lives(p->proc.pid, p->proc.start_ticks);
}

static void adopt_forks(struct process *p) {
        uint32_t tokens[FEED_FORKS_MAX], pids[FEED_FORKS_MAX];
        size_t n = feed_adopt_forks(p->feed, tokens, pids);
        for (size_t i = 0; i < n; i++) {
                if (pids[i] != 0) /* else its FORK_DONE is still to be read */
                        process_forks_note(p, tokens[i], (pid_t)pids[i]);
        }
}

void process_adopt_state(struct process *p) {
        const struct image_phase *phase = feed_adopt_phase(p->feed);
        p->phase = phase->length ? strndup(phase->label, phase->length) : NULL;
        p->stopped = !atomic_load_explicit(&feed_gauges(p->feed)->tracing, memory_order_relaxed);
        exec_watch_adopt(p, atomic_load_explicit(&feed_gauges(p->feed)->exec_pending, memory_order_relaxed));
        p->waits = feed_adopt_waits(p->feed);
        adopt_forks(p);
}

void process_adopt_start(struct process *p) {
        feed_adopt_start(p->feed);
        bool watched = watch_again(p);
        log_debug("process %d (%s), image %u, uid %u is traced on", (int)p->proc.pid, p->name, p->image,
                  (unsigned)p->uid);
        if (watched)
                return;
        p->state = PROCESS_ENDING;
        if (p->pidfd >= 0)
                uv_close((uv_handle_t *)&p->pidfd_poll, on_pidfd_closed);
        else
                last_snapshots_take(p);
}
