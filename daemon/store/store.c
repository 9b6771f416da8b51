/* SPDX-License-Identifier: Apache-2.0 */

/* The store's queue: requests go from the loop's thread to the writer thread and, done, back. Everything here runs on
 * the loop's thread but run_writer() and what it calls. */

#include "daemon/store/store.h"

#include "daemon/base/log.h"
#include "daemon/store/pins.h"
#include "daemon/store/store_file.h"
#include "daemon/store/store_writer.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define RETAIN_PERIOD_NS (600 * UINT64_C(1000000000)) /* for ages: nothing else passes by itself */

/* Of requests that share a transaction; the weight is that of some milliseconds. */
#define GROUP_REQUESTS_MAX 64
#define GROUP_WEIGHT_MAX   4096

enum request_kind {
        REQUEST_PUT,
        REQUEST_LABEL,
        REQUEST_DELETE,
        REQUEST_PUT_SYMBOLS,
};

struct request {
        struct request *next;
        enum request_kind kind;
        store_callback callback; /* or NULL */
        void *data;
        struct snapshot **snapshots; /* PUT: references */
        int64_t *ids;                /* PUT: to be set; LABEL, DELETE: which */
        size_t n_ids;
        int64_t set; /* PUT */
        bool new_set;
        bool once; /* PUT: of a snapshot */
        char *label;
        struct symbol_set *symbols;
        uint32_t owner;
        bool unresolved; /* PUT: the answer */
        int code;        /* the answer */
        struct store_error error;
};

struct queue {
        struct request *first, **lastp;
};

struct store {
        char *path;
        struct store_writer *writer; /* the writer thread's, with the next three */
        bool due;                    /* there may be something beyond the limits, or left of what was deleted */
        int64_t last_kept;           /* then: what stays in any case, as store_writer_retain() has it */
        struct queue deleted;        /* requests whose space is still to be given back */
        uv_thread_t thread;
        uv_async_t async;
        uv_mutex_t mutex; /* of the following */
        uv_cond_t work;
        struct queue todo, done;
        struct retention limits;
        struct pins pins;
        int64_t first_unanswered; /* put, its callback not returned: nobody can have pinned it; INT64_MAX: none */
        bool retain;              /* the limits are to be applied to everything */
        bool closing;             /* no more requests come */
        bool finished;            /* the thread has done everything */
        void (*closed)(void *data);
        void *closed_data;
};

static void queue_init(struct queue *queue) {
        queue->first = NULL;
        queue->lastp = &queue->first;
}

static void queue_push(struct queue *queue, struct request *request) {
        request->next = NULL;
        *queue->lastp = request;
        queue->lastp = &request->next;
}

static struct request *queue_pop(struct queue *queue) {
        struct request *request = queue->first;
        if (request) {
                queue->first = request->next;
                if (!queue->first)
                        queue->lastp = &queue->first;
        }
        return request;
}

static void request_free(struct request *request) {
        for (size_t i = 0; request->snapshots && i < request->n_ids; i++)
                snapshot_unref(request->snapshots[i]);
        free(request->snapshots);
        free(request->ids);
        free(request->label);
        symbol_set_free(request->symbols);
        free(request);
}

/* Writer thread. Return: as store_writer_put(). */
static int put(struct store_writer *writer, struct request *request) {
        int r = 0;
        if (request->once)
                r = store_writer_find(writer, &request->snapshots[0]->info, &request->ids[0], &request->error);
        if (r == 0 && request->ids[0])
                request->unresolved = true; /* for all that is known */
        if (r || (request->once && request->ids[0]))
                return r;
        int64_t set = 0; /* what was asked for stays: this may be done again */
        r = store_writer_put(writer, request->snapshots, request->n_ids, request->set, request->new_set, request->ids,
                             &set, &request->unresolved, &request->error);
        if (r == 0)
                request->set = set;
        return r;
}

/* Writer thread */
static void perform(struct store_writer *writer, struct request *request) {
        bool left;
        switch (request->kind) {
        case REQUEST_PUT:
                request->code = put(writer, request);
                break;
        case REQUEST_LABEL:
                request->code =
                        store_writer_label(writer, request->ids, request->n_ids, request->label, &request->error);
                break;
        case REQUEST_DELETE:
                request->code = store_writer_delete(writer, request->ids, request->n_ids, &left, &request->error);
                break;
        case REQUEST_PUT_SYMBOLS:
                request->code = store_writer_put_symbols(writer, request->owner, request->symbols, &request->error);
                break;
        }
}

/* What makes a transaction long. */
static size_t weight(const struct request *request) {
        size_t n = request->symbols ? symbol_set_n_locations(request->symbols) : 0;
        for (size_t i = 0; request->snapshots && i < request->n_ids; i++)
                n += request->snapshots[i]->n_groups;
        return n;
}

/* With the mutex. The next requests that one transaction can hold: where many processes end at once, a commit for each,
 * which waits for the disk, would take longer than they lived. What is large goes alone, so that its answer does not
 * wait for others; a delete gives space back after its own transaction. */
static struct request *take_group(struct store *store) {
        struct request *first = queue_pop(&store->todo), *next;
        struct queue group;
        size_t n = 1, total = weight(first);
        queue_init(&group);
        queue_push(&group, first);
        while (first->kind != REQUEST_DELETE && n < GROUP_REQUESTS_MAX && (next = store->todo.first)) {
                total += weight(next);
                if (next->kind == REQUEST_DELETE || total > GROUP_WEIGHT_MAX)
                        break;
                queue_push(&group, queue_pop(&store->todo));
                n++;
        }
        return first;
}

/* What is in the way of all is in the way of each: another program's lock, say, which each would wait for in turn. */
static void fail_group(struct request *group, int code, const struct store_error *error) {
        for (struct request *request = group; request; request = request->next) {
                request->code = code;
                request->error = *error;
        }
}

/* Writer thread. Return: whether each has its answer, and what succeeded is committed. */
static bool perform_together(struct store_writer *writer, struct request *group) {
        struct store_error error = {""};
        int r = store_writer_begin_group(writer, &error);
        if (r) {
                fail_group(group, r, &error);
                return true;
        }
        for (struct request *request = group; request && store_writer_group_stands(writer); request = request->next)
                perform(writer, request);
        return store_writer_end_group(writer, &error) == 0;
}

/* Writer thread. Where the transaction as a whole fails, each goes alone, and fails or not for itself. */
static void perform_group(struct store_writer *writer, struct request *group) {
        if (group->next && perform_together(writer, group))
                return;
        for (struct request *request = group; request; request = request->next) {
                request->error = (struct store_error){""};
                perform(writer, request);
        }
}

/* Return: the id of the first snapshot that these put; INT64_MAX: none. */
static int64_t first_put(const struct request *request) {
        while (request && (request->kind != REQUEST_PUT || request->code != 0 || request->n_ids == 0))
                request = request->next;
        return request ? request->ids[0] : INT64_MAX;
}

/* With the mutex */
static void apply_limits(struct store *store) {
        store->due = true;
        store->last_kept = store->first_unanswered;
}

/* With the mutex. Hands the answers over, but those of deletes. */
static void finish_group(struct store *store, struct request *group) {
        int64_t put = first_put(group);
        for (struct request *next, *request = group; request; request = next) {
                bool deleted = request->kind == REQUEST_DELETE && request->code == 0;
                next = request->next;
                queue_push(deleted ? &store->deleted : &store->done, request);
                store->due = store->due || deleted;
        }
        if (store->first_unanswered == INT64_MAX)
                store->first_unanswered = put;
        if (put != INT64_MAX)
                apply_limits(store);
        uv_async_send(&store->async);
}

/* With the mutex: their space is given back, or what is left of it will be another time. */
static void answer_deletes(struct store *store) {
        struct request *request;
        if (!store->deleted.first)
                return;
        while ((request = queue_pop(&store->deleted)))
                queue_push(&store->done, request);
        uv_async_send(&store->async);
}

/* Writer thread. A failure is no request's: what is too much is deleted another time, not at once, for it would fail
 * again. */
static void retain(struct store *store, const struct retention *limits, const struct pins *pins) {
        struct store_error error = {""};
        int r = store_writer_retain(store->writer, limits, pins, store->last_kept, &store->due, &error);
        if (r == 0)
                return;
        log_warning("snapshots beyond the limits stay for now: %s", error.message);
        store->due = false;
}

/* With the mutex, which is let go meanwhile. Some milliseconds of what nobody waits for, or not as for the answer to a
 * put. Return: whether more of it is to be done. */
static bool clean_up(struct store *store) {
        struct retention limits = store->limits;
        struct pins pins = store->pins;
        bool more = true;
        uv_mutex_unlock(&store->mutex);
        if (store->due)
                retain(store, &limits, &pins);
        else
                more = store_writer_tidy(store->writer, store->deleted.first != NULL);
        uv_mutex_lock(&store->mutex);
        if (!more)
                answer_deletes(store);
        return more;
}

/* With the mutex, which is let go meanwhile. Requests are answered before anything is deleted because of them. However
 * many come, between two groups there is a step of cleaning up, or the database would grow without end. */
static void do_requests(struct store *store) {
        struct request *group = take_group(store);
        uv_mutex_unlock(&store->mutex);
        perform_group(store->writer, group);
        uv_mutex_lock(&store->mutex);
        finish_group(store, group);
        if (store->due || store->deleted.first)
                clean_up(store);
}

/* With the mutex, which is let go meanwhile. */
static void be_idle(struct store *store) {
        if (store->retain)
                apply_limits(store);
        store->retain = false;
        if (clean_up(store) || store->todo.first || store->closing || store->retain)
                return;
        if (uv_cond_timedwait(&store->work, &store->mutex, RETAIN_PERIOD_NS) == UV_ETIMEDOUT)
                store->retain = true;
}

static void run_writer(void *data) {
        struct store *store = data;
        prctl(PR_SET_NAME, "store");
        uv_mutex_lock(&store->mutex);
        for (;;) {
                if (store->todo.first)
                        do_requests(store);
                else if (store->closing)
                        break;
                else
                        be_idle(store);
        }
        answer_deletes(store);
        store->finished = true;
        uv_async_send(&store->async); /* under the mutex: the loop cannot close the handle before this returns */
        uv_mutex_unlock(&store->mutex);
}

static void free_store(struct store *store) {
        store_writer_free(store->writer);
        uv_cond_destroy(&store->work);
        uv_mutex_destroy(&store->mutex);
        free(store->path);
        free(store);
}

static void on_closed(uv_handle_t *handle) {
        struct store *store = handle->data;
        void (*closed)(void *data) = store->closed;
        void *data = store->closed_data;
        free_store(store);
        if (closed)
                closed(data);
}

static void answer(struct request *request) {
        bool put = request->kind == REQUEST_PUT && request->code == 0;
        struct store_result result = {.code = request->code,
                                      .message = request->code ? request->error.message : "",
                                      .ids = put ? request->ids : NULL,
                                      .n_ids = put ? request->n_ids : 0,
                                      .set = put ? request->set : 0,
                                      .unresolved = put && request->unresolved};
        if (request->callback)
                request->callback(request->data, &result);
        request_free(request);
}

/* What the writer has done meanwhile is answered by the next call. */
static void note_answered(struct store *store) {
        uv_mutex_lock(&store->mutex);
        store->first_unanswered = first_put(store->done.first);
        uv_mutex_unlock(&store->mutex);
}

static void on_done(uv_async_t *async) {
        struct store *store = async->data;
        uv_mutex_lock(&store->mutex);
        struct request *done = store->done.first;
        bool finished = store->finished;
        queue_init(&store->done);
        uv_mutex_unlock(&store->mutex);
        while (done) {
                struct request *next = done->next;
                answer(done);
                done = next;
        }
        note_answered(store);
        if (finished) {
                uv_thread_join(&store->thread);
                uv_close((uv_handle_t *)&store->async, on_closed);
        }
}

/* The thread takes no signal: SIGTERM and friends are the loop's. */
static int start_thread(struct store *store) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = uv_thread_create(&store->thread, run_writer, store);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

static int new_store(struct store **storep) {
        struct store *store = calloc(1, sizeof *store);
        if (!store)
                return -ENOMEM;
        int r = uv_mutex_init(&store->mutex);
        if (r) {
                free(store);
                return r;
        }
        r = uv_cond_init(&store->work);
        if (r) {
                uv_mutex_destroy(&store->mutex);
                free(store);
                return r;
        }
        queue_init(&store->todo);
        queue_init(&store->done);
        queue_init(&store->deleted);
        store->first_unanswered = store->last_kept = INT64_MAX;
        *storep = store;
        return 0;
}

/* Return: 0; as store_open(). @store owns what was opened, also on failure. */
static int open_writer(struct store *store, const char *state_dir, struct store_error *error) {
        sqlite3 *db;
        int r = store_file_open(state_dir, &db, &store->path, error);
        if (r)
                return r;
        r = store_writer_new(db, &store->writer, error);
        if (r)
                sqlite3_close(db);
        return r;
}

/* Return: 0; -errno. @store is given up on failure. */
static int start(struct store *store, uv_loop_t *loop) {
        int r = uv_async_init(loop, &store->async, on_done);
        if (r) {
                free_store(store);
                return r;
        }
        store->async.data = store;
        r = start_thread(store);
        if (r)
                uv_close((uv_handle_t *)&store->async, on_closed);
        return r;
}

int store_open(uv_loop_t *loop, const char *state_dir, struct store **storep, char *message) {
        struct store_error error = {""};
        struct store *store = NULL;
        int r = new_store(&store);
        if (r == 0) {
                r = open_writer(store, state_dir, &error);
                if (r) {
                        memcpy(message, error.message, STORE_MESSAGE_MAX);
                        free_store(store);
                        return r;
                }
                r = start(store, loop);
        }
        if (r)
                snprintf(message, STORE_MESSAGE_MAX, "cannot start the store: %s", strerror(-r));
        else
                *storep = store;
        return r;
}

void store_retain(struct store *store, const struct retention *limits) {
        uv_mutex_lock(&store->mutex);
        store->limits = *limits;
        store->retain = true;
        uv_cond_signal(&store->work);
        uv_mutex_unlock(&store->mutex);
}

void store_pin(struct store *store, const int64_t *ids, size_t n_ids) {
        uv_mutex_lock(&store->mutex);
        for (size_t i = 0; i < n_ids; i++)
                pins_add(&store->pins, ids[i]);
        uv_mutex_unlock(&store->mutex);
}

const char *store_path(const struct store *store) {
        return store->path;
}

void store_close(struct store *store, void (*closed)(void *data), void *data) {
        assert(!store->closing);
        store->closed = closed;
        store->closed_data = data;
        uv_mutex_lock(&store->mutex);
        store->closing = true;
        uv_cond_signal(&store->work);
        uv_mutex_unlock(&store->mutex);
}

void store_give_up(struct store *store) {
        store_writer_give_up(store->writer);
}

static struct request *new_request(enum request_kind kind, size_t n_ids, store_callback callback, void *data) {
        struct request *request = calloc(1, sizeof *request);
        if (!request)
                return NULL;
        request->kind = kind;
        request->callback = callback;
        request->data = data;
        request->n_ids = n_ids;
        request->ids = calloc(n_ids + 1, sizeof *request->ids);
        if (!request->ids) {
                free(request);
                return NULL;
        }
        return request;
}

static void submit(struct store *store, struct request *request) {
        assert(!store->closing);
        uv_mutex_lock(&store->mutex);
        queue_push(&store->todo, request);
        uv_cond_signal(&store->work);
        uv_mutex_unlock(&store->mutex);
}

/* Return: NULL: out of memory. */
static struct request *new_put(struct snapshot *const *snapshots, size_t n_snapshots, store_callback callback,
                               void *data) {
        struct request *request = new_request(REQUEST_PUT, n_snapshots, callback, data);
        if (!request)
                return NULL;
        request->snapshots = calloc(n_snapshots + 1, sizeof(struct snapshot *));
        if (!request->snapshots) {
                request_free(request);
                return NULL;
        }
        for (size_t i = 0; i < n_snapshots; i++)
                request->snapshots[i] = snapshot_ref(snapshots[i]);
        return request;
}

int store_put(struct store *store, struct snapshot *snapshot, int64_t set, store_callback callback, void *data) {
        struct request *request = new_put(&snapshot, 1, callback, data);
        if (!request)
                return -ENOMEM;
        request->set = set;
        submit(store, request);
        return 0;
}

int store_put_once(struct store *store, struct snapshot *snapshot, store_callback callback, void *data) {
        struct request *request = new_put(&snapshot, 1, callback, data);
        if (!request)
                return -ENOMEM;
        request->once = true;
        submit(store, request);
        return 0;
}

int store_put_set(struct store *store, struct snapshot *const *snapshots, size_t n_snapshots, store_callback callback,
                  void *data) {
        struct request *request = new_put(snapshots, n_snapshots, callback, data);
        if (!request)
                return -ENOMEM;
        request->new_set = true;
        submit(store, request);
        return 0;
}

int store_label(struct store *store, const int64_t *ids, size_t n_ids, const void *label, size_t length,
                store_callback callback, void *data) {
        struct request *request = new_request(REQUEST_LABEL, n_ids, callback, data);
        if (!request)
                return -ENOMEM;
        if (n_ids > 0) /* else ids may be NULL */
                memcpy(request->ids, ids, n_ids * sizeof *ids);
        request->label = strndup(length ? label : "", length);
        if (!request->label) {
                request_free(request);
                return -ENOMEM;
        }
        submit(store, request);
        return 0;
}

int store_delete(struct store *store, const int64_t *ids, size_t n_ids, store_callback callback, void *data) {
        struct request *request = new_request(REQUEST_DELETE, n_ids, callback, data);
        if (!request)
                return -ENOMEM;
        if (n_ids > 0) /* else ids may be NULL */
                memcpy(request->ids, ids, n_ids * sizeof *ids);
        submit(store, request);
        return 0;
}

int store_put_symbols(struct store *store, uint32_t owner, struct symbol_set *symbols, store_callback callback,
                      void *data) {
        struct request *request = new_request(REQUEST_PUT_SYMBOLS, 0, callback, data);
        if (!request) {
                symbol_set_free(symbols);
                return -ENOMEM;
        }
        request->owner = owner;
        request->symbols = symbols;
        submit(store, request);
        return 0;
}
