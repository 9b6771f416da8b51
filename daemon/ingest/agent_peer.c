/* SPDX-License-Identifier: Apache-2.0 */

/* Connections of traced processes. Main loop; made by daemon/agents.c for each accepted socket. */

#include "daemon/ingest/agent_peer.h"

#include "daemon/base/frame.h"
#include "proto/record.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX          253   /* Linux: SCM_MAX_FD, the most that one recvmsg() gives */
#define HELLO_TIMEOUT_MS 10000 /* a process that is stopped between connect and Hello gets another chance later */
#define READS_PER_WAKE   16    /* then other peers have their turn */
#define READS_AT_END     4096  /* of what a socket holds, 8 KiB at a time: more than its buffer and the window */
#define REPLY_BYTES_MAX  512

struct agent_peer {
        struct agent_peer *next, **link; /* in handler->peers */
        uv_poll_t poll;
        uv_timer_t hello_timer;
        unsigned handles;
        int fd;
        bool closing, greeted, socket_way;
        struct credentials who;
        struct frame_buffer in;
        int fds[FDS_MAX]; /* received, not yet taken by a message; oldest first */
        size_t n_fds;
        struct agent_handler *handler;
        void *associate;
};

static void link_peer(struct agent_peer *p) {
        p->link = &p->handler->peers;
        p->next = *p->link;
        if (p->next)
                p->next->link = &p->next;
        *p->link = p;
}

static void unlink_peer(struct agent_peer *p) {
        *p->link = p->next;
        if (p->next)
                p->next->link = p->link;
}

static void close_fds(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++) {
                if (fds[i] >= 0)
                        close(fds[i]);
        }
}

static void on_closed(uv_handle_t *handle) {
        struct agent_peer *p = handle->data;
        if (--p->handles > 0)
                return;
        close(p->fd);
        close_fds(p->fds, p->n_fds);
        frame_buffer_deinit(&p->in);
        p->handler->freed(p->handler->user, &p->who);
        free(p);
}

void agent_peer_drop(struct agent_peer *p, const char *reason) {
        if (p->closing)
                return;
        p->closing = true;
        unlink_peer(p);
        if (reason)
                drops_add(p->handler->drops, uv_now(p->poll.loop), "agent", &p->who, reason);
        uv_poll_stop(&p->poll);
        void *associate = p->associate;
        p->associate = NULL;
        if (associate)
                p->handler->closed(associate);
        uv_close((uv_handle_t *)&p->poll, on_closed);
        uv_close((uv_handle_t *)&p->hello_timer, on_closed);
}

void agent_peer_drop_all(struct agent_handler *handler) {
        while (handler->peers)
                agent_peer_drop(handler->peers, NULL);
}

/* Replies are a few hundred bytes into an empty socket buffer: one that doesn't fit belongs to a peer that doesn't
 * read, and that peer is dropped instead of buffered for. */
static void send_message(struct agent_peer *p, const Tracemallocd__Agent__DaemonMessage *message, const int *fds,
                         size_t n_fds) {
        if (p->closing)
                return;
        uint8_t bytes[FRAME_HEADER_BYTES + REPLY_BYTES_MAX];
        size_t length = tracemallocd__agent__daemon_message__get_packed_size(message);
        assert(length <= REPLY_BYTES_MAX);
        frame_header(bytes, (uint32_t)length);
        tracemallocd__agent__daemon_message__pack(message, bytes + FRAME_HEADER_BYTES);
        struct iovec iov = {.iov_base = bytes, .iov_len = FRAME_HEADER_BYTES + length};
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (n_fds > 0) {
                msg.msg_control = control;
                msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        }
        ssize_t n = sendmsg(p->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                return; /* it is gone, but what it sent before is not read yet: the reader will come to the end */
        if (n != (ssize_t)iov.iov_len)
                agent_peer_drop(p, "it does not read its replies");
}

static void send_welcome(struct agent_peer *p, const struct agent_welcome *w) {
        Tracemallocd__Agent__HelloReply reply = TRACEMALLOCD__AGENT__HELLO_REPLY__INIT;
        reply.status = (Tracemallocd__Agent__HelloReply__Status)w->status;
        reply.major = TRACEMALLOCD__AGENT__VERSION__VERSION_MAJOR;
        reply.minor = PROTOCOL_MINOR;
        reply.reason = (char *)(w->reason ? w->reason : "");
        reply.secret.data = (uint8_t *)w->secret;
        reply.secret.len = sizeof w->secret;
        reply.traceback_limit = w->traceback_limit;
        reply.domains = w->domains;
        reply.mode = w->mode;
        reply.window = w->window;
        Tracemallocd__Agent__DaemonMessage message = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__INIT;
        message.body_case = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_HELLO_REPLY;
        message.hello_reply = &reply;
        int fds[2] = {w->control_fd, w->doorbell_fd};
        send_message(p, &message, fds, w->control_fd >= 0 ? 2 : 0);
}

void agent_peer_ack(struct agent_peer *p, uint64_t sequence) {
        Tracemallocd__Agent__Ack ack = TRACEMALLOCD__AGENT__ACK__INIT;
        ack.sequence = sequence;
        Tracemallocd__Agent__DaemonMessage message = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__INIT;
        message.body_case = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_ACK;
        message.ack = &ack;
        send_message(p, &message, NULL, 0);
}

void agent_peer_set_mode(struct agent_peer *p, uint32_t mode, uint32_t traceback_limit, uint32_t domains) {
        Tracemallocd__Agent__SetMode set_mode = TRACEMALLOCD__AGENT__SET_MODE__INIT;
        set_mode.mode = mode;
        set_mode.traceback_limit = traceback_limit;
        set_mode.domains = domains;
        Tracemallocd__Agent__DaemonMessage message = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__INIT;
        message.body_case = TRACEMALLOCD__AGENT__DAEMON_MESSAGE__BODY_SET_MODE;
        message.set_mode = &set_mode;
        send_message(p, &message, NULL, 0);
}

/* The oldest @n descriptors go to the message that counts them. */
static void take_fds(struct agent_peer *p, int *fds, size_t n) {
        memcpy(fds, p->fds, n * sizeof *fds);
        memmove(p->fds, p->fds + n, (p->n_fds - n) * sizeof *p->fds);
        p->n_fds -= n;
}

static void on_hello(struct agent_peer *p, const Tracemallocd__Agent__Hello *hello) {
        bool ring = hello->transport == TRACEMALLOCD__AGENT__HELLO__TRANSPORT__RING &&
                    hello->kind != TRACEMALLOCD__AGENT__HELLO__KIND__MODULES;
        int fds[2] = {-1, -1};
        if (p->greeted)
                return agent_peer_drop(p, "a second hello");
        p->greeted = true;
        p->socket_way = hello->transport == TRACEMALLOCD__AGENT__HELLO__TRANSPORT__SOCKET;
        uv_timer_stop(&p->hello_timer);
        struct agent_welcome welcome = {.control_fd = -1, .doorbell_fd = -1};
        if (hello->major != TRACEMALLOCD__AGENT__VERSION__VERSION_MAJOR) {
                welcome.status = TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__VERSION;
                welcome.reason = "this daemon speaks version 1 of the protocol";
        } else if (ring && p->n_fds < 2) {
                welcome.status = TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__REFUSED;
                welcome.reason = "a hello by the ring way brings two descriptors";
        } else {
                if (ring)
                        take_fds(p, fds, 2);
                p->handler->hello(p->handler->user, &p->who, hello, fds, p, &welcome, &p->associate);
                close_fds(fds, 2);
        }
        send_welcome(p, &welcome);
        if (welcome.status != TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__OK)
                agent_peer_drop(p, welcome.reason);
}

static void on_module_files(struct agent_peer *p, const Tracemallocd__Agent__ModuleFiles *m) {
        int fds[FDS_MAX];
        size_t n = m->n_modules;
        if (n > p->n_fds)
                return agent_peer_drop(p, "module files without descriptors");
        take_fds(p, fds, n);
        int r = p->handler->module_files(p->associate, m, fds);
        close_fds(fds, n);
        if (r < 0)
                agent_peer_drop(p, "module files that are none");
}

static void on_message(struct agent_peer *p, const Tracemallocd__Agent__AgentMessage *message) {
        if (message->body_case == TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_HELLO)
                return on_hello(p, message->hello);
        if (!p->associate)
                return agent_peer_drop(p, "a message before hello");
        switch (message->body_case) {
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_MODULE_FILES:
                return on_module_files(p, message->module_files);
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_DEFINITIONS:
                if (!p->socket_way || p->handler->definitions(p->associate, message->definitions) < 0)
                        agent_peer_drop(p, "bad definitions");
                return;
        case TRACEMALLOCD__AGENT__AGENT_MESSAGE__BODY_EVENTS:
                if (!p->socket_way || p->handler->events(p->associate, message->events) < 0)
                        agent_peer_drop(p, "a bad event batch");
                return;
        default:
                return agent_peer_drop(p, "a message of no known kind");
        }
}

static void consume_messages(struct agent_peer *p) {
        const uint8_t *payload;
        size_t length;
        while (!p->closing) {
                if (frame_buffer_next(&p->in, &payload, &length) != 0)
                        return agent_peer_drop(p, "a message of more than 1 MiB");
                if (!payload)
                        return;
                Tracemallocd__Agent__AgentMessage *message =
                        tracemallocd__agent__agent_message__unpack(NULL, length, payload);
                if (!message)
                        return agent_peer_drop(p, "a message that is no protobuf of ours");
                on_message(p, message);
                tracemallocd__agent__agent_message__free_unpacked(message, NULL);
        }
}

/* Return: 0; -EPROTO: more descriptors than any message takes. */
static int keep_fds(struct agent_peer *p, struct msghdr *msg) {
        int r = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                        if (p->n_fds < FDS_MAX) {
                                p->fds[p->n_fds++] = fd;
                        } else {
                                close(fd);
                                r = -EPROTO;
                        }
                }
        }
        return r;
}

/* Return: bytes read, 0 at the end or when the peer was dropped, -EAGAIN when there is nothing. */
static ssize_t read_some(struct agent_peer *p) {
        struct iovec iov;
        uint8_t *space;
        if (frame_buffer_space(&p->in, &space, &iov.iov_len) < 0) {
                agent_peer_drop(p, "no memory");
                return 0;
        }
        iov.iov_base = space;
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(p->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return -EAGAIN;
        int r = n >= 0 ? keep_fds(p, &msg) : 0;
        if (n <= 0 || r < 0) {
                agent_peer_drop(p, r < 0 ? "too many descriptors" : NULL);
                return 0;
        }
        frame_buffer_commit(&p->in, (size_t)n);
        return n;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
        struct agent_peer *p = poll->data;
        if (status < 0) { /* it died with our replies unread; what it had sent is still here */
                agent_peer_drain(p);
                return agent_peer_drop(p, NULL);
        }
        for (int i = 0; i < READS_PER_WAKE && !p->closing; i++) {
                if (read_some(p) <= 0)
                        return;
                consume_messages(p);
        }
}

void agent_peer_drain(struct agent_peer *p) {
        for (int i = 0; i < READS_AT_END && !p->closing && read_some(p) > 0; i++)
                consume_messages(p);
}

static void on_hello_timeout(uv_timer_t *timer) {
        agent_peer_drop(timer->data, "no hello in time");
}

int agent_peer_open(uv_loop_t *loop, int fd, const struct credentials *who, struct agent_handler *handler,
                    struct agent_peer **peerp) {
        struct agent_peer *p = calloc(1, sizeof *p);
        if (!p) {
                close(fd);
                handler->freed(handler->user, who);
                return -ENOMEM;
        }
        p->fd = fd;
        p->who = *who;
        p->handler = handler;
        frame_buffer_init(&p->in, FRAME_MAX_AGENT);
        int r = uv_poll_init(loop, &p->poll, fd);
        if (r < 0) {
                close(fd);
                handler->freed(handler->user, who);
                free(p);
                return r;
        }
        uv_timer_init(loop, &p->hello_timer);
        p->poll.data = p->hello_timer.data = p;
        p->handles = 2;
        link_peer(p);
        uv_poll_start(&p->poll, UV_READABLE, on_poll);
        uv_timer_start(&p->hello_timer, on_hello_timeout, HELLO_TIMEOUT_MS, 0);
        *peerp = p;
        return 0;
}
