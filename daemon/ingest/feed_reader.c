/* SPDX-License-Identifier: Apache-2.0 */

/* Reads what agents wrote and applies it. Runs on the ingest worker; called by worker.c's rounds. */

#include "daemon/ingest/feed_reader.h"

#include "daemon/ingest/batch_decoder.h"
#include "daemon/ingest/feed_gauges.h"
#include "daemon/ingest/feed_ops.h"
#include "daemon/ingest/feed_private.h"
#include "daemon/live/image_apply.h"
#include "daemon/live/image_fork.h"
#include "proto/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS            UINT64_C(1000000)
#define ROUND_EVENTS         65536 /* of one feed in one round, so that others get their turn */
/* The same while a snapshot of it is read, a slice a round. About as dear as the slice: a process that fills its ring
 * as fast as it is read would make the snapshot wait eight times as long with ROUND_EVENTS, and waits for no slice
 * longer. */
#define SNAPSHOT_EVENTS      8192
#define ADOPT_BLOCKS         32768 /* of a fork's table in one round */
#define IDLE_MIGRATION_CELLS 8192  /* of a table that changes size, in a round that had nothing to read */

static void notify(struct feed *feed, const struct feed_notice *notice) {
        struct feed_notice_job *job = malloc(sizeof *job);
        if (!job)
                return; /* the gauges say it, too */
        *job = (struct feed_notice_job){.job = {.done = feed_notice_done}, .feed = feed, .notice = *notice};
        worker_post(feed->worker, &job->job);
}

void feed_commit(struct feed *feed) {
        if (!feed->keep)
                return;
        struct kept_reader reader = {.position = feed->ring.position,
                                     .parent = feed->parent_id,
                                     .parent_position = feed->parent_position,
                                     .fork_token = feed->fork_token,
                                     .waits_for_parent = feed->phase == FEED_WAITS_FOR_PARENT,
                                     .late_writers = feed->ring.late_writers,
                                     .broken = feed->phase == FEED_BROKEN};
        image_commit(&feed->image, &reader);
}

/* Around all that a worker does with a feed. */
static void set_busy(struct feed *feed, bool busy) {
        if (feed->keep)
                keep_busy(feed->keep, busy);
}

static void break_feed(struct feed *feed, const char *reason) {
        if (feed->phase >= FEED_BROKEN)
                return;
        feed->phase = FEED_BROKEN;
        feed->image.begun_inexact = true;
        if (!feed->broken_notice)
                return;
        feed->broken_notice->notice = (struct feed_notice){.kind = FEED_NOTICE_MALFORMED, .reason = reason};
        worker_post(feed->worker, &feed->broken_notice->job);
        feed->broken_notice = NULL;
}

static uint64_t position_of(const struct feed *feed) {
        return feed->by_ring ? feed->ring.position : feed->applied;
}

static void tell_phase(struct feed *feed) {
        struct feed_notice notice = {.kind = FEED_NOTICE_PHASE, .phase = feed->image.phase};
        notify(feed, &notice);
}

/* What an Item says. Memory that is missing for it costs names, not blocks: counted as one lost event. */
static void apply_item(struct feed *feed, const struct event *event) {
        Tracemallocd__Agent__Item *item;
        int r = definitions_item(&feed->definitions, event->word[0], &item);
        if (r < 0) {
                image_lose(&feed->image, 1);
                return;
        }
        if (r == 0 && event->type == RECORD_MODULE_LOAD && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_MODULE &&
            event->argument >= 1 && event->argument < NODE_UNIT_CODE) {
                const Tracemallocd__Agent__ModuleDef *module = item->module;
                if (image_module_load(&feed->image, event->argument, module->path.data, module->path.len,
                                      module->build_id.data, module->build_id.len))
                        image_lose(&feed->image, 1);
        } else if (r == 0 && event->type == RECORD_DOMAIN &&
                   item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_DOMAIN &&
                   item->domain->index >= DOMAIN_INDEX_FIRST_FREE && item->domain->index <= DOMAIN_INDEX_MAX) {
                const Tracemallocd__Agent__DomainDef *domain = item->domain;
                if (image_domain(&feed->image, domain->index, domain->number, domain->name.data, domain->name.len))
                        image_lose(&feed->image, 1);
        } else if (r == 0 && event->type == RECORD_PHASE && item->body_case == TRACEMALLOCD__AGENT__ITEM__BODY_PHASE) {
                image_begin_phase(&feed->image, item->phase->label.data, item->phase->label.len);
                tell_phase(feed);
        } else {
                break_feed(feed, "a record names an item that is not there");
        }
        if (r == 0)
                tracemallocd__agent__item__free_unpacked(item, NULL);
}

/* Events that are not only the image's business. */
static void apply_special(struct feed *feed, const struct event *event) {
        struct feed_notice notice = {.token = event->argument, .position = event->position};
        switch (event->type) {
        case RECORD_MODULE_LOAD:
        case RECORD_DOMAIN:
        case RECORD_PHASE:
                apply_item(feed, event);
                return;
        case RECORD_FORK:
                if (feed->image.forks_dropped == feed->forks_dropped_told)
                        return;
                feed->forks_dropped_told = feed->image.forks_dropped;
                notice.kind = FEED_NOTICE_FORK_DROPPED;
                notice.token = feed->image.fork_dropped_token;
                break;
        case RECORD_FORK_DONE:
                notice.kind = FEED_NOTICE_FORK_DONE;
                notice.pid = (uint32_t)event->word[0];
                break;
        case RECORD_EXIT:
                notice.kind = FEED_NOTICE_EXIT;
                notice.status = event->word[0];
                break;
        case RECORD_EXEC:
                notice.kind = FEED_NOTICE_EXEC;
                break;
        default:
                notice.kind = FEED_NOTICE_EXEC_BACK;
        }
        notify(feed, &notice);
}

static void apply(struct feed *feed, struct event *events, size_t n) {
        size_t done = 0;
        while (done < n && feed->phase == FEED_RUNS) {
                size_t k;
                int r = image_apply(&feed->image, events + done, n - done, &k);
                done += k;
                if (r == IMAGE_SPECIAL)
                        apply_special(feed, &events[done - 1]);
        }
}

/* Return: whether reading can go on behind the hole. */
static bool pass_hole(struct feed *feed, uint64_t head, uint64_t now_ns) {
        struct ring_reader *ring = &feed->ring;
        uint64_t lost;
        if (!feed->dead) {
                if (ring->hole_since_ns == 0)
                        ring->hole_since_ns = now_ns;
                if (now_ns - ring->hole_since_ns < feed->hole_timeout_ns || !ring_reader_may_skip(ring, head, now_ns))
                        return false;
        }
        if (!ring_reader_skip(ring, head, feed->dead, &lost))
                return false;
        image_lose(&feed->image, lost);
        return true;
}

/* One batch from the ring, up to @limit. Return: whether the next one may follow. */
static bool read_ring(struct feed *feed, uint64_t limit, uint64_t head, uint64_t now_ns, size_t *np) {
        struct event events[EVENT_BATCH_MAX];
        int r = ring_reader_read(&feed->ring, &feed->definitions, limit, events, EVENT_BATCH_MAX, np);
        apply(feed, events, *np);
        bool go_on = true;
        uint64_t lost;
        if (r == RING_READER_E_MALFORMED && ring_reader_resync(&feed->ring, head, &lost))
                image_lose(&feed->image, lost);
        else if (r == RING_READER_E_MALFORMED)
                break_feed(feed, "malformed record in the ring");
        else if (r == RING_READER_HOLE)
                go_on = pass_hole(feed, head, now_ns);
        feed_commit(feed);
        /* not before the commit: until then the next daemon would have to read it again */
        ring_reader_release(&feed->ring);
        return go_on;
}

/* One batch from the pushes. A push never holds the position of an op: those lie between pushes. */
static bool read_push(struct feed *feed, size_t *np) {
        struct event events[EVENT_BATCH_MAX];
        struct feed_push *push = feed->pushes;
        int r = batch_decoder_read(push->bytes, push->length, push->position, &feed->definitions, &push->offset, events,
                                   EVENT_BATCH_MAX, np);
        apply(feed, events, *np);
        if (r)
                break_feed(feed, "malformed record in an EventBatch");
        feed->applied = push->position + push->offset;
        if (push->offset == push->length) {
                feed->pushes = push->next;
                if (!feed->pushes)
                        feed->pushes_end = &feed->pushes;
                free(push);
        }
        return true;
}

static bool has_table(const struct feed *feed) {
        return feed->phase == FEED_RUNS || feed->phase == FEED_BROKEN;
}

/* @end: position of all that is there */
static void run_due_ops(struct feed *feed, uint64_t end) {
        while (feed->ops && has_table(feed) && !feed->finish) {
                struct feed_op *op = feed->ops;
                uint64_t position = position_of(feed);
                bool due = op->kind == FEED_OP_FINISH ? position >= end : position >= op->position;
                if (!due && feed->phase == FEED_RUNS)
                        return;
                feed->ops = op->next;
                if (!feed->ops)
                        feed->ops_end = &feed->ops;
                feed_op_start(feed, op);
        }
}

/* Return: position of all that is there; that of the reader where the peer's word can't be true. */
static uint64_t end_of(struct feed *feed) {
        if (!feed->by_ring) {
                struct feed_push *last = feed->pushes;
                if (!last)
                        return feed->applied;
                return UINT64_MAX; /* read until there is no push left */
        }
        if (feed->ring_closed)
                return feed->ring.position;
        uint64_t head = ring_reader_head(&feed->ring);
        if (ring_reader_limit(&feed->ring, head))
                return head;
        break_feed(feed, "the ring's head is where it can't be");
        return feed->ring.position;
}

/* Read up to what was there at the start; stop at each op's position for the op. Return: whether something is left. */
static bool read_all(struct feed *feed, uint64_t now_ns, size_t *n_readp) {
        uint64_t end = end_of(feed);
        const size_t most = feed->reading ? SNAPSHOT_EVENTS : ROUND_EVENTS;
        for (*n_readp = 0;;) {
                run_due_ops(feed, feed->by_ring || feed->pushes ? end : feed->applied);
                if (feed->phase != FEED_RUNS || feed->finish)
                        return false;
                if (feed->by_ring ? feed->ring.position >= end : !feed->pushes) {
                        if (feed->ops && feed->by_ring)
                                /* heads only grow, and this one was read later than the op's */
                                break_feed(feed, "the ring's head went back");
                        else
                                return false;
                        continue;
                }
                if (*n_readp >= most)
                        return true;
                uint64_t limit = feed->ops && feed->ops->position < end ? feed->ops->position : end;
                size_t n = 0;
                bool go_on = feed->by_ring ? read_ring(feed, limit, end, now_ns, &n) : read_push(feed, &n);
                *n_readp += n;
                if (!go_on)
                        return false;
        }
}

/* In one go and before the parent is read on, so that a daemon that dies in between leaves the fork as it was: only
 * the commit makes what was taken over count, and only then the parent lets go of it. */
static void adopt_kept(struct feed *feed, struct feed *parent, struct image_fork *fork) {
        feed->keep->unlogged = true;
        if (image_fork_begin(&feed->image, fork))
                image_lose(&feed->image, 1); /* some module names */
        while (image_fork_step(&feed->image, fork, ADOPT_BLOCKS) == IMAGE_FORK_MORE)
                ;
        feed->phase = FEED_RUNS;
        feed_commit(feed);
        image_fork_free(image_fork_take(&parent->image, feed->fork_token));
        feed_commit(parent);
}

/* The parent's table at the fork, when the parent has come that far. */
static void find_fork(struct feed *feed) {
        struct feed *parent = feed->parent;
        if (parent) {
                struct image_fork *fork = image_fork_find(&parent->image, feed->fork_token);
                bool may_come = parent->phase < FEED_BROKEN && position_of(parent) < feed->parent_position;
                if (!fork && may_come)
                        return;
                feed->parent = NULL;
                if (fork && feed->keep)
                        return adopt_kept(feed, parent, fork);
                feed->fork = image_fork_take(&parent->image, feed->fork_token);
        }
        if (!feed->fork) {
                feed->image.begun_inexact = true;
                feed->phase = FEED_RUNS;
                feed_commit(feed);
                return;
        }
        feed->phase = FEED_ADOPTS;
        if (image_fork_begin(&feed->image, feed->fork))
                image_lose(&feed->image, 1); /* some module names */
        if (feed->image.phase.length)
                tell_phase(feed);
}

static void adopt(struct feed *feed) {
        if (image_fork_step(&feed->image, feed->fork, ADOPT_BLOCKS) == IMAGE_FORK_MORE)
                return;
        feed->fork = image_fork_free(feed->fork);
        feed->phase = FEED_RUNS;
}

static void tell_applied(struct feed *feed) {
        if (feed->by_ring || feed->applied == feed->applied_told)
                return;
        feed->applied_told = feed->applied;
        struct feed_notice notice = {.kind = FEED_NOTICE_APPLIED, .position = feed->applied};
        notify(feed, &notice);
}

/* Sooner for a ring that fills, later for one that is idle. */
static void set_due(struct feed *feed, uint64_t bytes, uint64_t now_ns) {
        if (!feed->by_ring || feed->phase >= FEED_BROKEN) {
                feed->due_ns = UINT64_MAX; /* pushes and ops come with a bell */
                return;
        }
        if (bytes > ring_reader_size(&feed->ring) / 64 || feed->ring.hole_since_ns)
                feed->period_ns = WORKER_SLEEP_MIN_MS * NS_PER_MS;
        else if (bytes == 0 && feed->period_ns < WORKER_SLEEP_MAX_MS * NS_PER_MS)
                feed->period_ns *= 2;
        if (feed->period_ns > WORKER_SLEEP_MAX_MS * NS_PER_MS)
                feed->period_ns = WORKER_SLEEP_MAX_MS * NS_PER_MS;
        feed->due_ns = now_ns + feed->period_ns;
}

static bool round_of_runner(struct feed *feed, uint64_t now_ns, bool *workedp) {
        uint64_t before = position_of(feed);
        size_t n_read;
        if (feed->by_ring && !feed->ring_closed)
                image_lost_told(&feed->image,
                                atomic_load_explicit(&((struct ring_header *)feed->ring.header)->lost_events,
                                                     memory_order_relaxed));
        bool more = read_all(feed, now_ns, &n_read);
        if (feed->by_ring && !feed->ring_closed)
                ring_reader_wake(&feed->ring);
        if (n_read == 0 && feed->image.table && trace_table_migrate(feed->image.table, IDLE_MIGRATION_CELLS))
                more = true;
        if (feed->keep && feed->keep->dirty)
                feed_commit(feed);
        set_due(feed, position_of(feed) - before, now_ns);
        if (feed->phase == FEED_RUNS && feed->by_ring && !more && !ring_reader_arm(&feed->ring) &&
            !feed->ring.hole_since_ns)
                more = true;
        *workedp = n_read > 0;
        return more;
}

/* The bell may be for any ring: then each is asked whether it is half full. */
static bool is_due(const struct feed *feed, uint64_t now_ns, bool rang) {
        if (feed->due_ns <= now_ns || feed->ops || feed->pushes)
                return true;
        return rang && feed->by_ring && feed->phase == FEED_RUNS &&
               ring_reader_head(&feed->ring) - feed->ring.position >= ring_reader_size(&feed->ring) / 2;
}

static void round_of(struct feed *feed, uint64_t now_ns, bool rang, struct feed_round_result *result) {
        bool worked = false, more = false;
        if (feed->phase == FEED_WAITS_FOR_PARENT) {
                find_fork(feed);
                feed->due_ns = now_ns + WORKER_SLEEP_MIN_MS * NS_PER_MS;
                more = feed->phase != FEED_WAITS_FOR_PARENT;
                if (feed->parent)
                        feed->parent->due_ns = now_ns; /* hurry */
        } else if (feed->phase == FEED_ADOPTS) {
                adopt(feed);
                more = worked = true;
        } else if (feed->phase == FEED_FINISHED) {
                /* it stays until its snapshots are stored and its children have come, which may be long */
                feed->due_ns = UINT64_MAX;
                feed_ops_refuse(feed, -ESRCH);
        } else if (feed->finish) {
                feed->due_ns = UINT64_MAX;
        } else if (is_due(feed, now_ns, rang)) {
                more = round_of_runner(feed, now_ns, &worked);
                feed_gauges_update(feed);
                tell_applied(feed); /* who hears of it may ask at once */
        }
        if (feed->reading || feed->finish) {
                feed_ops_step(feed);
                more |= feed->reading || feed->finish;
                worked = true;
        }
        result->more |= more;
        result->worked |= worked;
        if (feed->due_ns < result->due_ns)
                result->due_ns = feed->due_ns;
}

struct feed_round_result feed_round_all(struct feed *feeds, uint64_t now_ns, bool rang) {
        struct feed_round_result result = {.due_ns = UINT64_MAX};
        for (struct feed *feed = feeds; feed; feed = feed->next) {
                set_busy(feed, true);
                round_of(feed, now_ns, rang, &result);
                set_busy(feed, false);
        }
        return result;
}

enum worker_job_state feed_attach_run(struct worker_job *job) {
        struct feed *feed = (struct feed *)((char *)job - offsetof(struct feed, attach_job));
        feed->next = job->worker->feeds;
        job->worker->feeds = feed;
        feed->period_ns = WORKER_SLEEP_MIN_MS * NS_PER_MS;
        set_busy(feed, true);
        if (feed->phase == FEED_WAITS_FOR_PARENT)
                find_fork(feed);
        set_busy(feed, false);
        return WORKER_JOB_DONE;
}

/* Children that wait for this one get what there is now, or nothing. */
static void leave_children(struct feed *feed) {
        for (struct feed *other = feed->worker->feeds; other; other = other->next) {
                if (other->parent != feed || other->phase != FEED_WAITS_FOR_PARENT)
                        continue;
                size_t n_read;
                set_busy(feed, true);
                while (feed->phase == FEED_RUNS && read_all(feed, 0, &n_read))
                        ;
                set_busy(other, true);
                find_fork(other);
                set_busy(other, false);
                other->parent = NULL;
        }
        set_busy(feed, false);
}

enum worker_job_state feed_detach_run(struct worker_job *job) {
        struct feed *feed = (struct feed *)((char *)job - offsetof(struct feed, detach_job));
        leave_children(feed);
        struct feed **link = &job->worker->feeds;
        while (*link != feed)
                link = &(*link)->next;
        *link = feed->next;
        feed_ops_cancel(feed);
        while (feed->pushes) {
                struct feed_push *push = feed->pushes;
                feed->pushes = push->next;
                free(push);
        }
        feed->fork = image_fork_free(feed->fork);
        image_deinit(&feed->image);
        feed->keep = keep_free(feed->keep);
        definitions_close(&feed->definitions);
        free(feed->broken_notice);
        feed->broken_notice = NULL;
        return WORKER_JOB_DONE;
}

enum worker_job_state feed_op_run(struct worker_job *job) {
        struct feed_op *op = (struct feed_op *)job;
        struct feed *feed = op->feed;
        op->next = NULL;
        *feed->ops_end = op;
        feed->ops_end = &op->next;
        if (op->kind == FEED_OP_FINISH)
                feed->dead = true;
        return WORKER_JOB_PENDING;
}

enum worker_job_state feed_push_run(struct worker_job *job) {
        struct feed_push *push = (struct feed_push *)job;
        struct feed *feed = push->feed;
        if (feed->phase >= FEED_BROKEN) {
                free(push);
                return WORKER_JOB_DONE;
        }
        if (push->nodes_length || push->items_length) {
                if (definitions_append(&feed->definitions, push->bytes, push->nodes_length,
                                       push->bytes + push->nodes_length, push->items_length))
                        break_feed(feed, "no memory for the definitions");
                free(push);
                return WORKER_JOB_DONE;
        }
        push->next = NULL;
        *feed->pushes_end = push;
        feed->pushes_end = &push->next;
        return WORKER_JOB_DONE;
}
