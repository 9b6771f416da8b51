/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who a peer is, as the kernel says (unix(7): SO_PEERCRED, SO_PEERGROUPS). Never from a message. */

#include <stdbool.h>
#include <sys/types.h>

struct credentials {
        pid_t pid; /* 0: in a pid namespace that this daemon can't see */
        uid_t uid;
        bool sees_all; /* root, or a member of the group tracemallocd */
};

/** credentials_of_socket() - @fd: a connected Unix socket. Return: 0; -errno. */
int credentials_of_socket(int fd, struct credentials *c);

/** credentials_may() - whether @c may see and control what belongs to @uid */
static inline bool credentials_may(const struct credentials *c, uid_t uid) {
        return c->sees_all || c->uid == uid;
}
