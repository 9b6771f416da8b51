/* SPDX-License-Identifier: Apache-2.0 */

/* The last snapshots of an image that is over, from its feed to the store. Main loop; called by daemon/process.c. */

#include "daemon/last_snapshots.h"

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/exit_status.h"
#include "daemon/ingest/feed.h"
#include "daemon/kept_processes.h"
#include "daemon/late_symbols.h"
#include "daemon/process.h"
#include "daemon/run.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Shells ask for a few kilobytes between fork and exec. */
#define INTERLUDE_ALLOCATED_MAX 65536

/* One of them on its way to the store. */
struct stored {
        struct process *process;
        int64_t *idp;
};

static void on_stored(void *data, const struct store_result *result) {
        struct stored *s = data;
        struct process *p = s->process;
        if (result->code == 0) {
                *s->idp = result->ids[0];
                if (result->unresolved)
                        late_symbols_add(p->daemon->late_symbols, result->ids[0]);
        } else if (result->code == STORE_E_LEAVING && process_outlives_daemon(p)) {
                p->unstored = true;
        } else {
                log_error("last snapshot of process %d (%s) not stored: %s", (int)p->proc.pid, p->name,
                          result->message);
        }
        free(s);
        if (--p->n_stores == 0)
                process_is_stored(p);
}

/* @snapshot: taken, NULL is fine; @again: it may have been stored by the daemon before this one */
static void store_last(struct process *p, struct snapshot *snapshot, bool again, int64_t *idp) {
        if (!snapshot)
                return;
        struct stored *s = malloc(sizeof *s);
        int r = -ENOMEM;
        if (s) {
                *s = (struct stored){.process = p, .idp = idp};
                r = again ? store_put_once(p->daemon->store, snapshot, on_stored, s)
                          : store_put(p->daemon->store, snapshot, 0, on_stored, s);
        }
        if (r < 0) {
                log_error("last snapshot of process %d (%s) not stored: out of memory", (int)p->proc.pid, p->name);
                free(s);
        } else {
                p->n_stores++;
        }
        snapshot_unref(snapshot);
}

static void sum_allocated(struct process *p, const struct snapshot *s) {
        if (!s || !s->info.allocated_known)
                return;
        for (uint32_t i = 0; i < s->n_groups; i++) {
                p->allocated_size += s->groups[i].allocated_size;
                p->allocated_count += s->groups[i].allocated_count;
        }
}

/* How it ended is known only now: the EXIT record is among the last that were read. Nobody shares the snapshot yet. */
static void set_ended_by(struct snapshot *s, const char *ended_by) {
        char *copy = s ? strdup(ended_by) : NULL;
        if (!copy)
                return;
        free(s->info.ended_by);
        s->info.ended_by = copy;
}

/* A daemon that dies before it hears that they are stored leaves to the next one when they were taken: that one takes
 * them again, as of that time, and the store sees whether it has them. Return: whether this is that one. */
static bool date_last(struct process *p, struct snapshot *exit_snapshot, struct snapshot *peak_snapshot) {
        struct snapshot *const taken[] = {exit_snapshot, peak_snapshot};
        bool again = p->last_taken_at_ns != 0;
        for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
                if (!taken[i])
                        continue;
                if (p->last_taken_at_ns == 0)
                        p->last_taken_at_ns = taken[i]->info.taken_at_ns;
                taken[i]->info.taken_at_ns = p->last_taken_at_ns;
        }
        if (!again && p->last_taken_at_ns)
                kept_process_update(p);
        return again;
}

static char *describe_end(const struct process *p) {
        const struct feed_gauges *g = feed_gauges(p->feed);
        if (p->replaced_by)
                return strdup(p->replaced_by);
        if (p->went_untraced)
                return strdup("exec"); /* how that program ended is another matter */
        bool seen = atomic_load_explicit(&g->exit_seen, memory_order_relaxed);
        return exit_status_describe(p->pidfd, p->proc.pid, seen,
                                    (int)atomic_load_explicit(&g->exit_status, memory_order_relaxed));
}

/* It ended before anybody had waited for its successor in vain. Who was killed meanwhile, as by a debugger, may have
 * been about to greet. */
static void note_exec(struct process *p) {
        bool pending = atomic_load_explicit(&feed_gauges(p->feed)->exec_pending, memory_order_relaxed);
        if (!p->replaced_by && pending && !exit_status_is_kill(p->pidfd, p->proc.pid))
                p->went_untraced = true;
}

static bool is_interlude(const struct process *p) {
        int64_t limit_ns = p->daemon->config.exit_min_age_s * INT64_C(1000000000);
        uint64_t inherited = atomic_load_explicit(&feed_gauges(p->feed)->inherited_size, memory_order_relaxed);
        return p->forked && !p->went_untraced && p->replaced_by && strcmp(p->replaced_by, "exec") == 0 &&
               p->lived_ns < limit_ns && p->allocated_size < inherited + INTERLUDE_ALLOCATED_MAX;
}

static void on_finished(void *data, struct snapshot *exit_snapshot, struct snapshot *peak_snapshot, int error) {
        struct process *p = data;
        if (error == -ECANCELED)
                return; /* process_discard() */
        if (error < 0)
                log_error("process %d (%s): its last tables are lost: %s", (int)p->proc.pid, p->name, strerror(-error));
        note_exec(p);
        p->ended_by = describe_end(p);
        set_ended_by(exit_snapshot, p->ended_by ? p->ended_by : "");
        set_ended_by(peak_snapshot, p->ended_by ? p->ended_by : "");
        sum_allocated(p, exit_snapshot);
        p->interlude = is_interlude(p);
        if (p->interlude) {
                exit_snapshot = snapshot_unref(exit_snapshot);
                peak_snapshot = snapshot_unref(peak_snapshot);
        }
        bool again = date_last(p, exit_snapshot, peak_snapshot);
        /* the exit snapshot is the newer one, so that `last` is what was never freed */
        store_last(p, peak_snapshot, again, &p->peak_snapshot);
        store_last(p, exit_snapshot, again, &p->exit_snapshot);
        if (p->n_stores == 0)
                process_is_stored(p);
}

static bool wants_last_snapshots(const struct process *p) {
        if (p->stored)
                return false; /* by the daemon before this one */
        if (p->run)
                return p->run->exit_snapshot;
        return !p->stopped && p->lived_ns >= p->daemon->config.exit_min_age_s * INT64_C(1000000000);
}

void last_snapshots_take(struct process *p) {
        p->lived_ns = proc_age_ns(&p->proc);
        unsigned flags = wants_last_snapshots(p) ? FEED_FINISH_EXIT | FEED_FINISH_PEAK : 0;
        if (feed_finish(p->feed, flags, NULL, on_finished, p) < 0)
                on_finished(p, NULL, NULL, -ENOMEM);
}
