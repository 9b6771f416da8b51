/* SPDX-License-Identifier: Apache-2.0 */

/* Background resolution. The queue is the main loop's; resolve() runs on the pool. */

#include "daemon/late_symbols.h"

#include "daemon/base/log.h"
#include "daemon/daemon.h"
#include "daemon/snapshot_symbols.h"

#include <uv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct late_symbols {
        struct daemon *daemon;
        int64_t *queue;
        size_t n_queue, size;
        uv_work_t work;
        bool busy, ending;
        struct store_reader *reader; /* while there is something to do: opening one costs more than most snapshots */
        void (*done)(void *data);
        void *data;
        /* of the job in progress */
        int64_t id;
        struct snapshot *snapshot;
        struct symbol_set *fresh;
};

int late_symbols_new(struct daemon *d, struct late_symbols **lp) {
        *lp = calloc(1, sizeof **lp);
        if (!*lp)
                return -ENOMEM;
        (*lp)->daemon = d;
        return 0;
}

static void resolve(uv_work_t *work) {
        struct late_symbols *l = work->data;
        char message[STORE_MESSAGE_MAX];
        struct symbol_set *known = NULL;
        if (!l->reader && store_reader_open(store_path(l->daemon->store), &l->reader, message) != 0)
                return;
        /* it may be deleted meanwhile: then there is nothing to do */
        int r = store_reader_load(l->reader, l->id, STORE_LOAD_PLACES, &l->snapshot);
        if (r == 0)
                r = symbol_set_new(&known);
        if (r == 0)
                snapshot_symbols(l->reader, l->daemon->symbolizer, l->snapshot, known, &l->fresh);
        symbol_set_free(known);
}

static void next(struct late_symbols *l);

static void on_resolved(uv_work_t *work, int status) {
        struct late_symbols *l = work->data;
        if (l->fresh && store_put_symbols(l->daemon->store, l->snapshot->info.uid, l->fresh, NULL, NULL) < 0)
                log_warning("symbols of snapshot %lld are resolved again when they are asked for: out of memory",
                            (long long)l->id);
        l->fresh = NULL;
        l->snapshot = snapshot_unref(l->snapshot);
        l->busy = false;
        next(l);
}

static void next(struct late_symbols *l) {
        if (l->busy)
                return;
        if (l->ending || l->n_queue == 0)
                l->reader = store_reader_close(l->reader);
        if (l->ending) {
                if (l->done)
                        l->done(l->data);
                free(l->queue);
                free(l);
                return;
        }
        if (l->n_queue == 0)
                return;
        l->busy = true;
        l->id = l->queue[0];
        memmove(l->queue, l->queue + 1, --l->n_queue * sizeof *l->queue);
        l->work.data = l;
        uv_queue_work(l->daemon->loop, &l->work, resolve, on_resolved);
}

void late_symbols_add(struct late_symbols *l, int64_t snapshot) {
        if (l->n_queue == l->size) {
                size_t size = l->size ? l->size * 2 : 16;
                int64_t *queue = reallocarray(l->queue, size, sizeof *queue);
                if (!queue)
                        return;
                l->queue = queue;
                l->size = size;
        }
        l->queue[l->n_queue++] = snapshot;
        next(l);
}

void late_symbols_free(struct late_symbols *l, void (*done)(void *data), void *data) {
        l->ending = true;
        l->done = done;
        l->data = data;
        next(l);
}
