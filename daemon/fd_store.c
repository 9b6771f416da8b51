/* SPDX-License-Identifier: Apache-2.0 */

/* systemd's store of file descriptors. Main loop; called by main.c, process.c and kept_processes.c. */

#include "daemon/fd_store.h"

#include "daemon/base/log.h"

#include <systemd/sd-daemon.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_US (5 * 1000 * 1000) /* a systemd that does not answer in that time: agents wait no longer */

struct fd_store {
        bool keeps;
        char **names; /* [n]; NULL: taken */
        size_t n;
};

int fd_store_new(bool keep, struct fd_store **storep) {
        struct fd_store *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->keeps = keep && getenv("NOTIFY_SOCKET");
        int n = sd_listen_fds_with_names(1, &s->names);
        if (n < 0) {
                free(s);
                return n;
        }
        s->n = (size_t)n;
        *storep = s;
        return 0;
}

struct fd_store *fd_store_free(struct fd_store *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++) {
                if (s->names[i])
                        close(SD_LISTEN_FDS_START + (int)i);
                free(s->names[i]);
        }
        free(s->names);
        free(s);
        return NULL;
}

bool fd_store_keeps(const struct fd_store *s) {
        return s->keeps;
}

int fd_store_take(struct fd_store *s, const char *name) {
        for (size_t i = 0; i < s->n; i++) {
                if (!s->names[i] || strcmp(s->names[i], name) != 0)
                        continue;
                free(s->names[i]);
                s->names[i] = NULL;
                return SD_LISTEN_FDS_START + (int)i;
        }
        return -1;
}

const char *fd_store_next(const struct fd_store *s, size_t *i) {
        while (*i < s->n) {
                const char *name = s->names[(*i)++];
                if (name)
                        return name;
        }
        return NULL;
}

void fd_store_put(struct fd_store *s, const char *name, int fd) {
        char message[320];
        if (!s->keeps)
                return;
        snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s", name);
        int r = sd_pid_notify_with_fds(0, 0, message, &fd, 1);
        if (r < 0)
                log_warning("cannot put %s into systemd's store of descriptors: %s", name, strerror(-r));
}

void fd_store_remove(struct fd_store *s, const char *name) {
        if (s->keeps)
                sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void fd_store_settle(struct fd_store *s) {
        int r = s->keeps ? sd_notify_barrier(0, SETTLE_US) : 0;
        if (r < 0)
                log_warning("systemd does not say that it has stored the descriptors: %s", strerror(-r));
}
