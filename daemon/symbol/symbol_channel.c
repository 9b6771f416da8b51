/* SPDX-License-Identifier: Apache-2.0 */

/* Messages between tracemallocd (symbolizer.c, pool threads) and its helper (helper/main.c). */

#include "daemon/symbol/symbol_channel.h"

#include "daemon/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 4 /* one belongs to a message; more are closed */

void symbol_channel_init(struct symbol_channel *channel, int fd, bool takes_fds) {
        *channel = (struct symbol_channel){.fd = fd, .takes_fds = takes_fds, .received_fd = -1};
        frame_buffer_init(&channel->in, SYMBOL_CHANNEL_FRAME_MAX);
}

void symbol_channel_deinit(struct symbol_channel *channel) {
        frame_buffer_deinit(&channel->in);
        if (channel->received_fd >= 0)
                close(channel->received_fd);
        channel->received_fd = -1;
}

/* Return: for poll(). */
static int milliseconds_until(int64_t deadline_ns) {
        if (deadline_ns == SYMBOL_CHANNEL_NO_DEADLINE)
                return -1;
        int64_t left_ns = deadline_ns - clock_ns(CLOCK_MONOTONIC);
        if (left_ns <= 0)
                return 0;
        return left_ns > INT64_C(3600000000000) ? 3600000 : (int)((left_ns + 999999) / 1000000);
}

/* Looks at the channel even after the deadline: a daemon that was stopped past it may have its answer. */
static int wait_for(struct symbol_channel *channel, short events, int64_t deadline_ns) {
        struct pollfd poll_fd = {.fd = channel->fd, .events = events};
        for (;;) {
                int timeout_ms = milliseconds_until(deadline_ns);
                int n = poll(&poll_fd, 1, timeout_ms);
                if (n > 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (timeout_ms == 0)
                        return SYMBOL_CHANNEL_E_TIMEOUT;
        }
}

static ssize_t send_some(struct symbol_channel *channel, const uint8_t *bytes, size_t length, int fd) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

        if (fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
                struct cmsghdr *header = CMSG_FIRSTHDR(&message);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(header), &fd, sizeof(int));
        }
        return sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int symbol_channel_send(struct symbol_channel *channel, uint8_t *message, size_t length, int fd, int64_t deadline_ns) {
        size_t whole = FRAME_HEADER_BYTES + length;
        frame_header(message, (uint32_t)length);
        for (size_t sent = 0; sent < whole;) {
                ssize_t n = send_some(channel, message + sent, whole - sent, sent == 0 ? fd : -1);
                if (n >= 0) {
                        sent += (size_t)n;
                        continue;
                }
                if (errno == EPIPE || errno == ECONNRESET)
                        return SYMBOL_CHANNEL_E_END;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                int r = wait_for(channel, POLLOUT, deadline_ns);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Keep the first descriptor, close the rest. */
static void take_fds(struct symbol_channel *channel, struct msghdr *message) {
        for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
                if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(header) + at, sizeof(int));
                        if (channel->received_fd < 0)
                                channel->received_fd = fd;
                        else
                                close(fd);
                }
        }
}

/* Return: 0 and bytes are in the buffer; an outcome; -errno, -EAGAIN among them. */
static int read_some(struct symbol_channel *channel) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec vector;
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
        uint8_t *space;

        int r = frame_buffer_space(&channel->in, &space, &vector.iov_len);
        if (r < 0)
                return r;
        vector.iov_base = space;
        if (channel->takes_fds) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
        }
        ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == ECONNRESET ? SYMBOL_CHANNEL_E_END : -errno;
        if (channel->takes_fds)
                take_fds(channel, &message);
        if (n == 0)
                return SYMBOL_CHANNEL_E_END;
        frame_buffer_commit(&channel->in, (size_t)n);
        return 0;
}

int symbol_channel_receive(struct symbol_channel *channel, const uint8_t **payloadp, size_t *lengthp, int *fdp,
                           int64_t deadline_ns) {
        for (;;) {
                if (frame_buffer_next(&channel->in, payloadp, lengthp) != 0)
                        return SYMBOL_CHANNEL_E_GARBAGE;
                if (*payloadp)
                        break;
                int r = read_some(channel);
                if (r == -EAGAIN || r == -EINTR)
                        r = wait_for(channel, POLLIN, deadline_ns);
                if (r != 0)
                        return r;
        }
        if (fdp) {
                *fdp = channel->received_fd;
                channel->received_fd = -1;
        }
        return 0;
}
