/* SPDX-License-Identifier: Apache-2.0 */

/* References to stored snapshots. A thread of the pool. */

#include "daemon/control/resolve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int append(struct pool_job *job, struct id_list *list, int64_t id) {
        if (id_list_add(list, id) == 0)
                return 0;
        pool_job_fail(job, CONTROL_FAILED, "out of memory");
        return -1;
}

static int check_owner(void *data, const struct snapshot_info *info) {
        const struct pool_job *job = data;
        return credentials_may(&job->who, info->uid) ? 0 : -EPERM;
}

static int append_permitted(struct pool_job *job, struct store_reader *reader, struct id_list *list, int64_t id) {
        char what[32];
        int r = store_reader_info(reader, id, check_owner, job);
        snprintf(what, sizeof what, "%" PRId64, id);
        if (r == 0)
                return append(job, list, id);
        if (r == -EPERM)
                pool_job_fail(job, CONTROL_DENIED, "snapshot %s belongs to another user", what);
        else
                pool_job_fail_store(job, r, store_reader_message(reader), what);
        return -1;
}

static int append_set(struct pool_job *job, struct store_reader *reader, struct id_list *list, int64_t set) {
        int64_t *ids;
        size_t n;
        char what[32];
        int r = store_reader_set_members(reader, set, &ids, &n);
        snprintf(what, sizeof what, "s%" PRId64, set);
        if (r != 0) {
                pool_job_fail_store(job, r, store_reader_message(reader), what);
                return -1;
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = append_permitted(job, reader, list, ids[i]);
        free(ids);
        return r;
}

static int note_id(void *data, const struct snapshot_info *info) {
        *(int64_t *)data = info->id;
        return 0;
}

/* Root has just taken a snapshot of another user's service, and wants to see it. */
static void fail_last(struct pool_job *job, struct store_reader *reader, int kind) {
        struct store_filter all = {.all_users = true, .kind = kind};
        int64_t newest = 0;
        if (job->who.sees_all && store_reader_list(reader, &all, note_id, &newest) == 0 && newest > 0)
                pool_job_fail(job, CONTROL_NOT_FOUND,
                              "'last' counts snapshots of your own processes, and there are not that many; the newest "
                              "of all is %" PRId64 ": give its id, 'tmctl list' shows them",
                              newest);
        else
                pool_job_fail(job, CONTROL_NOT_FOUND,
                              "there are not that many snapshots of processes of yours; 'tmctl list' shows the ids of "
                              "all that you may see, 'tmctl snapshot' takes one");
}

static int append_last(struct pool_job *job, struct store_reader *reader, struct id_list *list,
                       const struct reference_item *item) {
        int64_t id;
        int r = store_reader_last(reader, job->who.uid, item->snapshot_kind, (uint64_t)item->number, &id);
        if (r == 0)
                return append(job, list, id);
        if (r == STORE_E_NOT_FOUND)
                fail_last(job, reader, item->snapshot_kind);
        else
                pool_job_fail_store(job, r, store_reader_message(reader), "last");
        return -1;
}

int resolve_item(struct pool_job *job, struct store_reader *reader, const struct reference_item *item,
                 struct id_list *list) {
        switch (item->kind) {
        case REFERENCE_ID:
                return append_permitted(job, reader, list, item->number);
        case REFERENCE_SET:
                return append_set(job, reader, list, item->number);
        case REFERENCE_LAST:
                return append_last(job, reader, list, item);
        case REFERENCE_FILE:
                pool_job_fail(job, CONTROL_USAGE, "a file is no stored snapshot; tmctl import makes one of it");
                return -1;
        default:
                pool_job_fail(job, CONTROL_USAGE,
                              "@%" PRId64 " is a live table, not a stored snapshot; 'tmctl snapshot --pid %" PRId64
                              "' stores one",
                              item->number, item->number);
                return -1;
        }
}

int resolve_text(struct pool_job *job, struct store_reader *reader, const char *text, struct id_list *list) {
        struct reference *reference;
        char *message = NULL;
        int r = reference_parse(text, &reference, &message);
        if (r != 0) {
                pool_job_fail(job, r == QUERY_E_USAGE ? CONTROL_USAGE : CONTROL_FAILED, "%s",
                              message ? message : "out of memory");
                free(message);
                return -1;
        }
        for (size_t i = 0; r == 0 && i < reference->n_items; i++)
                r = resolve_item(job, reader, &reference->items[i], list);
        free(reference);
        return r;
}
