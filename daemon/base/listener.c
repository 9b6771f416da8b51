/* SPDX-License-Identifier: Apache-2.0 */

/* Accepting connections. Main loop. */

#include "daemon/base/listener.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_WAKE      64   /* then other peers have their turn */
#define OUT_OF_DESCRIPTORS_MS 100  /* pause, instead of spinning on a socket that stays readable */
#define TOLD_MS               5000 /* between two lines about it */

struct listener {
        uv_poll_t poll;
        uv_timer_t pause;
        int fd;
        unsigned handles;
        uint64_t tell_at_ms; /* not before */
        listener_accept_cb accept_cb;
        void *user;
};

int listener_bind(const char *path, unsigned mode) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;
        if (chmod(path, mode) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return fd_steal(&fd);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer) {
        struct listener *l = timer->data;
        uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

static void pause_accepting(struct listener *l, int error) {
        uint64_t now = uv_now(l->pause.loop);
        if (now >= l->tell_at_ms) {
                log_warning("cannot accept a connection: %s", strerror(error));
                l->tell_at_ms = now + TOLD_MS;
        }
        uv_poll_stop(&l->poll);
        uv_timer_start(&l->pause, on_pause_over, OUT_OF_DESCRIPTORS_MS, 0);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
        struct listener *l = poll->data;
        if (status < 0)
                return;
        for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
                int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0) {
                        l->accept_cb(l->user, fd);
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                        return pause_accepting(l, errno);
                if (errno != ECONNABORTED && errno != EINTR)
                        return;
        }
}

int listener_open(uv_loop_t *loop, int fd, listener_accept_cb accept_cb, void *user, struct listener **listenerp) {
        struct listener *l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        *l = (struct listener){.fd = fd, .accept_cb = accept_cb, .user = user};
        int r = uv_poll_init(loop, &l->poll, fd); /* makes it non-blocking */
        if (r < 0) {
                free(l);
                return r;
        }
        uv_timer_init(loop, &l->pause);
        l->handles = 2;
        l->poll.data = l->pause.data = l;
        uv_poll_start(&l->poll, UV_READABLE, on_poll);
        *listenerp = l;
        return 0;
}

static void on_closed(uv_handle_t *handle) {
        struct listener *l = handle->data;
        if (--l->handles > 0)
                return;
        close(l->fd);
        free(l);
}

void listener_close(struct listener *l) {
        if (!l)
                return;
        uv_close((uv_handle_t *)&l->poll, on_closed);
        uv_close((uv_handle_t *)&l->pause, on_closed);
}
