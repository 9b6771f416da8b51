/* SPDX-License-Identifier: Apache-2.0 */

/* Choosing processes for a request, and what is said of those that are gone. Main loop, and a pool thread for the
 * lookup. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/control/pool_job.h"
#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/daemon.h"

/* Looks a dead process up in the store. */
struct obituary {
        struct pool_job job;
        uint32_t pid;
        int64_t snapshot;
        char message[256];
};

static int keep_newest(void *data, const struct snapshot_info *info) {
        struct obituary *o = data;
        o->snapshot = info->id;
        return 0;
}

static void look_up(struct pool_job *job) {
        struct obituary *o = (struct obituary *)job;
        struct store_reader *reader = pool_job_reader(job);
        if (!reader)
                return;
        struct store_filter filter = {.all_users = job->who.sees_all,
                                      .uid = job->who.uid,
                                      .kind = SNAPSHOT_EXIT,
                                      .pids = &o->pid,
                                      .n_pids = 1};
        int r = store_reader_list(reader, &filter, keep_newest, o);
        if (r == 0 && o->snapshot)
                pool_job_fail(job, CONTROL_NOT_FOUND, "process %u has ended; what it left is snapshot %lld", o->pid,
                              (long long)o->snapshot);
        else
                pool_job_fail(job, CONTROL_NOT_FOUND, "%s", o->message);
        store_reader_close(reader);
}

static void free_obituary(struct pool_job *job) {
        free(job);
}

void request_unknown_pid(const struct request *r, uint32_t pid, const char *message) {
        struct obituary *o = calloc(1, sizeof *o);
        if (!o)
                return control_peer_error(r->peer, CONTROL_NOT_FOUND, "%s", message);
        o->job = (struct pool_job){.daemon = r->daemon,
                                   .peer = control_peer_ref(r->peer),
                                   .who = *r->who,
                                   .run = look_up,
                                   .free = free_obituary};
        o->pid = pid;
        snprintf(o->message, sizeof o->message, "%s", message);
        pool_job_start(&o->job);
}

int request_select(const struct request *r, const Tracemallocd__Control__ProcessSelector *selector, bool everything,
                   struct selection *s) {
        int result = selection_make(r->daemon, r->who, selector, everything, s);
        if (result == -ENOMEM)
                control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        else if (result == SELECTOR_E_NOT_FOUND && s->missing_pid)
                request_unknown_pid(r, s->missing_pid, s->message);
        else if (result != 0)
                control_peer_error(r->peer, result, "%s", s->message);
        return result;
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
