/* SPDX-License-Identifier: Apache-2.0 */

/* Choosing processes for a request, and what is said of those that are gone. Main loop, and a pool thread for the
 * lookup. */

#include "daemon/control/pool_job.h"
#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/daemon.h"
#include "daemon/process.h"

#include <uv.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define STORING_MS_MAX  10000 /* a last snapshot of gigabytes takes a while */
#define STORING_MS_POLL 20

/* Looks the dead up in the store, once what they left has arrived there. */
struct obituary {
        struct pool_job job;
        uv_timer_t timer;
        unsigned waited_ms;
        Tracemallocd__Control__ProcessSelector *selector; /* a copy of its own */
        int64_t snapshot;
        bool alive; /* there is a process of that pid */
        char message[256];
};

static int keep_newest(void *data, const struct snapshot_info *info) {
        struct obituary *o = data;
        if (info->id > o->snapshot)
                o->snapshot = info->id;
        return 0;
}

static int find_newest(struct obituary *o, struct store_reader *reader) {
        char **names = selector_texts(o->selector->names, o->selector->n_names);
        char **units = selector_texts(o->selector->units, o->selector->n_units);
        struct store_filter filter = {.all_users = o->job.who.sees_all,
                                      .uid = o->job.who.uid,
                                      .kind = SNAPSHOT_EXIT,
                                      .pids = o->selector->pids,
                                      .n_pids = o->selector->n_pids,
                                      .names = (const char *const *)names,
                                      .n_names = o->selector->n_names,
                                      .units = (const char *const *)units,
                                      .n_units = o->selector->n_units};
        int r = names && units ? store_reader_list(reader, &filter, keep_newest, o) : -ENOMEM;
        selector_texts_free(names);
        selector_texts_free(units);
        return r;
}

static void look_up(struct pool_job *job) {
        struct obituary *o = (struct obituary *)job;
        struct store_reader *reader = pool_job_reader(job);
        if (!reader)
                return;
        if (find_newest(o, reader) != 0 || o->snapshot == 0)
                pool_job_fail(job, CONTROL_NOT_FOUND, "%s", o->message);
        else if (o->selector->n_pids == 1)
                pool_job_fail(job, CONTROL_NOT_FOUND,
                              "process %u %s; it left exit snapshot %" PRId64 ": 'tmctl stats %" PRId64 "'",
                              o->selector->pids[0], o->alive ? "is not traced any more" : "has ended", o->snapshot,
                              o->snapshot);
        else
                pool_job_fail(job, CONTROL_NOT_FOUND,
                              "no traced process fits; the last that did has ended and left exit snapshot %" PRId64
                              ": 'tmctl stats %" PRId64 "'",
                              o->snapshot, o->snapshot);
}

static void free_obituary(struct pool_job *job) {
        struct obituary *o = (struct obituary *)job;
        tracemallocd__control__process_selector__free_unpacked(o->selector, NULL);
        free(o);
}

static bool is_being_stored(const struct obituary *o) {
        for (const struct process *p = o->job.daemon->processes; p; p = p->next) {
                if (p->state == PROCESS_ENDING && selector_matches(o->selector, p))
                        return true;
        }
        return false;
}

static void on_timer_closed(uv_handle_t *handle) {
        struct obituary *o = handle->data;
        pool_job_start(&o->job);
}

static void on_timer(uv_timer_t *timer) {
        struct obituary *o = timer->data;
        o->waited_ms += STORING_MS_POLL;
        if (o->waited_ms >= STORING_MS_MAX || !is_being_stored(o))
                uv_close((uv_handle_t *)timer, on_timer_closed);
}

static Tracemallocd__Control__ProcessSelector *copy_selector(const Tracemallocd__Control__ProcessSelector *selector) {
        size_t length = tracemallocd__control__process_selector__get_packed_size(selector);
        uint8_t *bytes = malloc(length + 1);
        if (!bytes)
                return NULL;
        tracemallocd__control__process_selector__pack(selector, bytes);
        Tracemallocd__Control__ProcessSelector *copy =
                tracemallocd__control__process_selector__unpack(NULL, length, bytes);
        free(bytes);
        return copy;
}

static void answer_for_dead(const struct request *r, const Tracemallocd__Control__ProcessSelector *selector,
                            const char *message) {
        struct obituary *o = calloc(1, sizeof *o);
        if (o)
                o->selector = copy_selector(selector);
        if (!o || !o->selector) {
                free(o);
                return control_peer_error(r->peer, CONTROL_NOT_FOUND, "%s", message);
        }
        o->job = (struct pool_job){.daemon = r->daemon,
                                   .peer = control_peer_ref(r->peer),
                                   .who = *r->who,
                                   .run = look_up,
                                   .free = free_obituary};
        snprintf(o->message, sizeof o->message, "%s", message);
        o->alive = selector->n_pids == 1 && kill((pid_t)selector->pids[0], 0) == 0;
        uv_timer_init(r->daemon->loop, &o->timer);
        o->timer.data = o;
        uv_timer_start(&o->timer, on_timer, 0, STORING_MS_POLL);
}

void request_unknown_pid(const struct request *r, uint32_t pid, const char *message) {
        Tracemallocd__Control__ProcessSelector selector = TRACEMALLOCD__CONTROL__PROCESS_SELECTOR__INIT;
        selector.pids = &pid;
        selector.n_pids = 1;
        answer_for_dead(r, &selector, message);
}

int request_select(const struct request *r, const Tracemallocd__Control__ProcessSelector *selector, bool everything,
                   struct selection *s) {
        int result = selection_make(r->daemon, r->who, selector, everything, s);
        if (result == -ENOMEM)
                control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        else if (result == SELECTOR_E_NOT_FOUND && s->missing_pid)
                request_unknown_pid(r, s->missing_pid, s->message);
        else if (result == SELECTOR_E_NOT_FOUND && selector)
                answer_for_dead(r, selector, s->message);
        else if (result != 0)
                control_peer_error(r->peer, result, "%s", s->message);
        return result;
}

bool request_label_fits(const struct request *r, const ProtobufCBinaryData *label) {
        if (label->len <= REQUEST_LABEL_MAX)
                return true;
        control_peer_error(r->peer, CONTROL_USAGE, "a label has %d bytes at most", REQUEST_LABEL_MAX);
        return false;
}

/* Packed and unpacked, which is what protobuf-c offers in place of a copy. */
Tracemallocd__Control__Request *request_copy(const Tracemallocd__Control__Request *request) {
        size_t length = tracemallocd__control__request__get_packed_size(request);
        uint8_t *bytes = malloc(length + 1);
        if (!bytes)
                return NULL;
        tracemallocd__control__request__pack(request, bytes);
        Tracemallocd__Control__Request *copy = tracemallocd__control__request__unpack(NULL, length, bytes);
        free(bytes);
        return copy;
}
