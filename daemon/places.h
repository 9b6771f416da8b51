/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the daemon's sockets, its database and its companions are (tmctl(1), PLACES). */

#include <stdbool.h>

struct places {
        char *runtime_dir;     /* agent.sock, control.sock */
        char *state_dir;       /* snapshots.db */
        char *agent_path;      /* libtracemalloc-agent.so that belongs to this daemon */
        char *symbolizer_path; /* tracemallocd-symbolizer */
        bool system;           /* runtime_dir is the system's */
};

/** places_init() - by option, environment, systemd and user, in this order
 * @runtime_dir, @state_dir: options, NULL where not given
 * Return: 0; -ENOMEM; -ENOENT: neither HOME nor XDG_STATE_HOME tells where state goes. */
int places_init(struct places *p, const char *runtime_dir, const char *state_dir);
void places_deinit(struct places *p);

/** places_lock_runtime() - make the runtime directory and take its lock
 * Return: descriptor that holds the lock; -EWOULDBLOCK: another daemon has it; other -errno. */
int places_lock_runtime(const struct places *p);
