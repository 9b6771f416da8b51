/* SPDX-License-Identifier: Apache-2.0 */

/* Forks whose children have not greeted. Main loop; called by daemon/process*.c. */

#include "daemon/process_forks.h"

#include "daemon/base/proc.h"
#include "daemon/daemon.h"
#include "daemon/ingest/feed.h"
#include "daemon/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FORKS_MAX 1024 /* entries waiting for their children; beyond it the oldest table is let go */

static void forget(struct process *p, size_t index) {
        memmove(&p->forks[index], &p->forks[index + 1], (p->n_forks - index - 1) * sizeof *p->forks);
        p->n_forks--;
}

static void drop(struct process *p, size_t index) {
        feed_drop_fork(p->feed, p->forks[index].token);
        forget(p, index);
}

void process_forks_note(struct process *p, uint32_t token, pid_t pid) {
        struct proc_info info;
        if (pid == 0) {
                feed_drop_fork(p->feed, token);
                return;
        }
        if (p->proc.ns_pid != p->proc.pid)
                return; /* a pid of another namespace means nothing here; FEED_FORKS_MAX bounds what stays */
        int r = proc_info_read(pid, &info);
        if (r == -ESRCH)
                feed_drop_fork(p->feed, token); /* a child that is gone has claimed its table or won't */
        if (r < 0)
                return;
        proc_info_deinit(&info);
        if (p->n_forks == FORKS_MAX)
                drop(p, 0);
        struct process_fork *forks = reallocarray(p->forks, p->n_forks + 1, sizeof *forks);
        if (!forks)
                return; /* its child may claim the table all the same; FEED_FORKS_MAX bounds what stays */
        p->forks = forks;
        p->forks[p->n_forks++] = (struct process_fork){token, pid, info.start_ticks};
}

void process_forks_settle(struct daemon *d, pid_t pid, uint32_t claimed_token) {
        for (struct process *p = d->processes; p; p = p->next) {
                for (size_t i = 0; i < p->n_forks; i++) {
                        if (p->forks[i].pid != pid)
                                continue;
                        if (p->forks[i].token == claimed_token)
                                forget(p, i);
                        else
                                drop(p, i);
                        return;
                }
        }
}

void process_forks_sweep(struct process *p) {
        for (size_t i = p->n_forks; i > 0; i--) {
                if (!proc_lives(p->forks[i - 1].pid, p->forks[i - 1].start_ticks))
                        drop(p, i - 1);
        }
}
