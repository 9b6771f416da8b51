/* SPDX-License-Identifier: Apache-2.0 */

/* Sending and receiving of frames; runs in the thread that greets the daemon or that drains the socket way. */

#include "agent/wire.h"

#include "agent/agent.h"
#include "agent/sys.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

/* Looks at @fd even after the deadline: a process that was stopped past it may have its answer.
 * Return: 0 when @fd is ready; -ETIMEDOUT; -errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns) {
        for (;;) {
                struct pollfd poll = {.fd = fd, .events = events};
                uint64_t now = sys_clock_ns(false);
                bool late = now >= deadline_ns;
                int r = sys_poll(&poll, 1, late ? 0 : (int)((deadline_ns - now) / 1000000 + 1));
                if (r > 0)
                        return 0;
                if (r < 0 && r != -EINTR)
                        return r;
                if (late)
                        return -ETIMEDOUT;
        }
}

int wire_connect(const char *path, uint64_t deadline_ns) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t length = strlen(path);
        int r;
        if (length > AGENT_SOCKET_PATH_MAX)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, length + 1);
        int fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return fd;
        for (;;) {
                struct timespec pause = {.tv_nsec = 1000000};
                r = sys_connect(fd, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1));
                /* EAGAIN: the backlog is full, and poll does not tell when it no longer is */
                if ((r != -EAGAIN && r != -EINTR) || sys_clock_ns(false) >= deadline_ns)
                        break;
                sys_call(SYS_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
        }
        if (r < 0) {
                sys_close(fd);
                return r;
        }
        return fd;
}

int wire_send_all(int fd, const void *bytes, size_t length, const int *fds, unsigned n_fds, uint64_t deadline_ns) {
        const char *next = bytes;
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
        } control;

        while (length > 0) {
                struct iovec part = {.iov_base = (void *)next, .iov_len = length};
                struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
                if (n_fds > 0) {
                        memset(&control, 0, sizeof control);
                        message.msg_control = &control;
                        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                        control.header = (struct cmsghdr){
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                        };
                        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
                }
                long sent = sys_sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent == -EAGAIN) {
                        int r = wait_for(fd, POLLOUT, deadline_ns);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (sent == -EINTR)
                        continue;
                if (sent <= 0)
                        return sent < 0 ? (int)sent : -EPIPE;
                next += sent;
                length -= (size_t)sent;
                n_fds = 0;
        }
        return 0;
}

int wire_send(int fd, const Tracemallocd__Agent__AgentMessage *message, uint8_t *buffer, size_t size, const int *fds,
              unsigned n_fds, uint64_t deadline_ns) {
        size_t length = tracemallocd__agent__agent_message__get_packed_size(message);
        uint32_t prefix = (uint32_t)length;
        if (length > size - sizeof prefix || length > WIRE_MESSAGE_MAX)
                return -EMSGSIZE;
        memcpy(buffer, &prefix, sizeof prefix);
        tracemallocd__agent__agent_message__pack(message, buffer + sizeof prefix);
        return wire_send_all(fd, buffer, length + sizeof prefix, fds, n_fds, deadline_ns);
}

/* Keeps the first two descriptors that came, closes the others. */
static void take_fds(struct msghdr *message, int fds[2]) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                size_t n = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
                                   ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                                   : 0;
                for (size_t i = 0; i < n; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
                        if (fds[0] < 0)
                                fds[0] = fd;
                        else if (fds[1] < 0)
                                fds[1] = fd;
                        else
                                sys_close(fd);
                }
        }
}

static int receive_all(int fd, uint8_t *bytes, size_t length, int fds[2], uint64_t deadline_ns) {
        while (length > 0) {
                struct iovec part = {.iov_base = bytes, .iov_len = length};
                union {
                        struct cmsghdr header;
                        char space[CMSG_SPACE(4 * sizeof(int))];
                } control;
                struct msghdr message = {
                        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
                long received = sys_recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

                if (received == -EAGAIN) {
                        int r = wait_for(fd, POLLIN, deadline_ns);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (received == -EINTR)
                        continue;
                if (received < 0)
                        return (int)received;
                take_fds(&message, fds);
                if (received == 0)
                        return -ECONNRESET;
                bytes += received;
                length -= (size_t)received;
        }
        return 0;
}

int wire_receive(int fd, uint8_t *buffer, size_t size, size_t *lengthp, int fds[2], uint64_t deadline_ns) {
        uint32_t length;
        fds[0] = fds[1] = -1;
        int r = receive_all(fd, (uint8_t *)&length, sizeof length, fds, deadline_ns);
        if (r == 0 && length > size)
                r = -EMSGSIZE;
        if (r == 0)
                r = receive_all(fd, buffer, length, fds, deadline_ns);
        if (r == 0) {
                *lengthp = length;
                return 0;
        }
        for (int i = 0; i < 2; i++)
                if (fds[i] >= 0)
                        sys_close(fds[i]);
        fds[0] = fds[1] = -1;
        return r;
}

static void *arena_allocate(void *data, size_t size) {
        struct wire_arena *arena = data;
        uint8_t *memory = arena->memory + arena->used;
        size = (size + 15) & ~(size_t)15;
        if (size > arena->size - arena->used)
                return NULL;
        arena->used += size;
        return memory;
}

static void arena_free(void *data, void *memory) {
}

void wire_arena_init(struct wire_arena *arena, void *memory, size_t size) {
        *arena = (struct wire_arena){
                .allocator = {.alloc = arena_allocate, .free = arena_free, .allocator_data = arena},
                .memory = memory,
                .size = size,
        };
}
