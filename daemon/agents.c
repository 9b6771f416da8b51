/* SPDX-License-Identifier: Apache-2.0 */

/* What agents ask for, done: processes are born here, files of modules kept. Main loop. */

#include "daemon/agents.h"

#include "daemon/base/credentials.h"
#include "daemon/base/listener.h"
#include "daemon/base/log.h"
#include "daemon/base/uid_count.h"
#include "daemon/daemon.h"
#include "daemon/ingest/agent_peer.h"
#include "daemon/ingest/feed_push.h"
#include "daemon/process.h"
#include "daemon/process_layers.h"
#include "daemon/symbol/module_files.h"
#include "proto/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES (UINT64_C(1) << 20) /* socket way: what an agent may send ahead of the acknowledgements */

struct agents {
        struct daemon *daemon;
        struct listener *listener;
        struct agent_handler handler;
        struct uid_count connections;
        unsigned n_peers;
        bool closing;
};

/* What a connection is about. The process may be gone before it. */
struct association {
        struct agents *agents;
        uint8_t secret[PROCESS_SECRET_BYTES];
        struct agent_peer *peer;
};

static void free_if_done(struct agents *a) {
        if (!a->closing || a->n_peers > 0)
                return;
        uid_count_deinit(&a->connections);
        free(a);
}

static struct process *process_of(const struct association *s) {
        return process_find_secret(s->agents->daemon, s->secret, sizeof s->secret);
}

static struct association *associate(struct agents *a, const void *secret, struct agent_peer *peer) {
        struct association *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->agents = a;
        s->peer = peer;
        memcpy(s->secret, secret, sizeof s->secret);
        return s;
}

static void refuse(struct agent_welcome *welcome, const char *reason) {
        welcome->status = TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__REFUSED;
        welcome->reason = reason;
}

static void welcome_process(const struct process *p, struct agent_welcome *welcome) {
        memcpy(welcome->secret, p->secret, sizeof welcome->secret);
        welcome->traceback_limit = p->traceback_limit;
        welcome->domains = p->domains;
        welcome->mode = p->stopped ? TRACE_OFF : TRACE_EXACT;
        welcome->window = WINDOW_BYTES;
        welcome->control_fd = feed_control_fd(p->feed);
        if (welcome->control_fd >= 0)
                welcome->doorbell_fd = worker_doorbell_fd(feed_worker(p->feed));
}

static size_t images_of(const struct daemon *d, uid_t uid) {
        size_t n = 0;
        for (const struct process *p = d->processes; p; p = p->next)
                n += p->uid == uid;
        return n;
}

static void greet_process(struct agents *a, const struct credentials *who, const Tracemallocd__Agent__Hello *hello,
                          int fds[2], struct agent_peer *peer, struct agent_welcome *welcome, void **associatep) {
        struct daemon *d = a->daemon;
        struct process *p;
        const char *reason;
        if (who->pid == 0)
                return refuse(welcome, "its pid namespace is not below the daemon's");
        /* the daemon before us died between taking the ring and answering */
        p = process_greets_again(d, who, fds[0]);
        if (p) {
                *associatep = associate(a, p->secret, peer);
                return *associatep ? welcome_process(p, welcome) : refuse(welcome, "the daemon is out of memory");
        }
        if (who->uid != 0 && images_of(d, who->uid) >= d->config.processes_per_user)
                return refuse(welcome, "too many traced processes of this user (processes_per_user)");
        if (process_new(d, who, hello, fds, peer, &p, &reason) != 0)
                return refuse(welcome, reason);
        *associatep = associate(a, p->secret, peer);
        if (!*associatep) {
                process_end(p, NULL);
                return refuse(welcome, "the daemon is out of memory");
        }
        welcome_process(p, welcome);
}

static void greet_modules(struct agents *a, const struct credentials *who, const Tracemallocd__Agent__Hello *hello,
                          struct agent_peer *peer, struct agent_welcome *welcome, void **associatep) {
        struct process *p = process_find_secret(a->daemon, hello->secret.data, hello->secret.len);
        /* one that has become another user is still itself */
        if (!p || (p->uid != who->uid && p->proc.pid != who->pid))
                return refuse(welcome, "no such process");
        *associatep = associate(a, p->secret, peer);
        if (!*associatep)
                return refuse(welcome, "the daemon is out of memory");
        if (process_set_layers(p, hello))
                log_error("process %d (%s): layers not noted: out of memory", (int)p->proc.pid, p->name);
}

static void on_hello(void *user, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                     struct agent_peer *peer, struct agent_welcome *welcome, void **associatep) {
        struct agents *a = user;
        if (a->daemon->stopping)
                return refuse(welcome, "the daemon is leaving");
        if (hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__MODULES)
                greet_modules(a, who, hello, peer, welcome, associatep);
        else
                greet_process(a, who, hello, fds, peer, welcome, associatep);
}

static int on_module_files(void *associate, const Tracemallocd__Agent__ModuleFiles *files, int *fds) {
        struct association *s = associate;
        struct process *p = process_of(s);
        for (size_t i = 0; p && i < files->n_modules; i++) {
                const Tracemallocd__Agent__ModuleDef *m = files->modules[i];
                /* one that can't be kept is opened by its path later, if at all */
                module_files_add(s->agents->daemon->files, p->uid, m->path.data, m->path.len, m->build_id.data,
                                 m->build_id.len, fds[i]);
                fds[i] = -1;
        }
        return 0;
}

static int on_definitions(void *associate, const Tracemallocd__Agent__Definitions *m) {
        struct process *p = process_of(associate);
        const char *reason;
        if (!p || p->state != PROCESS_ALIVE)
                return -ESRCH;
        const struct feed_definitions definitions = {m->first_node, m->nodes.data, m->nodes.len,
                                                     m->first_item, m->items.data, m->items.len};
        return feed_push_definitions(p->feed, &definitions, &reason) == 0 ? 0 : -EPROTO;
}

static int on_events(void *associate, const Tracemallocd__Agent__EventBatch *m) {
        struct process *p = process_of(associate);
        const char *reason;
        if (!p || p->state != PROCESS_ALIVE || feed_backlog(p->feed) > 2 * WINDOW_BYTES)
                return -EPROTO;
        return feed_push_events(p->feed, m->sequence, m->records.data, m->records.len, &reason) == 0 ? 0 : -EPROTO;
}

static void on_peer_closed(void *associate) {
        struct association *s = associate;
        struct process *p = process_of(s);
        if (p && p->peer == s->peer) {
                p->peer = NULL;
                feed_cut_off(p->feed);
        }
        free(s);
}

static void on_peer_freed(void *user, const struct credentials *who) {
        struct agents *a = user;
        uid_count_release(&a->connections, who->uid);
        a->n_peers--;
        free_if_done(a);
}

static void on_accept(void *user, int fd) {
        struct agents *a = user;
        struct credentials who;
        struct agent_peer *peer;
        if (credentials_of_socket(fd, &who) < 0) {
                close(fd);
                return;
        }
        if (uid_count_charge(&a->connections, who.uid, a->daemon->config.connections_per_user) != 0) {
                drops_add(a->handler.drops, uv_now(a->daemon->loop), "agent", &who,
                          "too many connections of this user (connections_per_user)");
                close(fd);
                return;
        }
        a->n_peers++;
        agent_peer_open(a->daemon->loop, fd, &who, &a->handler, &peer);
}

int agents_open(struct daemon *d, int fd, struct agents **agentsp) {
        struct agents *a = calloc(1, sizeof *a);
        if (!a)
                return -ENOMEM;
        a->daemon = d;
        a->handler = (struct agent_handler){.user = a,
                                            .drops = &d->drops,
                                            .hello = on_hello,
                                            .module_files = on_module_files,
                                            .definitions = on_definitions,
                                            .events = on_events,
                                            .closed = on_peer_closed,
                                            .freed = on_peer_freed};
        uid_count_init(&a->connections);
        int r = listener_open(d->loop, fd, on_accept, a, &a->listener);
        if (r < 0) {
                free(a);
                return r;
        }
        *agentsp = a;
        return 0;
}

void agents_close(struct agents *a) {
        listener_close(a->listener);
        a->closing = true;
        agent_peer_drop_all(&a->handler);
        free_if_done(a);
}

unsigned agents_peer_count(const struct agents *a) {
        return a->n_peers;
}
