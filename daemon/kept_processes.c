/* SPDX-License-Identifier: Apache-2.0 */

/* Processes that outlive the daemon. Main loop; called by main.c and process.c. */

#include "daemon/kept_processes.h"

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/fd_store.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/process.h"
#include "proto/kept.pb-c.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64

static const char *const parts[] = {"ring", "definitions", "control", "table"};
#define N_PARTS (sizeof parts / sizeof parts[0])

static void part_name(char name[NAME_BYTES], uint64_t id, size_t part) {
        snprintf(name, NAME_BYTES, "%016" PRIx64 ".%s", id, parts[part]);
}

/* ---- doorbells ---- */

static void doorbell_name(char name[NAME_BYTES], unsigned worker) {
        snprintf(name, NAME_BYTES, "doorbell-%u", worker);
}

int kept_doorbell(struct daemon *d, unsigned worker) {
        char name[NAME_BYTES];
        doorbell_name(name, worker);
        return fd_store_take(d->fd_store, name);
}

void kept_doorbell_put(struct daemon *d, unsigned worker, int fd) {
        char name[NAME_BYTES];
        doorbell_name(name, worker);
        fd_store_put(d->fd_store, name, fd);
}

/* ---- one process ---- */

static ProtobufCBinaryData bytes_of(const char *text) {
        return (ProtobufCBinaryData){.len = text ? strlen(text) : 0, .data = (uint8_t *)(text ? text : "")};
}

static uint32_t worker_of(const struct process *p) {
        uint32_t i = 0;
        while (i < p->daemon->n_workers && p->daemon->workers[i] != feed_worker(p->feed))
                i++;
        return i;
}

void kept_process_update(struct process *p) {
        Tracemallocd__Kept__Process m = TRACEMALLOCD__KEPT__PROCESS__INIT;
        if (!p->kept || !p->feed)
                return;
        m.pid = (uint32_t)p->proc.pid;
        m.start_ticks = p->proc.start_ticks;
        m.ppid = (uint32_t)p->proc.ppid;
        m.ns_pid = (uint32_t)p->proc.ns_pid;
        m.started_at_ns = p->proc.started_at_ns;
        m.uid = p->uid;
        m.image = p->image;
        m.name = bytes_of(p->name);
        m.exe = bytes_of(p->exe);
        m.label = bytes_of(p->label);
        m.unit = bytes_of(p->proc.unit);
        m.cgroup = bytes_of(p->proc.cgroup);
        m.layers = p->layers;
        m.n_layers = p->n_layers;
        m.layer_note = bytes_of(p->layer_note);
        m.secret = (ProtobufCBinaryData){.len = sizeof p->secret, .data = p->secret};
        m.traceback_limit = p->traceback_limit;
        m.domains = p->domains;
        m.worker = worker_of(p);
        m.stored = p->stored;
        m.last_taken_at_ns = p->last_taken_at_ns;
        if (p->replaced_by)
                m.replaced = strcmp(p->replaced_by, "exec") == 0 ? TRACEMALLOCD__KEPT__PROCESS__REPLACED__EXEC
                                                                 : TRACEMALLOCD__KEPT__PROCESS__REPLACED__RECONNECT;
        size_t length = tracemallocd__kept__process__get_packed_size(&m);
        uint8_t *bytes = malloc(length);
        if (bytes)
                tracemallocd__kept__process__pack(&m, bytes);
        if (!bytes || feed_set_identity(p->feed, bytes, length) < 0)
                log_error("process %d (%s): no memory for what the next daemon must know", (int)p->proc.pid, p->name);
        free(bytes);
}

void kept_process_put(struct process *p) {
        char name[NAME_BYTES];
        if (!p->kept)
                return;
        struct feed_fds fds = feed_fds(p->feed);
        const int fd[N_PARTS] = {fds.ring, fds.definitions, fds.control, fds.table};
        kept_process_update(p);
        for (size_t i = 0; i < N_PARTS; i++) {
                part_name(name, p->id, i);
                fd_store_put(p->daemon->fd_store, name, fd[i]);
        }
        fd_store_settle(p->daemon->fd_store);
        feed_fds_stored(p->feed);
}

static void remove_parts(struct daemon *d, uint64_t id) {
        char name[NAME_BYTES];
        for (size_t i = 0; i < N_PARTS; i++) {
                part_name(name, id, i);
                fd_store_remove(d->fd_store, name);
        }
}

void kept_process_remove(struct process *p) {
        if (p->kept)
                remove_parts(p->daemon, p->id);
}

/* ---- adoption ---- */

static char *text_of(const ProtobufCBinaryData *bytes) {
        return strndup(bytes->len ? (const char *)bytes->data : "", bytes->len);
}

static int take_identity(struct process *p, const Tracemallocd__Kept__Process *m) {
        if (m->secret.len != sizeof p->secret)
                return -EPROTO;
        memcpy(p->secret, m->secret.data, sizeof p->secret);
        p->proc = (struct proc_info){.pid = (pid_t)m->pid,
                                     .ppid = (pid_t)m->ppid,
                                     .ns_pid = (pid_t)m->ns_pid,
                                     .start_ticks = m->start_ticks,
                                     .started_at_ns = m->started_at_ns,
                                     .cgroup = text_of(&m->cgroup),
                                     .unit = text_of(&m->unit)};
        p->uid = m->uid;
        p->image = m->image;
        p->name = text_of(&m->name);
        p->exe = text_of(&m->exe);
        p->label = text_of(&m->label);
        p->traceback_limit = m->traceback_limit;
        p->domains = m->domains;
        p->stored = m->stored;
        p->last_taken_at_ns = m->last_taken_at_ns;
        p->layer_note = m->layer_note.len ? text_of(&m->layer_note) : NULL;
        if (m->replaced != TRACEMALLOCD__KEPT__PROCESS__REPLACED__NO)
                p->replaced_by = m->replaced == TRACEMALLOCD__KEPT__PROCESS__REPLACED__EXEC ? "exec" : "reconnect";
        p->layers = calloc(m->n_layers + 1, sizeof *p->layers);
        if (!p->layers || !p->proc.cgroup || !p->proc.unit || !p->name || !p->exe || !p->label)
                return -ENOMEM;
        for (; p->n_layers < m->n_layers; p->n_layers++) {
                p->layers[p->n_layers] = strdup(m->layers[p->n_layers]);
                if (!p->layers[p->n_layers])
                        return -ENOMEM;
        }
        return 0;
}

/* Whose doorbell its agent has stands in the identity, which is read when the feed is there. */
static int open_process(struct process *p, struct feed_fds *fds, const char **reasonp) {
        struct daemon *d = p->daemon;
        size_t length;
        struct feed_options options = {
                .memory_limit = d->config.table_bytes_per_process, .id = p->id, .notify = process_on_notice, .data = p};
        int r = feed_adopt(d->workers[0], fds, &options, &p->feed, reasonp);
        *fds = (struct feed_fds){-1, -1, -1, -1};
        if (r)
                return r;
        const void *identity = feed_adopt_identity(p->feed, &length);
        Tracemallocd__Kept__Process *m = identity ? tracemallocd__kept__process__unpack(NULL, length, identity) : NULL;
        *reasonp = "it does not say whose it is";
        if (!m)
                return -EPROTO;
        r = take_identity(p, m);
        if (r == 0)
                feed_adopt_worker(p->feed, d->workers[m->worker < d->n_workers ? m->worker : 0]);
        tracemallocd__kept__process__free_unpacked(m, NULL);
        if (r == 0)
                r = process_share_memory(p);
        if (r)
                return r;
        feed_adopt_pool(p->feed, p->pool);
        return process_identify(p);
}

static void adopt_one(struct daemon *d, uint64_t id) {
        char name[NAME_BYTES];
        int fd[N_PARTS];
        bool whole = true;
        for (size_t i = 0; i < N_PARTS; i++) {
                part_name(name, id, i);
                fd[i] = fd_store_take(d->fd_store, name);
                whole &= fd[i] >= 0;
        }
        const char *reason = whole ? "the daemon is out of memory or descriptors"
                                   : "not all of it came through the store (FileDescriptorStoreMax=)";
        int control = fd[2] >= 0 ? dup(fd[2]) : -1, r = FEED_E_REFUSED;
        struct feed_fds fds = {fd[0], fd[1], fd[2], fd[3]};
        struct process *p = whole ? calloc(1, sizeof *p) : NULL;
        if (p) {
                *p = (struct process){.daemon = d, .pidfd = -1, .id = id, .kept = true};
                r = open_process(p, &fds, &reason);
        }
        if (r == 0) {
                process_adopt(p);
        } else {
                log_warning("a traced process%s%s greets anew, its earlier blocks are unknown: %s",
                            p && p->name ? " " : "", p && p->name ? p->name : "", reason);
                feed_dismiss(&(struct feed_fds){-1, -1, control, -1});
                remove_parts(d, id);
                if (p)
                        process_abandon(p);
        }
        const int left[] = {fds.ring, fds.definitions, fds.control, fds.table, control};
        for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
                if (left[i] >= 0)
                        close(left[i]);
        }
}

static struct process *find_id(struct daemon *d, uint64_t id) {
        for (struct process *p = d->processes; p; p = p->next) {
                if (p->kept && p->id == id)
                        return p;
        }
        return NULL;
}

static void link_one(struct process *p) {
        uint64_t id = feed_adopt_parent(p->feed);
        struct process *parent = id ? find_id(p->daemon, id) : NULL;
        feed_adopt_link(p->feed, parent && feed_worker(parent->feed) == feed_worker(p->feed) ? parent->feed : NULL);
}

static void start_all(struct daemon *d, bool waiting) {
        for (struct process *p = d->processes, *next; p; p = next) {
                next = p->next;
                if (p->waits == waiting)
                        process_adopt_start(p);
        }
}

void kept_processes_adopt(struct daemon *d) {
        uint64_t id;
        char end;
        size_t i = 0;
        for (const char *name; (name = fd_store_next(d->fd_store, &i));) {
                if (sscanf(name, "%16" SCNx64 "%c", &id, &end) == 2 && end == '.')
                        adopt_one(d, id);
        }
        for (struct process *p = d->processes; p; p = p->next)
                link_one(p);
        for (struct process *p = d->processes; p; p = p->next)
                process_adopt_state(p);
        /* children that wait for their parent's table first: they take it as it is attached, before it is read on */
        start_all(d, true);
        start_all(d, false);
}
