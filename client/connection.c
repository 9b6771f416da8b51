/* SPDX-License-Identifier: Apache-2.0 */

/* The client's end of control.sock. */

#include "client/connection.h"

#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/progress.h"
#include "client/version.h"
#include "daemon/base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define MESSAGE_MAX      (16u << 20) /* proto/control.proto */
#define GREETING_SECONDS 10          /* a stopped daemon accepts, in its backlog, and never answers */

static int write_all(int fd, const void *bytes, size_t length) {
        const uint8_t *at = bytes;
        while (length > 0) {
                ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                at += n;
                length -= (size_t)n;
        }
        return 0;
}

static int read_all(int fd, void *bytes, size_t length) {
        uint8_t *at = bytes;
        while (length > 0) {
                ssize_t n = recv(fd, at, length, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EPIPE;
                at += n;
                length -= (size_t)n;
        }
        return 0;
}

static int send_message(struct connection *c, const ProtobufCMessage *message) {
        size_t length = protobuf_c_message_get_packed_size(message);
        if (length > MESSAGE_MAX)
                return -EMSGSIZE;
        AUTO_FREE uint8_t *frame = memory_grow(NULL, length + 4, 1);
        uint32_t header = htole32((uint32_t)length);
        memcpy(frame, &header, 4);
        protobuf_c_message_pack(message, frame + 4);
        return write_all(c->fd, frame, length + 4);
}

static int receive_message(struct connection *c, const ProtobufCMessageDescriptor *type, ProtobufCMessage **messagep) {
        uint32_t header;
        int r = read_all(c->fd, &header, 4);
        if (r < 0)
                return r;
        size_t length = le32toh(header);
        if (length > MESSAGE_MAX)
                return -EPROTO;
        if (length > c->buffer_size) {
                c->buffer = memory_grow(c->buffer, length, 1);
                c->buffer_size = length;
        }
        r = read_all(c->fd, c->buffer, length);
        if (r < 0)
                return r;
        arena_reset(&c->arena);
        *messagep = protobuf_c_message_unpack(type, &c->arena.allocator, length, c->buffer);
        return *messagep ? 0 : -EPROTO;
}

static void set_timeout(int fd, int seconds) {
        struct timeval timeout = {.tv_sec = seconds};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

static int connect_socket(struct connection *c, char reason[CONNECTION_REASON_MAX]) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", c->runtime_dir);
        if ((size_t)n >= sizeof address.sun_path) {
                snprintf(
                        reason, CONNECTION_REASON_MAX,
                        "no daemon to reach: %d bytes of socket path are more than the %zu that a socket may have (%s)",
                        n, sizeof address.sun_path - 1, c->runtime_dir);
                return CONNECTION_E_UNUSABLE;
        }
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd >= 0)
                set_timeout(c->fd, GREETING_SECONDS);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
                int error = errno;
                if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
                        snprintf(reason, CONNECTION_REASON_MAX, "no daemon answers at %s", address.sun_path);
                        return CONNECTION_E_ABSENT;
                }
                snprintf(reason, CONNECTION_REASON_MAX, "cannot connect to %s: %s", address.sun_path, strerror(error));
                return error == EACCES || error == EPERM ? CONNECTION_E_DENIED : CONNECTION_E_UNUSABLE;
        }
        return 0;
}

static int greet(struct connection *c, char reason[CONNECTION_REASON_MAX]) {
        Tracemallocd__Control__Hello hello = TRACEMALLOCD__CONTROL__HELLO__INIT;
        hello.major = TRACEMALLOCD__CONTROL__VERSION__VERSION_MAJOR;
        hello.client = (char *)"tmctl " TMCTL_VERSION;
        ProtobufCMessage *message = NULL;
        int r = send_message(c, &hello.base);
        if (r == 0)
                r = receive_message(c, &tracemallocd__control__hello_reply__descriptor, &message);
        if (r < 0) {
                const char *why = r == -EAGAIN   ? "no answer in 10 seconds"
                                  : r == -EPIPE  ? "it closed the connection"
                                  : r == -EPROTO ? "it does not speak this protocol"
                                                 : strerror(-r);
                snprintf(reason, CONNECTION_REASON_MAX, "the daemon at %s cannot be used: %s", c->runtime_dir, why);
                return CONNECTION_E_UNUSABLE;
        }
        Tracemallocd__Control__HelloReply *reply = (Tracemallocd__Control__HelloReply *)message;
        if (reply->refusal[0] || reply->major != TRACEMALLOCD__CONTROL__VERSION__VERSION_MAJOR) {
                snprintf(reason, CONNECTION_REASON_MAX, "the daemon at %s refuses: %s", c->runtime_dir,
                         reply->refusal[0] ? reply->refusal : "it speaks another version of the protocol");
                r = CONNECTION_E_UNUSABLE;
        } else {
                c->agent_path = memory_copy(reply->agent_path, strlen(reply->agent_path));
                c->system = reply->system;
                c->daemon_pid = reply->pid;
                set_timeout(c->fd, 0);
        }
        return r;
}

int connection_open(const char *runtime_dir, struct connection **connectionp, char reason[CONNECTION_REASON_MAX]) {
        AUTO_CONNECTION struct connection *c = memory_zalloc(sizeof *c);
        c->fd = -1;
        arena_init(&c->arena);
        c->runtime_dir = memory_copy(runtime_dir, strlen(runtime_dir));
        int r = connect_socket(c, reason);
        if (r == 0)
                r = greet(c, reason);
        if (r != 0)
                return r;
        *connectionp = c;
        c = NULL;
        return 0;
}

struct connection *connection_close(struct connection *c) {
        if (c) {
                cleanup_close(&c->fd);
                free(c->runtime_dir);
                free(c->agent_path);
                free(c->buffer);
                arena_deinit(&c->arena);
                free(c);
        }
        return NULL;
}

int connection_send(struct connection *c, const Tracemallocd__Control__Request *request) {
        return send_message(c, &request->base);
}

int connection_receive(struct connection *c, Tracemallocd__Control__Reply **replyp) {
        ProtobufCMessage *message = NULL;
        int r = receive_message(c, &tracemallocd__control__reply__descriptor, &message);
        *replyp = (Tracemallocd__Control__Reply *)message;
        return r;
}

static int exit_code_of(const Tracemallocd__Control__Error *error) {
        switch (error->code) {
        case TRACEMALLOCD__CONTROL__ERROR__CODE__USAGE:
                return EXIT_CODE_USAGE;
        case TRACEMALLOCD__CONTROL__ERROR__CODE__NOT_FOUND:
                return EXIT_CODE_NOT_FOUND;
        case TRACEMALLOCD__CONTROL__ERROR__CODE__DENIED:
                return EXIT_CODE_DENIED;
        default:
                return EXIT_CODE_FAILED;
        }
}

static int connection_lost(int error) {
        if (error == -EPROTO || error == -EMSGSIZE) {
                message_error("%s", error == -EPROTO ? "the daemon sent an answer that is none; is it another version?"
                                                     : "the request is too long");
                return EXIT_CODE_FAILED;
        }
        message_error("the daemon went away before it answered; its log says why");
        return EXIT_CODE_NO_DAEMON;
}

/* Return: -1 for more to come, else the exit code. */
static int take_reply(const struct connection *c, const Tracemallocd__Control__Reply *reply, struct progress *progress,
                      connection_handler *handler, void *context) {
        switch (reply->body_case) {
        case TRACEMALLOCD__CONTROL__REPLY__BODY_PROGRESS:
                progress_show(progress, reply->progress->what, reply->progress->done, reply->progress->total);
                return -1;
        case TRACEMALLOCD__CONTROL__REPLY__BODY_ERROR:
                progress_clear(progress);
                message_error("%s%s%s", c->subject ? c->subject : "", c->subject ? ": " : "", reply->error->message);
                return exit_code_of(reply->error);
        case TRACEMALLOCD__CONTROL__REPLY__BODY_DONE:
                progress_clear(progress);
                return EXIT_CODE_DONE;
        case TRACEMALLOCD__CONTROL__REPLY__BODY__NOT_SET:
                return -1; /* of a newer minor version */
        default:
                break;
        }
        progress_clear(progress);
        int code = handler ? handler(context, reply) : EXIT_CODE_DONE;
        return code == EXIT_CODE_DONE ? -1 : code;
}

int connection_call(struct connection *c, const Tracemallocd__Control__Request *request, connection_handler *handler,
                    void *context) {
        struct progress progress;
        progress_init(&progress);
        int r = connection_send(c, request);
        int code = -1;
        while (r == 0 && code < 0) {
                Tracemallocd__Control__Reply *reply;
                r = connection_receive(c, &reply);
                if (r == 0)
                        code = take_reply(c, reply, &progress, handler, context);
        }
        progress_clear(&progress);
        return r < 0 ? connection_lost(r) : code;
}
