/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection of agent.sock, from its bytes to the handlers: framing, messages,
 * descriptors, order.
 *
 * Input: pieces, each a byte of how and two bytes of length (little-endian), then that many bytes. Bits of
 * how: 1 put a frame header in front; 2 and 4 that many descriptors go along; 8 the socket is read afterwards.
 */

#include "daemon/base/frame.h"
#include "daemon/ingest/agent_peer.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        unsigned n_hellos, n_closed, n_freed;
};

static void on_hello(void *user, const struct credentials *who, const Tracemallocd__Agent__Hello *hello, int fds[2],
                     struct agent_peer *peer, struct agent_welcome *welcome, void **associatep) {
        struct seen *seen = user;
        assert(seen->n_hellos++ == 0);
        assert(hello->transport != TRACEMALLOCD__AGENT__HELLO__TRANSPORT__RING ||
               hello->kind == TRACEMALLOCD__AGENT__HELLO__KIND__MODULES || (fds[0] >= 0 && fds[1] >= 0));
        if (hello->major == 1 && hello->mode < 2)
                *associatep = seen;
        else
                welcome->status = TRACEMALLOCD__AGENT__HELLO_REPLY__STATUS__REFUSED;
}

static int on_files(void *associate, const Tracemallocd__Agent__ModuleFiles *files, int *fds) {
        for (size_t i = 0; i < files->n_modules; i++)
                assert(fcntl(fds[i], F_GETFD) >= 0);
        return files->n_modules < 100 ? 0 : -1;
}

static int on_definitions(void *associate, const Tracemallocd__Agent__Definitions *m) {
        return m->nodes.len % 16 || m->items.len % 8 ? -1 : 0;
}

static int on_events(void *associate, const Tracemallocd__Agent__EventBatch *m) {
        return m->records.len % 8 ? -1 : 0;
}

static void on_closed(void *associate) {
        ((struct seen *)associate)->n_closed++;
}

static void on_freed(void *user, const struct credentials *who) {
        ((struct seen *)user)->n_freed++;
}

static void put(int fd, const uint8_t *bytes, size_t length, unsigned n_fds) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(3 * sizeof(int))];
        } control = {0};
        struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        int fds[3];
        for (unsigned i = 0; i < n_fds; i++)
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
                        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_fds * sizeof(int))};
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, n_fds * sizeof(int));
        }
        (void)!sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (unsigned i = 0; i < n_fds; i++)
                close(fds[i]);
}

static void send_piece(int fd, unsigned how, const uint8_t *bytes, size_t length) {
        uint8_t *whole = malloc(FRAME_HEADER_BYTES + length);
        size_t header = how & 1 ? FRAME_HEADER_BYTES : 0;
        assert(whole);
        if (header)
                frame_header(whole, (uint32_t)length);
        memcpy(whole + header, bytes, length);
        if (header + length > 0)
                put(fd, whole, header + length, how >> 1 & 3);
        free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct seen seen = {0};
        struct drops drops = {0};
        struct agent_handler handler = {.user = &seen,
                                        .drops = &drops,
                                        .hello = on_hello,
                                        .module_files = on_files,
                                        .definitions = on_definitions,
                                        .events = on_events,
                                        .closed = on_closed,
                                        .freed = on_freed};
        struct credentials who = {.pid = getpid(), .uid = getuid()};
        struct agent_peer *peer;
        uv_loop_t loop;
        int sockets[2], before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;
        assert(before >= 0 && close(before) == 0);
        assert(uv_loop_init(&loop) == 0);
        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
        assert(agent_peer_open(&loop, sockets[1], &who, &handler, &peer) == 0);
        while (size >= 3) {
                size_t length = (size_t)(data[1] | data[2] << 8);
                length = length < size - 3 ? length : size - 3;
                send_piece(sockets[0], data[0], data + 3, length);
                if (data[0] & 8)
                        uv_run(&loop, UV_RUN_NOWAIT);
                data += 3 + length;
                size -= 3 + length;
        }
        uv_run(&loop, UV_RUN_NOWAIT);
        close(sockets[0]);
        agent_peer_drop_all(&handler);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert(uv_loop_close(&loop) == 0);
        assert(seen.n_freed == 1 && seen.n_closed <= 1);
        /* no descriptor stayed */
        after = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert(after == before);
        close(after);
        return 0;
}
