/* SPDX-License-Identifier: Apache-2.0 */

/* Images of traced processes. Main loop; born by daemon/agents.c, ended by their pidfd or by their successor. */

#include "daemon/process.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/exit_status.h"
#include "daemon/fd_store.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/kept_processes.h"
#include "daemon/late_symbols.h"
#include "daemon/run.h"
#include "daemon/store/store.h"
#include "proto/ring.h"

#define LAYERS_MAX          16
#define NOTE_MAX            256
#define NOTES_TOLD_MAX      4     /* of an image: who has more to say would fill the log */
#define TRACEBACK_LIMIT_MAX 65535 /* tracemalloc's */
#define TEXT_MAX            4096  /* of a name or path that an agent gives: PATH_MAX */
#define FORKS_MAX           1024  /* entries waiting for their children; beyond it the oldest table is let go */

/* ---- the list ---- */

static void link_process(struct process *p) {
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

/* ---- forks whose children have not greeted ---- */

static void forget_fork(struct process *p, size_t index) {
        memmove(&p->forks[index], &p->forks[index + 1], (p->n_forks - index - 1) * sizeof *p->forks);
        p->n_forks--;
}

static void drop_fork(struct process *p, size_t index) {
        feed_drop_fork(p->feed, p->forks[index].token);
        forget_fork(p, index);
}

static void note_fork(struct process *p, uint32_t token, pid_t pid) {
        struct proc_info info;
        if (pid == 0) {
                feed_drop_fork(p->feed, token);
                return;
        }
        /* a pid of another namespace means nothing here, and a child that is gone claims nothing */
        if (p->proc.ns_pid != p->proc.pid || proc_info_read(pid, &info) < 0)
                return;
        proc_info_deinit(&info);
        if (p->n_forks == FORKS_MAX)
                drop_fork(p, 0);
        struct process_fork *forks = reallocarray(p->forks, p->n_forks + 1, sizeof *forks);
        if (!forks)
                return;
        p->forks = forks;
        p->forks[p->n_forks++] = (struct process_fork){token, pid, info.start_ticks};
}

/* The child greeted, as itself or as what it became by exec: its parent's table is claimed or not wanted. */
static void settle_fork(struct daemon *d, pid_t pid, uint32_t claimed_token) {
        for (struct process *p = d->processes; p; p = p->next) {
                for (size_t i = 0; i < p->n_forks; i++) {
                        if (p->forks[i].pid != pid)
                                continue;
                        if (p->forks[i].token == claimed_token)
                                forget_fork(p, i);
                        else
                                drop_fork(p, i);
                        return;
                }
        }
}

/* ---- death ---- */

static void free_layers(char **layers, size_t n) {
        for (size_t i = 0; layers && i < n; i++)
                free(layers[i]);
        free(layers);
}

static void on_feed_closed(void *data) {
        struct process *p = data;
        proc_info_deinit(&p->proc);
        if (p->pidfd >= 0)
                close(p->pidfd);
        free_layers(p->layers, p->n_layers);
        free(p->layer_note);
        free(p->forks);
        free(p->name);
        free(p->exe);
        free(p->label);
        free(p->phase);
        free(p->ended_by);
        charge_pool_unref(p->pool);
        free(p);
}

static void close_feed(struct process *p) {
        unlink_process(p);
        if (!p->left)
                kept_process_remove(p);
        if (p->feed)
                feed_free(p->feed, on_feed_closed, p);
        else
                on_feed_closed(p);
}

/* The daemon leaves: what is kept stays in the store of descriptors for the next one. */
static void leave(struct process *p) {
        p->left = p->kept && !p->daemon->for_good;
        close_feed(p);
}

static void process_settle(struct process *p) {
        if (p->n_forks > 0 && p->daemon->stopping)
                leave(p); /* nobody sweeps any more */
        else if (p->n_forks > 0)
                p->state = PROCESS_LINGERING;
        else
                close_feed(p);
}

static void process_stored(struct process *p) {
        struct run *run = p->run;
        log_info("process %d (%s), image %u ended: %s", (int)p->proc.pid, p->name, p->image, p->ended_by);
        p->stored = true;
        kept_process_update(p);
        p->state = PROCESS_LINGERING; /* run_remove() tells a client that looks at the states */
        p->run = NULL;
        if (run)
                run_remove(run, p);
        process_settle(p);
}

struct stored {
        struct process *process;
        int64_t *idp;
        struct snapshot *snapshot;
};

static void on_stored(void *data, const struct store_result *result) {
        struct stored *s = data;
        struct process *p = s->process;
        if (result->code == 0) {
                *s->idp = result->ids[0];
                late_symbols_add(p->daemon->late_symbols, result->ids[0]);
        } else {
                log_error("last snapshot of process %d (%s) not stored: %s", (int)p->proc.pid, p->name,
                          result->message);
        }
        free(s);
        if (--p->n_stores == 0)
                process_stored(p);
}

/* @snapshot: taken, NULL is fine; @again: it may have been stored by the daemon before this one */
static void store_last(struct process *p, struct snapshot *snapshot, bool again, int64_t *idp) {
        if (!snapshot)
                return;
        struct stored *s = malloc(sizeof *s);
        int r = -ENOMEM;
        if (s) {
                *s = (struct stored){.process = p, .idp = idp};
                r = again ? store_put_once(p->daemon->store, snapshot, on_stored, s)
                          : store_put(p->daemon->store, snapshot, 0, on_stored, s);
        }
        if (r < 0) {
                log_error("last snapshot of process %d (%s) not stored: out of memory", (int)p->proc.pid, p->name);
                free(s);
        } else {
                p->n_stores++;
        }
        snapshot_unref(snapshot);
}

static void sum_allocated(struct process *p, const struct snapshot *s) {
        if (!s || !s->info.allocated_known)
                return;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                p->allocated_size += s->groups[i].allocated_size;
                p->allocated_count += s->groups[i].allocated_count;
        }
}

/* How it ended is known only now: the EXIT record is among the last that were read. Nobody shares the snapshot yet. */
static void set_ended_by(struct snapshot *s, const char *ended_by) {
        char *copy = s ? strdup(ended_by) : NULL;
        if (!copy)
                return;
        free(s->info.ended_by);
        s->info.ended_by = copy;
}

/* A daemon that dies before it hears that they are stored leaves to the next one when they were taken: that one takes
 * them again, as of that time, and the store sees whether it has them. Return: whether this is that one. */
static bool date_last(struct process *p, struct snapshot *exit_snapshot, struct snapshot *peak_snapshot) {
        struct snapshot *const taken[] = {exit_snapshot, peak_snapshot};
        bool again = p->last_taken_at_ns != 0;
        for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
                if (!taken[i])
                        continue;
                if (p->last_taken_at_ns == 0)
                        p->last_taken_at_ns = taken[i]->info.taken_at_ns;
                taken[i]->info.taken_at_ns = p->last_taken_at_ns;
        }
        if (!again && p->last_taken_at_ns)
                kept_process_update(p);
        return again;
}

static char *describe_end(const struct process *p) {
        const struct feed_gauges *g = feed_gauges(p->feed);
        if (p->replaced_by)
                return strdup(p->replaced_by);
        bool seen = atomic_load_explicit(&g->exit_seen, memory_order_relaxed);
        return exit_status_describe(p->pidfd, p->proc.pid, seen,
                                    (int)atomic_load_explicit(&g->exit_status, memory_order_relaxed));
}

static void on_finished(void *data, struct snapshot *exit_snapshot, struct snapshot *peak_snapshot, int error) {
        struct process *p = data;
        if (error == -ECANCELED)
                return; /* process_discard() */
        if (error < 0)
                log_error("process %d (%s): its last tables are lost: %s", (int)p->proc.pid, p->name, strerror(-error));
        p->ended_by = describe_end(p);
        set_ended_by(exit_snapshot, p->ended_by ? p->ended_by : "");
        set_ended_by(peak_snapshot, p->ended_by ? p->ended_by : "");
        sum_allocated(p, exit_snapshot);
        bool again = date_last(p, exit_snapshot, peak_snapshot);
        /* the exit snapshot is the newer one, so that `last` is what was never freed */
        store_last(p, peak_snapshot, again, &p->peak_snapshot);
        store_last(p, exit_snapshot, again, &p->exit_snapshot);
        if (p->n_stores == 0)
                process_stored(p);
}

static bool wants_last_snapshots(const struct process *p) {
        if (p->stored)
                return false; /* by the daemon before this one */
        if (p->run)
                return p->run->exit_snapshot;
        return !p->stopped && proc_age_ns(&p->proc) >= p->daemon->config.exit_min_age_s * INT64_C(1000000000);
}

static void finish(struct process *p) {
        unsigned flags = wants_last_snapshots(p) ? FEED_FINISH_EXIT | FEED_FINISH_PEAK : 0;
        if (feed_finish(p->feed, flags, NULL, on_finished, p) < 0)
                on_finished(p, NULL, NULL, -ENOMEM);
}

static void on_pidfd_closed(uv_handle_t *handle) {
        struct process *p = handle->data;
        /* not closed before: how it ended is asked of it */
        finish(p);
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
        close_feed(handle->data);
}

void process_discard(struct process *p) {
        if (p->state == PROCESS_ENDING)
                return; /* its last snapshots are on their way; process_stored() frees it */
        if (p->state == PROCESS_LINGERING)
                return leave(p);
        p->left = p->kept && !p->daemon->for_good;
        p->state = PROCESS_ENDING;
        if (!p->left)
                feed_end(p->feed);
        stop_watching(p, on_discarded);
}

static void on_pidfd(uv_poll_t *poll, int status, int events) {
        process_end(poll->data, NULL);
}

void process_sweep(struct daemon *d) {
        for (struct process *p = d->processes, *next; p; p = next) {
                next = p->next;
                for (size_t i = p->n_forks; i > 0; i--) {
                        if (!proc_lives(p->forks[i - 1].pid, p->forks[i - 1].start_ticks))
                                drop_fork(p, i - 1);
                }
                if (p->state == PROCESS_LINGERING && p->n_forks == 0)
                        close_feed(p);
        }
}

/* ---- birth ---- */

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

void process_on_notice(void *data, struct feed *feed, const struct feed_notice *notice) {
        struct process *p = data;
        switch (notice->kind) {
        case FEED_NOTICE_MALFORMED:
                if (drops_count(&p->daemon->drops, uv_now(p->daemon->loop), "process", p->uid, notice->reason))
                        log_warning("process %d (%s), uid %u: reading ended: %s", (int)p->proc.pid, p->name,
                                    (unsigned)p->uid, notice->reason);
                if (p->peer)
                        agent_peer_drop(p->peer, NULL);
                break;
        case FEED_NOTICE_APPLIED:
                if (p->peer)
                        agent_peer_ack(p->peer, notice->position);
                break;
        case FEED_NOTICE_FORK_DONE:
                note_fork(p, notice->token, (pid_t)notice->pid);
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

static char *copy_text(const ProtobufCBinaryData *text) {
        size_t length = text->len < TEXT_MAX ? text->len : TEXT_MAX;
        return strndup(length ? (const char *)text->data : "", length);
}

/* Said once, though the agent says it with every greeting. */
static int note_layer(struct process *p, const char *note) {
        if (!note[0] || (p->layer_note && strncmp(p->layer_note, note, NOTE_MAX) == 0))
                return 0;
        char *copy = strndup(note, NOTE_MAX);
        if (!copy)
                return -ENOMEM;
        free(p->layer_note);
        p->layer_note = copy;
        if (p->n_notes++ < NOTES_TOLD_MAX)
                log_info("process %d (%s): %s", (int)p->proc.pid, p->name, copy);
        return 0;
}

int process_set_layers(struct process *p, const Tracemallocd__Agent__Hello *hello) {
        size_t n = hello->n_layers < LAYERS_MAX ? hello->n_layers : LAYERS_MAX, n_copied = 0;
        char **layers = calloc(n + 1, sizeof *layers);
        while (layers && n_copied < n && (layers[n_copied] = strndup(hello->layers[n_copied], 64)))
                n_copied++;
        if (!layers || n_copied < n) {
                free_layers(layers, n_copied);
                return -ENOMEM;
        }
        free_layers(p->layers, p->n_layers);
        p->layers = layers;
        p->n_layers = n;
        int r = note_layer(p, hello->layer_note);
        kept_process_update(p);
        return r;
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

static struct snapshot_info info_of(const struct process *p) {
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
        struct snapshot_info info = info_of(p);
        return feed_set_info(p->feed, &info);
}

static int open_feed(struct process *p, const Tracemallocd__Agent__Hello *hello, int fds[2], const char **reasonp) {
        struct daemon *d = p->daemon;
        struct snapshot_info info = info_of(p);
        bool child = hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__FORK;
        struct process *parent = child ? process_find_secret(d, hello->secret.data, hello->secret.len) : NULL;
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
                .parent = parent && parent->uid == p->uid ? parent->feed : NULL,
                .fork_token = hello->fork_token,
                .info = &info,
                .notify = process_on_notice,
                .data = p,
        };
        p->stopped = options.mode == TRACE_OFF;
        settle_fork(d, p->proc.pid, options.parent ? hello->fork_token : 0);
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

static int watch(struct process *p) {
        p->pidfd = (int)syscall(SYS_pidfd_open, p->proc.pid, 0);
        if (p->pidfd < 0)
                return -errno;
        int r = uv_poll_init(p->daemon->loop, &p->pidfd_poll, p->pidfd);
        if (r < 0)
                return r;
        p->pidfd_poll.data = p;
        uv_poll_start(&p->pidfd_poll, UV_READABLE, on_pidfd);
        return 0;
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
        p->run = run_find(d, who->uid, hello->run.data, hello->run.len);
        int r = process_share_memory(p);
        if (r == 0)
                r = build(p, hello, fds, reasonp);
        if (r == 0)
                r = watch(p);
        if (r == -ESRCH)
                *reasonp = "its process is gone";
        link_process(p);
        if (r != 0) {
                p->run = NULL;
                close_feed(p);
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

/* ---- from the daemon before ---- */

void process_adopt(struct process *p) {
        link_process(p);
}

void process_abandon(struct process *p) {
        feed_abandon(p->feed);
        p->feed = NULL;
        on_feed_closed(p);
}

/* The pidfd first, then who it is: if it is the right one now, it was the right one when the pidfd was opened. */
static bool watch_again(struct process *p) {
        return !p->replaced_by && !p->stored && watch(p) == 0 && proc_lives(p->proc.pid, p->proc.start_ticks);
}

static void adopt_forks(struct process *p) {
        uint32_t tokens[FEED_FORKS_MAX], pids[FEED_FORKS_MAX];
        size_t n = feed_adopt_forks(p->feed, tokens, pids);
        for (size_t i = 0; i < n; i++) {
                size_t before = p->n_forks;
                if (pids[i] == 0)
                        continue; /* its FORK_DONE is still to be read */
                note_fork(p, tokens[i], (pid_t)pids[i]);
                if (p->n_forks == before)
                        feed_drop_fork(p->feed, tokens[i]);
        }
}

void process_adopt_state(struct process *p) {
        const struct image_phase *phase = feed_adopt_phase(p->feed);
        p->phase = phase->length ? strndup(phase->label, phase->length) : NULL;
        p->stopped = !atomic_load_explicit(&feed_gauges(p->feed)->tracing, memory_order_relaxed);
        p->n_execs = atomic_load_explicit(&feed_gauges(p->feed)->exec_pending, memory_order_relaxed);
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
                finish(p);
}
