/* SPDX-License-Identifier: Apache-2.0 */

/* Clients of control.sock: who may connect, and which function answers which request. Main loop. */

#include "daemon/control/control_server.h"

#include "daemon/base/listener.h"
#include "daemon/base/uid_count.h"
#include "daemon/control/requests.h"
#include "daemon/control/uploads.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct control_server {
        struct daemon *daemon;
        struct listener *listener;
        struct control_handler handler;
        struct control_identity identity;
        struct uid_count connections, uploads;
        unsigned n_peers;
        bool closing;
};

typedef void (*request_function)(const struct request *r);

static request_function function_of(const Tracemallocd__Control__Request *body) {
        switch (body->body_case) {
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_PS:
                return request_ps;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_SNAPSHOT:
                return request_snapshot;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_LIST:
                return request_list;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_SHOW:
                return request_show;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_LABEL:
                return request_label;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_DELETE_:
                return request_delete;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS:
                return request_stats;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE:
                return request_compare;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_TRACES:
                return request_traces;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_CONTROL:
                return request_control;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_BEGIN:
                return request_run_begin;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_RUN_WAIT:
                return request_run_wait;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_EXPORT:
                return request_export;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_IMPORT_:
                return request_import;
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_BLOCK:
                return request_block;
        default:
                return NULL;
        }
}

static void on_request(void *user, struct control_peer *peer, const Tracemallocd__Control__Request *body) {
        struct control_server *s = user;
        struct request r = {.daemon = s->daemon, .peer = peer, .who = control_peer_credentials(peer), .body = body};
        request_function function = function_of(body);
        if (s->closing)
                control_peer_error(peer, CONTROL_FAILED, "the daemon is leaving");
        else if (!function)
                control_peer_error(peer, CONTROL_USAGE,
                                   "this tracemallocd does not know that request; use the tmctl "
                                   "that came with it");
        else
                function(&r);
}

static void free_if_done(struct control_server *s) {
        if (!s->closing || s->n_peers > 0)
                return;
        s->daemon->control = NULL;
        uid_count_deinit(&s->connections);
        uid_count_deinit(&s->uploads);
        free(s);
}

static void on_freed(void *user, const struct credentials *who) {
        struct control_server *s = user;
        uid_count_release(&s->connections, who->uid);
        s->n_peers--;
        free_if_done(s);
}

static void on_accept(void *user, int fd) {
        struct control_server *s = user;
        struct credentials who;
        struct control_peer *peer;
        if (credentials_of_socket(fd, &who) < 0) {
                close(fd);
                return;
        }
        if (uid_count_charge(&s->connections, who.uid, s->daemon->config.connections_per_user) != 0) {
                drops_add(s->handler.drops, uv_now(s->daemon->loop), "client", &who,
                          "too many connections of this user (connections_per_user)");
                close(fd);
                return;
        }
        s->n_peers++;
        control_peer_open(s->daemon->loop, fd, &who, &s->handler, &peer);
}

int control_server_open(struct daemon *d, int fd, struct control_server **serverp) {
        struct control_server *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->daemon = d;
        s->identity = (struct control_identity){
                .daemon = "tracemallocd " VERSION, .agent_path = d->places.agent_path, .system = d->places.system};
        s->handler = (struct control_handler){
                .user = s, .drops = &d->drops, .identity = &s->identity, .request = on_request, .freed = on_freed};
        uid_count_init(&s->connections);
        uid_count_init(&s->uploads);
        int r = listener_open(d->loop, fd, on_accept, s, &s->listener);
        if (r < 0) {
                free(s);
                return r;
        }
        *serverp = s;
        return 0;
}

size_t control_server_unread(const struct control_server *s, uid_t uid) {
        return control_peers_unread(&s->handler, uid);
}

void control_server_close(struct control_server *s) {
        listener_close(s->listener);
        s->closing = true;
        pool_queue_close(&s->daemon->requests);
        control_peer_close_all(&s->handler);
        free_if_done(s);
}

unsigned control_server_peer_count(const struct control_server *s) {
        return s->n_peers;
}

int control_server_charge_uploads(struct control_server *s, uid_t uid) {
        return uid_count_charge(&s->uploads, uid, UPLOADS_PER_USER_MAX);
}

void control_server_release_uploads(struct control_server *s, uid_t uid) {
        uid_count_release(&s->uploads, uid);
}
