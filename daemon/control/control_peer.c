/* SPDX-License-Identifier: Apache-2.0 */

/* Connections of clients. Main loop; made by daemon/control/control_server.c for each accepted socket. */

#include "daemon/control/control_peer.h"

#include "daemon/base/frame.h"
#include "daemon/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERROR_MESSAGE_MAX  1024
#define HELLO_TIMEOUT_MS   10000                /* tmctl says hello as soon as it has connected */
#define MESSAGE_TIMEOUT_MS 60000                /* from a message's first byte to its last; the longest is 16 MiB */
#define UNREAD_BYTES_MAX   (UINT32_C(64) << 10) /* of answers, beside those of one request */

struct control_peer {
        struct control_peer *next, **link; /* in handler->peers */
        uv_pipe_t pipe;
        uv_timer_t timer; /* runs while a message is awaited that has begun, or the hello */
        unsigned refs;    /* the two handles, and each request in progress */
        bool closing, greeted, busy, consuming;
        bool is_late; /* half of the time that the timer gives is over */
        struct credentials who;
        struct frame_buffer in;
        struct control_handler *handler;
        struct control_attachment *attached;
};

struct pending_write {
        uv_write_t request;
        struct control_peer *peer;
        uint8_t *bytes;
};

static void consume_messages(struct control_peer *p);

static void link_peer(struct control_peer *p) {
        p->link = &p->handler->peers;
        p->next = *p->link;
        if (p->next)
                p->next->link = &p->next;
        *p->link = p;
}

static void unlink_peer(struct control_peer *p) {
        *p->link = p->next;
        if (p->next)
                p->next->link = p->link;
}

static size_t unread(const struct control_peer *p) {
        return uv_stream_get_write_queue_size((const uv_stream_t *)&p->pipe);
}

size_t control_peers_unread(const struct control_handler *handler, uid_t uid) {
        size_t n = 0;
        for (const struct control_peer *p = handler->peers; p; p = p->next)
                n += p->who.uid == uid ? unread(p) : 0;
        return n;
}

struct control_peer *control_peer_ref(struct control_peer *p) {
        p->refs++;
        return p;
}

static void release_all(struct control_peer *p) {
        for (struct control_attachment *a = p->attached, *next; a; a = next) {
                next = a->next;
                a->release(a);
        }
}

void control_peer_unref(struct control_peer *p) {
        if (--p->refs > 0)
                return;
        frame_buffer_deinit(&p->in);
        release_all(p);
        p->handler->freed(p->handler->user, &p->who);
        free(p);
}

bool control_peer_is_gone(const struct control_peer *p) {
        return p->closing;
}

const struct credentials *control_peer_credentials(const struct control_peer *p) {
        return &p->who;
}

void control_peer_attach(struct control_peer *p, struct control_attachment *attached,
                         void (*release)(struct control_attachment *attached)) {
        attached->next = p->attached;
        attached->release = release;
        p->attached = attached;
}

struct control_attachment *control_peer_attachment(const struct control_peer *p,
                                                   void (*release)(struct control_attachment *attached)) {
        struct control_attachment *a = p->attached;
        while (a && a->release != release)
                a = a->next;
        return a;
}

void control_peer_detach(struct control_peer *p, struct control_attachment *attached) {
        struct control_attachment **link = &p->attached;
        while (*link != attached)
                link = &(*link)->next;
        *link = attached->next;
}

static void on_closed(uv_handle_t *handle) {
        control_peer_unref(handle->data);
}

void control_peer_close(struct control_peer *p) {
        if (p->closing)
                return;
        p->closing = true;
        unlink_peer(p);
        uv_close((uv_handle_t *)&p->pipe, on_closed);
        uv_close((uv_handle_t *)&p->timer, on_closed);
}

void control_peer_close_all(struct control_handler *handler) {
        while (handler->peers)
                control_peer_close(handler->peers);
}

static void drop(struct control_peer *p, const char *reason) {
        if (!p->closing)
                drops_add(p->handler->drops, uv_now(p->pipe.loop), "client", &p->who, reason);
        control_peer_close(p);
}

static void on_written(uv_write_t *request, int status) {
        struct pending_write *w = request->data;
        free(w->bytes);
        if (status < 0)
                control_peer_close(w->peer);
        else
                consume_messages(w->peer);
        control_peer_unref(w->peer);
        free(w);
}

void control_peer_reply_bytes(struct control_peer *p, uint8_t *bytes, size_t length) {
        struct pending_write *w = p->closing || length == 0 ? NULL : malloc(sizeof *w);
        if (!w) {
                free(bytes);
                return;
        }
        *w = (struct pending_write){.peer = control_peer_ref(p), .bytes = bytes};
        w->request.data = w;
        /* uv_buf_t's length is size_t here, but a single writev() takes 2 GiB at most: libuv continues by itself */
        uv_buf_t buffer = {.base = (char *)bytes, .len = length};
        int r = uv_write(&w->request, (uv_stream_t *)&p->pipe, &buffer, 1, on_written);
        if (r < 0)
                on_written(&w->request, r);
}

void control_peer_reply(struct control_peer *p, const Tracemallocd__Control__Reply *reply) {
        size_t length = tracemallocd__control__reply__get_packed_size(reply);
        uint8_t *bytes = malloc(FRAME_HEADER_BYTES + length);
        if (!bytes)
                return drop(p, "no memory for its answer");
        frame_header(bytes, (uint32_t)length);
        tracemallocd__control__reply__pack(reply, bytes + FRAME_HEADER_BYTES);
        control_peer_reply_bytes(p, bytes, FRAME_HEADER_BYTES + length);
}

/* The next request may have been read together with this one. A request that is answered at once leaves it to the
 * loop that called it: a client may send thousands in one go, and they must not nest. */
static void finish_request(struct control_peer *p) {
        assert(p->busy);
        p->busy = false;
        consume_messages(p);
}

void control_peer_done(struct control_peer *p) {
        Tracemallocd__Control__Done done = TRACEMALLOCD__CONTROL__DONE__INIT;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_DONE;
        reply.done = &done;
        control_peer_reply(p, &reply);
        finish_request(p);
}

void control_peer_error(struct control_peer *p, int code, const char *format, ...) {
        char message[ERROR_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        Tracemallocd__Control__Error error = TRACEMALLOCD__CONTROL__ERROR__INIT;
        error.code = (Tracemallocd__Control__Error__Code)code;
        error.message = message;
        Tracemallocd__Control__Reply reply = TRACEMALLOCD__CONTROL__REPLY__INIT;
        reply.body_case = TRACEMALLOCD__CONTROL__REPLY__BODY_ERROR;
        reply.error = &error;
        control_peer_reply(p, &reply);
        finish_request(p);
}

static void send_hello(struct control_peer *p, const char *refusal) {
        const struct control_identity *identity = p->handler->identity;
        Tracemallocd__Control__HelloReply hello = TRACEMALLOCD__CONTROL__HELLO_REPLY__INIT;
        hello.major = TRACEMALLOCD__CONTROL__VERSION__VERSION_MAJOR;
        hello.daemon = (char *)identity->daemon;
        hello.refusal = (char *)refusal;
        hello.system = identity->system;
        hello.agent_path = (char *)identity->agent_path;
        hello.pid = (uint32_t)getpid();
        size_t length = tracemallocd__control__hello_reply__get_packed_size(&hello);
        uint8_t *bytes = malloc(FRAME_HEADER_BYTES + length);
        if (!bytes)
                return drop(p, "no memory for its hello");
        frame_header(bytes, (uint32_t)length);
        tracemallocd__control__hello_reply__pack(&hello, bytes + FRAME_HEADER_BYTES);
        control_peer_reply_bytes(p, bytes, FRAME_HEADER_BYTES + length);
}

static void on_hello(struct control_peer *p, const uint8_t *payload, size_t length) {
        Tracemallocd__Control__Hello *hello = tracemallocd__control__hello__unpack(NULL, length, payload);
        if (!hello)
                return drop(p, "no hello");
        bool same = hello->major == TRACEMALLOCD__CONTROL__VERSION__VERSION_MAJOR;
        tracemallocd__control__hello__free_unpacked(hello, NULL);
        p->greeted = true;
        send_hello(
                p,
                same ? ""
                     : "this tracemallocd speaks version 1 of the control protocol; use the tmctl that came with it");
        if (!same)
                drop(p, "it speaks another version of the protocol");
}

static void on_request(struct control_peer *p, const uint8_t *payload, size_t length) {
        Tracemallocd__Control__Request *request = tracemallocd__control__request__unpack(NULL, length, payload);
        if (!request)
                return drop(p, "a message that is no protobuf of ours");
        p->busy = true;
        p->handler->request(p->handler->user, p, request);
        tracemallocd__control__request__free_unpacked(request, NULL);
}

/* Twice: where this daemon was stopped, the first may come before what has arrived meanwhile is read. */
static void on_timeout(uv_timer_t *timer) {
        struct control_peer *p = timer->data;
        if (p->is_late)
                drop(p, p->greeted ? "half a message and no more of it" : "no hello in time");
        p->is_late = true;
}

static void start_timer(struct control_peer *p, uint64_t timeout_ms) {
        p->is_late = false;
        uv_timer_start(&p->timer, on_timeout, timeout_ms / 2, timeout_ms / 2);
}

/* Whether the next request has to wait: for the one before it, or for the client to read what it was answered. */
static bool is_waiting(const struct control_peer *p) {
        return p->busy || unread(p) > UNREAD_BYTES_MAX;
}

/* Who has sent a part of a message owes the rest; while requests wait nothing is read, nor owed. */
static void watch_for_rest(struct control_peer *p) {
        bool owes = !is_waiting(p) && p->in.used > p->in.consumed;
        if (p->closing || !p->greeted)
                return;
        if (!owes)
                uv_timer_stop(&p->timer);
        else if (!uv_is_active((uv_handle_t *)&p->timer))
                start_timer(p, MESSAGE_TIMEOUT_MS);
}

static void consume_messages(struct control_peer *p) {
        if (p->consuming)
                return;
        p->consuming = true;
        control_peer_ref(p); /* a handler may close it */
        while (!p->closing && !is_waiting(p)) {
                const uint8_t *payload;
                size_t length;
                if (frame_buffer_next(&p->in, &payload, &length) != 0) {
                        drop(p, "a message of more than 16 MiB");
                        break;
                }
                if (!payload)
                        break;
                uv_timer_stop(&p->timer); /* it is whole */
                if (p->greeted)
                        on_request(p, payload, length);
                else
                        on_hello(p, payload, length);
        }
        watch_for_rest(p);
        p->consuming = false;
        control_peer_unref(p);
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
        struct control_peer *p = handle->data;
        uint8_t *space;
        size_t size;
        /* a client that talks on while its requests wait may fill the buffer, no more */
        bool full = is_waiting(p) && p->in.used - p->in.consumed > FRAME_MAX_CONTROL;
        if (full || frame_buffer_space(&p->in, &space, &size) < 0)
                *buffer = uv_buf_init(NULL, 0);
        else
                *buffer = uv_buf_init((char *)space, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
        struct control_peer *p = stream->data;
        if (n < 0)
                return control_peer_close(p);
        frame_buffer_commit(&p->in, (size_t)n);
        consume_messages(p);
}

int control_peer_open(uv_loop_t *loop, int fd, const struct credentials *who, struct control_handler *handler,
                      struct control_peer **peerp) {
        struct control_peer *p = calloc(1, sizeof *p);
        if (!p) {
                close(fd);
                handler->freed(handler->user, who);
                return -ENOMEM;
        }
        uv_pipe_init(loop, &p->pipe, 0);
        uv_timer_init(loop, &p->timer);
        p->pipe.data = p->timer.data = p;
        p->refs = 2;
        p->who = *who;
        p->handler = handler;
        link_peer(p);
        frame_buffer_init(&p->in, FRAME_MAX_CONTROL);
        int r = uv_pipe_open(&p->pipe, fd);
        if (r < 0)
                close(fd);
        else
                r = uv_read_start((uv_stream_t *)&p->pipe, on_space, on_read);
        if (r < 0) {
                log_warning("cannot serve a client: %s", uv_strerror(r));
                control_peer_close(p);
                return r;
        }
        start_timer(p, HELLO_TIMEOUT_MS);
        *peerp = p;
        return 0;
}
