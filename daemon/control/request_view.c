/* SPDX-License-Identifier: Apache-2.0 */

/*
 * stats, compare, traces, export and block. The main loop takes the references apart and cuts
 * the live tables among them; a pool thread then loads the stored snapshots,
 * finds the symbols, computes and packs the answer.
 */

#include "daemon/base/log.h"
#include "daemon/control/block_reply.h"
#include "daemon/control/export_replies.h"
#include "daemon/control/pool_job.h"
#include "daemon/control/requests.h"
#include "daemon/control/resolve.h"
#include "daemon/control/untraced_pid.h"
#include "daemon/control/uploads.h"
#include "daemon/daemon.h"
#include "daemon/process.h"
#include "daemon/query/query.h"
#include "daemon/query/reference.h"
#include "daemon/snapshot_symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One set for each user whose snapshots are looked at, so that both sides of a comparison see one state of the symbols.
 */
struct user_symbols {
        uint32_t uid;
        struct symbol_set *known;
        struct symbol_set **fresh; /* what the store doesn't have yet */
        size_t n_fresh;
        bool failed; /* there may be more to know */
};

struct live_part {
        struct view_job *view;
        struct snapshot *snapshot; /* of a live table, or a file's; NULL: a pool thread loads it */
};

struct side {
        struct reference *reference;
        struct live_part *live; /* [reference->n_items] */
        struct model_source *sources;
        size_t n_sources;
};

struct view_job {
        struct pool_job job;
        Tracemallocd__Control__Request *request;
        struct side sides[MODEL_SIDES]; /* one, but for compare */
        size_t n_sides, n_waiting;
        int live_error;
        struct user_symbols *users;
        size_t n_users;
};

/* ---- pool thread ---- */

static struct user_symbols *symbols_of(struct view_job *v, uint32_t uid) {
        for (size_t i = 0; i < v->n_users; i++) {
                if (v->users[i].uid == uid)
                        return &v->users[i];
        }
        struct user_symbols *users = reallocarray(v->users, v->n_users + 1, sizeof *users);
        if (!users)
                return NULL;
        v->users = users;
        users[v->n_users] = (struct user_symbols){.uid = uid};
        if (symbol_set_new(&users[v->n_users].known) < 0)
                return NULL;
        return &users[v->n_users++];
}

static int keep_fresh(struct user_symbols *u, struct symbol_set *fresh) {
        struct symbol_set **list = reallocarray(u->fresh, u->n_fresh + 1, sizeof(struct symbol_set *));
        if (!list) {
                symbol_set_free(fresh);
                return -ENOMEM;
        }
        u->fresh = list;
        u->fresh[u->n_fresh++] = fresh;
        return 0;
}

/* Symbols that can't be had make an answer poorer, not impossible. */
static int find_symbols(struct view_job *v, struct store_reader *reader, const struct snapshot *s) {
        struct user_symbols *u = symbols_of(v, s->info.uid);
        struct symbol_set *fresh;
        if (!u)
                return -ENOMEM;
        int r = snapshot_symbols(reader, v->job.daemon->symbolizer, s, u->known, &fresh);
        u->failed |= r != 0;
        if (r == -ENOMEM)
                symbol_set_free(fresh);
        else if (r != 0)
                log_warning("symbols of snapshot %" PRId64 ": %s", s->info.id,
                            r < 0 ? strerror(-r) : "the store or the helper failed");
        if (r == -ENOMEM || !fresh)
                return r == -ENOMEM ? r : 0;
        return keep_fresh(u, fresh);
}

/* @snapshot: taken */
static int add_source(struct view_job *v, struct side *side, struct snapshot *snapshot) {
        struct model_source *sources = reallocarray(side->sources, side->n_sources + 1, sizeof *sources);
        if (!sources) {
                snapshot_unref(snapshot);
                return -ENOMEM;
        }
        side->sources = sources;
        side->sources[side->n_sources++] = (struct model_source){.snapshot = snapshot};
        return 0;
}

static enum store_load what_to_load(const struct view_job *v) {
        return v->request->body_case == TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS ||
                               v->request->body_case == TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE
                       ? STORE_LOAD_SUMS
                       : STORE_LOAD_WHOLE;
}

static int load_stored(struct view_job *v, struct store_reader *reader, struct side *side,
                       const struct reference_item *item) {
        struct id_list list = {0};
        int r = resolve_item(&v->job, reader, item, &list);
        for (size_t i = 0; r == 0 && i < list.n; i++) {
                struct snapshot *snapshot;
                r = store_reader_load(reader, list.ids[i], what_to_load(v), &snapshot);
                if (r == 0)
                        r = add_source(v, side, snapshot);
                if (r != 0)
                        pool_job_fail_store(&v->job, r, store_reader_message(reader), "it was deleted just now");
        }
        id_list_deinit(&list);
        return r;
}

static int load_side(struct view_job *v, struct store_reader *reader, struct side *side) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < side->reference->n_items; i++) {
                if (side->live[i].snapshot)
                        r = add_source(v, side, snapshot_ref(side->live[i].snapshot));
                else
                        r = load_stored(v, reader, side, &side->reference->items[i]);
        }
        for (size_t i = 0; r == 0 && i < side->n_sources; i++)
                r = find_symbols(v, reader, side->sources[i].snapshot);
        if (r == -ENOMEM)
                pool_job_fail(&v->job, CONTROL_FAILED, "out of memory");
        return r;
}

/* Only now: the list of users may have moved while it grew. */
static void connect_symbols(struct view_job *v, struct side *side) {
        for (size_t i = 0; i < side->n_sources; i++) {
                const struct user_symbols *u = symbols_of(v, side->sources[i].snapshot->info.uid);
                side->sources[i].symbols = u->known;
                side->sources[i].symbols_failed = u->failed;
        }
}

static int compute(struct view_job *v, const struct reply_sink *sink, char **messagep) {
        const struct side *new = &v->sides[MODEL_NEW], *old = &v->sides[MODEL_OLD];
        switch (v->request->body_case) {
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_STATS:
                return query_stats(new->sources, new->n_sources, v->request->stats->view, sink, messagep);
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_COMPARE:
                return query_compare(old->sources, old->n_sources, new->sources, new->n_sources,
                                     v->request->compare->view, sink, messagep);
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_EXPORT:
                return export_replies(new->sources, new->n_sources, v->request->export, &v->job.replies, messagep);
        case TRACEMALLOCD__CONTROL__REQUEST__BODY_BLOCK:
                return block_reply(&new->sources[0], sink, messagep);
        default:
                return query_traces(new->sources, new->n_sources, v->request->traces->view, sink, messagep);
        }
}

static void run_view(struct pool_job *job) {
        struct view_job *v = (struct view_job *)job;
        struct reply_sink sink = {.send = reply_buffer_add, .userdata = &job->replies};
        struct store_reader *reader = pool_job_reader(job);
        if (!reader)
                return;
        int r = 0;
        for (size_t i = 0; r == 0 && i < v->n_sides; i++)
                r = load_side(v, reader, &v->sides[i]);
        if (r != 0)
                return pool_job_fail(job, CONTROL_FAILED, "out of memory");
        for (size_t i = 0; i < v->n_sides; i++)
                connect_symbols(v, &v->sides[i]);
        char *message = NULL;
        r = compute(v, &sink, &message);
        if (r != 0)
                pool_job_fail(job,
                              r == QUERY_E_USAGE        ? CONTROL_USAGE
                              : r == BLOCK_REPLY_E_NONE ? CONTROL_NOT_FOUND
                                                        : CONTROL_FAILED,
                              "%s", message ? message : strerror(r < 0 ? -r : ENOMEM));
        free(message);
}

/* ---- main loop ---- */

static void put_fresh_symbols(struct view_job *v) {
        for (size_t i = 0; i < v->n_users; i++) {
                for (size_t k = 0; k < v->users[i].n_fresh; k++)
                        store_put_symbols(v->job.daemon->store, v->users[i].uid, v->users[i].fresh[k], NULL, NULL);
        }
}

static void side_deinit(struct side *side) {
        for (size_t i = 0; side->live && i < side->reference->n_items; i++)
                snapshot_unref(side->live[i].snapshot);
        for (size_t i = 0; i < side->n_sources; i++)
                snapshot_unref((struct snapshot *)side->sources[i].snapshot);
        free(side->reference);
        free(side->live);
        free(side->sources);
}

static void free_view(struct pool_job *job) {
        struct view_job *v = (struct view_job *)job;
        put_fresh_symbols(v);
        for (size_t i = 0; i < MODEL_SIDES; i++)
                side_deinit(&v->sides[i]);
        for (size_t i = 0; i < v->n_users; i++) {
                symbol_set_free(v->users[i].known);
                free(v->users[i].fresh);
        }
        free(v->users);
        if (v->request)
                tracemallocd__control__request__free_unpacked(v->request, NULL);
        free(v);
}

/* Before the job began: the peer was answered, or will be by somebody else. */
static void give_up(struct view_job *v) {
        control_peer_unref(v->job.peer);
        free_view(&v->job);
}

static void start_when_cut(struct view_job *v) {
        if (v->n_waiting > 0)
                return;
        if (v->live_error == 0)
                return pool_job_start(&v->job);
        control_peer_error(v->job.peer, CONTROL_FAILED, "%s",
                           v->live_error == -ECANCELED ? "the process ended before its table was read"
                                                       : "out of memory while reading the table");
        give_up(v);
}

static void on_live(void *data, struct snapshot *snapshot, int error) {
        struct live_part *part = data;
        part->snapshot = snapshot;
        if (error < 0)
                part->view->live_error = error;
        part->view->n_waiting--;
        start_when_cut(part->view);
}

/* Return: 0; -1: the request is answered. */
static int parse_side(const struct request *r, struct view_job *v, const char *text) {
        struct side *side = &v->sides[v->n_sides];
        char *message = NULL;
        int result = reference_parse(text, &side->reference, &message);
        if (result == 0) {
                v->n_sides++;
                side->live = calloc(side->reference->n_items, sizeof *side->live);
                if (!side->live)
                        result = -ENOMEM;
        }
        if (result != 0)
                control_peer_error(r->peer, result == QUERY_E_USAGE ? CONTROL_USAGE : CONTROL_FAILED, "%s",
                                   message ? message : "out of memory");
        free(message);
        return result == 0 ? 0 : -1;
}

static bool may_read_live(const struct request *r, const struct reference_item *item) {
        struct process *p = process_find(r->daemon, (pid_t)item->number);
        if (p) {
                process_notice_end(p);
                p = p->state == PROCESS_ALIVE ? p : NULL;
        }
        char message[UNTRACED_PID_MESSAGE_BYTES];
        if (!p) {
                untraced_pid_message((uint32_t)item->number, message);
                request_unknown_pid(r, (uint32_t)item->number, message);
        } else if (!credentials_may(r->who, p->uid)) {
                control_peer_error(r->peer, CONTROL_DENIED, "process %" PRId64 " belongs to another user",
                                   item->number);
        } else if (p->stopped) {
                control_peer_error(r->peer, CONTROL_FAILED,
                                   "the tracemalloc module must be tracing memory allocations to take a snapshot");
        } else {
                return true;
        }
        return false;
}

static bool may_read_all_live(const struct request *r, const struct view_job *v) {
        for (size_t i = 0; i < v->n_sides; i++) {
                for (size_t k = 0; k < v->sides[i].reference->n_items; k++) {
                        const struct reference_item *item = &v->sides[i].reference->items[k];
                        if (item->kind == REFERENCE_LIVE && !may_read_live(r, item))
                                return false;
                }
        }
        return true;
}

/* Return: false: the request is answered. */
static bool find_files(const struct request *r, struct view_job *v) {
        const struct uploads *uploads = (struct uploads *)control_peer_attachment(r->peer, uploads_free);
        for (size_t i = 0; i < v->n_sides; i++) {
                for (size_t k = 0; k < v->sides[i].reference->n_items; k++) {
                        const struct reference_item *item = &v->sides[i].reference->items[k];
                        struct snapshot *snapshot;
                        if (item->kind != REFERENCE_FILE)
                                continue;
                        snapshot = uploads ? uploads_find(uploads, item->number) : NULL;
                        if (!snapshot) {
                                control_peer_error(r->peer, CONTROL_NOT_FOUND,
                                                   "no file number %" PRId64 " came over this connection",
                                                   item->number);
                                return false;
                        }
                        v->sides[i].live[k].snapshot = snapshot_ref(snapshot);
                }
        }
        return true;
}

static void cut_live(struct view_job *v) {
        struct feed_snapshot_options options = {.kind = SNAPSHOT_LIVE, .position = FEED_POSITION_NOW};
        if (v->request->body_case == TRACEMALLOCD__CONTROL__REQUEST__BODY_BLOCK) {
                options.one_block = true;
                options.address = v->request->block->address;
        }
        for (size_t i = 0; i < v->n_sides; i++) {
                for (size_t k = 0; k < v->sides[i].reference->n_items; k++) {
                        const struct reference_item *item = &v->sides[i].reference->items[k];
                        v->sides[i].live[k].view = v;
                        if (item->kind != REFERENCE_LIVE)
                                continue;
                        v->n_waiting++;
                        if (feed_snapshot(process_find(v->job.daemon, (pid_t)item->number)->feed, &options, on_live,
                                          &v->sides[i].live[k]) < 0) {
                                v->live_error = -ENOMEM;
                                v->n_waiting--;
                        }
                }
        }
        start_when_cut(v);
}

/* @new, @old: references; @old is NULL but for compare */
static void start_view(const struct request *r, const char *new, const char *old) {
        struct view_job *v = calloc(1, sizeof *v);
        if (!v)
                return control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
        v->job = (struct pool_job){.daemon = r->daemon,
                                   .peer = control_peer_ref(r->peer),
                                   .who = *r->who,
                                   .run = run_view,
                                   .free = free_view};
        v->request = request_copy(r->body);
        if (!v->request) {
                control_peer_error(r->peer, CONTROL_FAILED, "out of memory");
                return give_up(v);
        }
        if (parse_side(r, v, new) < 0 || (old && parse_side(r, v, old) < 0) || !may_read_all_live(r, v) ||
            !find_files(r, v))
                return give_up(v);
        cut_live(v);
}

void request_stats(const struct request *r) {
        start_view(r, r->body->stats->snapshot, NULL);
}

void request_compare(const struct request *r) {
        start_view(r, r->body->compare->new_, r->body->compare->old);
}

void request_traces(const struct request *r) {
        start_view(r, r->body->traces->snapshot, NULL);
}

void request_export(const struct request *r) {
        start_view(r, r->body->export->snapshot, NULL);
}

void request_block(const struct request *r) {
        char live[16];
        snprintf(live, sizeof live, "@%" PRIu32, r->body->block->pid);
        start_view(r, live, NULL);
}
