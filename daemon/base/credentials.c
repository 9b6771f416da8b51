/* SPDX-License-Identifier: Apache-2.0 */

/* Credentials of a connected peer. Main loop, once for each connection. */

#include "daemon/base/credentials.h"

#include "daemon/base/cleanup.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* Linux 4.13 */
#endif

static bool has_group(int fd, gid_t wanted) {
        socklen_t length = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 || errno != ERANGE)
                return false;
        AUTO_FREE gid_t *groups = malloc(length);
        if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
                return false;
        for (size_t i = 0; i < length / sizeof *groups; i++) {
                if (groups[i] == wanted)
                        return true;
        }
        return false;
}

/* Looked up once: nss may read files, and the group doesn't come and go. */
static bool privileged_group(gid_t *gidp) {
        static enum { UNKNOWN, NONE, FOUND } state;
        static gid_t gid;
        if (state == UNKNOWN) {
                const struct group *group = getgrnam("tracemallocd");
                state = group ? FOUND : NONE;
                gid = group ? group->gr_gid : 0;
        }
        *gidp = gid;
        return state == FOUND;
}

int credentials_of_socket(int fd, struct credentials *c) {
        struct ucred peer;
        socklen_t length = sizeof peer;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
                return -errno;
        gid_t group;
        *c = (struct credentials){.pid = peer.pid, .uid = peer.uid};
        c->sees_all = peer.uid == 0 || (privileged_group(&group) && (peer.gid == group || has_group(fd, group)));
        return 0;
}
