/* SPDX-License-Identifier: Apache-2.0 */

/* Runs of tmctl. Main loop; made by a client's request, fed by process.c. */

#include "daemon/run.h"

#include "daemon/daemon.h"
#include "daemon/process.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int run_new(struct daemon *d, const struct credentials *client, const void *label, size_t label_length,
            struct run **runp) {
        struct run *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->daemon = d;
        r->uid = client->uid;
        r->client = client->pid;
        r->label = strndup(label_length ? label : "", label_length);
        int result = r->label ? 0 : -ENOMEM;
        if (result == 0 && getrandom(r->token, sizeof r->token, 0) != sizeof r->token)
                result = -errno;
        if (result < 0) {
                free(r->label);
                free(r);
                return result;
        }
        r->next = d->runs;
        d->runs = r;
        *runp = r;
        return 0;
}

bool run_has_token(const struct run *r, const void *token, size_t length) {
        return length == RUN_TOKEN_BYTES && memcmp(r->token, token, length) == 0;
}

struct run *run_find(struct daemon *d, uid_t uid, const void *token, size_t length) {
        for (struct run *r = d->runs; r; r = r->next) {
                if (r->uid == uid && run_has_token(r, token, length))
                        return r;
        }
        return NULL;
}

static void result_deinit(struct run_result *result) {
        free(result->name);
        free(result->exe);
        free(result->ended_by);
        free(result->layer_note);
}

static void run_free(struct run *r) {
        struct run **link = &r->daemon->runs;
        while (*link != r)
                link = &(*link)->next;
        *link = r->next;
        for (size_t i = 0; i < r->n_results; i++)
                result_deinit(&r->results[i]);
        free(r->label);
        free(r);
}

/* Images before this one, on their way to the store or there. */
static void note_successor(struct run *r, const struct process *p) {
        for (struct process *q = r->daemon->processes; q; q = q->next) {
                if (q->run == r && q->proc.pid == p->proc.pid && q->proc.start_ticks == p->proc.start_ticks)
                        q->went_untraced = false;
        }
        for (size_t i = 0; i < r->n_results; i++) {
                if ((pid_t)r->results[i].pid == p->proc.pid && r->results[i].start_ticks == p->proc.start_ticks)
                        r->results[i].went_untraced = false;
        }
}

void run_add(struct run *r, const struct process *p) {
        r->n_processes++;
        if (!r->command && p->proc.ppid == r->client)
                r->command = p->proc.pid;
        note_successor(r, p);
}

static int result_of(const struct process *p, struct run_result *result) {
        *result = (struct run_result){
                .pid = (uint32_t)p->proc.pid,
                .ppid = (uint32_t)p->proc.ppid,
                .uid = p->uid,
                .image = p->image,
                .traceback_limit = p->traceback_limit,
                .name = strdup(p->name),
                .exe = strdup(p->exe),
                .ended_by = strdup(p->ended_by ? p->ended_by : ""),
                .layer_note = strdup(p->layer_note ? p->layer_note : ""),
                .start_ticks = p->proc.start_ticks,
                .started_at_ns = p->proc.started_at_ns,
                .exit_snapshot = p->exit_snapshot,
                .peak_snapshot = p->peak_snapshot,
                .gauges = *feed_gauges(p->feed),
                .went_untraced = p->went_untraced,
                .allocated_size = p->allocated_size,
                .allocated_count = p->allocated_count,
        };
        if (result->name && result->exe && result->ended_by && result->layer_note)
                return 0;
        result_deinit(result);
        return -ENOMEM;
}

/* The command's last image is kept whatever its size. */
static bool outranks(const struct run *r, const struct run_result *a, const struct run_result *b) {
        bool a_command = (pid_t)a->pid == r->command, b_command = (pid_t)b->pid == r->command;
        if (a_command != b_command)
                return a_command;
        if (a_command)
                return a->image > b->image;
        return a->gauges.peak_size > b->gauges.peak_size;
}

/* They are about to be looked at, and what else a large build leaves would push them out. */
static void pin_results(struct run *r) {
        for (size_t i = 0; i < r->n_results; i++)
                store_pin(r->daemon->store, (int64_t[]){r->results[i].peak_snapshot, r->results[i].exit_snapshot}, 2);
}

static void insert_result(struct run *r, struct run_result *result) {
        size_t i = r->n_results;
        if (i == RUN_RESULTS_KEPT) {
                i--;
                if (!outranks(r, result, &r->results[i]))
                        return result_deinit(result);
                result_deinit(&r->results[i]);
        } else {
                r->n_results++;
        }
        for (; i > 0 && outranks(r, result, &r->results[i - 1]); i--)
                r->results[i] = r->results[i - 1];
        r->results[i] = *result;
        pin_results(r);
}

void run_remove(struct run *r, const struct process *p) {
        struct run_result result;
        r->n_processes--;
        if (!p->interlude) {
                r->n_ended++;
                if (result_of(p, &result) == 0)
                        insert_result(r, &result);
        }
        if (r->changed)
                r->changed(r->data);
        else if (r->abandoned && r->n_processes == 0)
                run_free(r);
}

void run_abandon(struct run *r) {
        r->abandoned = true;
        r->changed = NULL;
        if (r->n_processes == 0)
                run_free(r);
}

void run_tell_all(struct daemon *d) {
        for (struct run *r = d->runs, *next; r; r = next) {
                next = r->next;
                if (r->changed)
                        r->changed(r->data);
        }
}

size_t run_n_alive(const struct run *r) {
        size_t n = 0;
        for (const struct process *p = r->daemon->processes; p; p = p->next)
                n += p->run == r && p->state == PROCESS_ALIVE && !p->interlude;
        return n;
}

bool run_is_due(const struct run *r) {
        for (struct process *p = r->daemon->processes; p; p = p->next) {
                if (p->run != r)
                        continue;
                process_notice_end(p);
                if (p->state == PROCESS_ENDING || (p->state == PROCESS_ALIVE && p->proc.pid == r->command))
                        return true;
        }
        return false;
}
