/* SPDX-License-Identifier: Apache-2.0 */

/* That an exec has happened is seen by the ring: its mapping went with the old program. Main loop. */

#include "daemon/exec_watch.h"

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/ingest/feed.h"
#include "daemon/process.h"

#include <uv.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>

/* How long a successor may take to greet before its predecessor is ended; most take a few milliseconds. One that takes
 * longer loses nothing. */
#define GRACE_MS     200
#define INTERVAL_MAX 5000 /* beyond it the sweep looks */

/* An image that was ended, of a process that lives. */
struct departed {
        struct departed *next;
        pid_t pid;
        uint64_t start_ticks;
        uint32_t image;
};

struct exec_watch {
        struct daemon *daemon;
        uv_timer_t timer;
        uint64_t interval_ms;
        struct departed *departed;
};

static void remember(struct exec_watch *w, const struct process *p) {
        struct departed *entry = malloc(sizeof *entry);
        if (!entry)
                return; /* its next image is counted as the first */
        *entry = (struct departed){w->departed, p->proc.pid, p->proc.start_ticks, p->image};
        w->departed = entry;
}

static void forget(struct departed **link) {
        struct departed *entry = *link;
        *link = entry->next;
        free(entry);
}

uint32_t exec_watch_take(struct exec_watch *w, const struct proc_info *proc) {
        for (struct departed **link = &w->departed; *link; link = &(*link)->next) {
                if ((*link)->pid != proc->pid || (*link)->start_ticks != proc->start_ticks)
                        continue;
                uint32_t image = (*link)->image;
                forget(link);
                return image;
        }
        return 0;
}

static void depart(struct exec_watch *w, struct process *p) {
        char comm[PROC_COMM_BYTES];
        process_notice_end(p);
        if (p->state != PROCESS_ALIVE)
                return;
        proc_read_comm(p->proc.pid, comm);
        log_info("process %d (%s), image %u: after an exec it is %s, which is not traced", (int)p->proc.pid, p->name,
                 p->image, comm);
        remember(w, p);
        p->went_untraced = true;
        process_end(p, "exec");
}

/* Return: whether an exec is still under way. */
static bool look(struct exec_watch *w) {
        uint64_t now = uv_now(w->daemon->loop);
        bool pending = false;
        for (struct process *p = w->daemon->processes, *next; p; p = next) {
                next = p->next;
                if (p->n_execs == 0 || p->state != PROCESS_ALIVE)
                        continue;
                if (now - p->exec_at_ms < GRACE_MS || feed_has_writer(p->feed))
                        pending = true;
                else
                        depart(w, p);
        }
        return pending;
}

static void on_timer(uv_timer_t *timer) {
        struct exec_watch *w = timer->data;
        w->interval_ms *= 2;
        if (look(w) && w->interval_ms < INTERVAL_MAX)
                uv_timer_start(timer, on_timer, w->interval_ms, 0);
}

static void await(struct process *p) {
        struct exec_watch *w = p->daemon->exec_watch;
        p->exec_at_ms = uv_now(p->daemon->loop);
        if (!w || p->state != PROCESS_ALIVE)
                return;
        w->interval_ms = GRACE_MS;
        if (!uv_is_active((uv_handle_t *)&w->timer))
                uv_timer_start(&w->timer, on_timer, GRACE_MS, 0);
}

void exec_watch_begin(struct process *p) {
        p->n_execs++;
        await(p);
}

void exec_watch_adopt(struct process *p, uint32_t n_execs) {
        p->n_execs = n_execs;
        if (n_execs > 0)
                await(p);
}

/* Threads may exec at the same time, and each that fails says so. */
void exec_watch_back(struct process *p) {
        if (p->n_execs > 0)
                p->n_execs--;
}

void exec_watch_sweep(struct exec_watch *w) {
        look(w);
        for (struct departed **link = &w->departed; *link;) {
                if (proc_lives((*link)->pid, (*link)->start_ticks))
                        link = &(*link)->next;
                else
                        forget(link);
        }
}

int exec_watch_new(struct daemon *daemon, struct exec_watch **watchp) {
        struct exec_watch *w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->daemon = daemon;
        uv_timer_init(daemon->loop, &w->timer);
        w->timer.data = w;
        *watchp = w;
        return 0;
}

static void on_closed(uv_handle_t *timer) {
        free(timer->data);
}

struct exec_watch *exec_watch_free(struct exec_watch *w) {
        while (w->departed)
                forget(&w->departed);
        uv_close((uv_handle_t *)&w->timer, on_closed);
        return NULL;
}
