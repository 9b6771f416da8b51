/* SPDX-License-Identifier: Apache-2.0 */

/* Files of a connection. Main loop. */

#include "daemon/control/uploads.h"

#include "daemon/control/control_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int uploads_new(struct control_server *server, uid_t uid, struct uploads **up) {
        int r = control_server_charge_uploads(server, uid);
        if (r != 0)
                return r < 0 ? r : UPLOADS_E_QUOTA;
        struct uploads *u = calloc(1, sizeof *u);
        if (!u) {
                control_server_release_uploads(server, uid);
                return -ENOMEM;
        }
        u->server = server;
        u->uid = uid;
        *up = u;
        return 0;
}

void uploads_free(struct control_attachment *attached) {
        struct uploads *u = (struct uploads *)attached;
        uploads_end(u);
        for (size_t i = 0; i < u->n_snapshots; i++)
                snapshot_unref(u->snapshots[i]);
        control_server_release_uploads(u->server, u->uid);
        free(u);
}

int uploads_begin(struct uploads *u) {
        uploads_end(u);
        if (u->n_snapshots == UPLOADS_MAX)
                return UPLOADS_E_TOO_MANY;
        return pickle_reader_new(UPLOADS_MEMORY_MAX, &u->reader);
}

int uploads_charge(struct uploads *u, size_t n) {
        if (!u->reader)
                return UPLOADS_E_NO_FILE;
        u->bytes += n;
        if (u->bytes <= UPLOADS_BYTES_MAX)
                return 0;
        uploads_end(u);
        return UPLOADS_E_TOO_LONG;
}

void uploads_end(struct uploads *u) {
        u->reader = pickle_reader_free(u->reader);
        u->bytes = u->bytes_before;
}

size_t uploads_add(struct uploads *u, struct snapshot *snapshot) {
        assert(u->n_snapshots < UPLOADS_MAX);
        u->snapshots[u->n_snapshots++] = snapshot;
        u->bytes_before = u->bytes;
        uploads_end(u);
        return u->n_snapshots;
}

struct snapshot *uploads_find(const struct uploads *u, int64_t number) {
        return number >= 1 && (uint64_t)number <= u->n_snapshots ? u->snapshots[number - 1] : NULL;
}
