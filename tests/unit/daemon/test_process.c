/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "daemon/exec_watch.h"
#include "daemon/ingest/feed_kept.h"
#include "daemon/kept_processes.h"
#include "daemon/last_snapshots.h"
#include "daemon/process.h"
#include "daemon/process_forks.h"
#include "daemon/process_layers.h"
#include "daemon/process_private.h"
#include "daemon/run.h"
#include "tests/support/check_main.h"

static struct daemon d;
static unsigned n_removed; /* from the store of descriptors */
static void (*feed_closed)(void *data);
static void *feed_closed_data;

/* ---- what process.c meets here instead of a feed, a peer and the rest of the daemon ---- */

void feed_free(struct feed *feed, void (*closed)(void *data), void *data) {
        feed_closed = closed;
        feed_closed_data = data;
}

void kept_process_remove(struct process *p) {
        n_removed++;
}

void kept_process_update(struct process *p) {
}

void feed_end(struct feed *feed) {
}

void feed_abandon(struct feed *feed) {
}

int feed_set_info(struct feed *feed, const struct snapshot_info *info) {
        return 0;
}

const struct feed_gauges *feed_gauges(const struct feed *feed) {
        return NULL;
}

size_t feed_adopt_forks(const struct feed *feed, uint32_t *tokens, uint32_t *pids) {
        return 0;
}

const struct image_phase *feed_adopt_phase(const struct feed *feed) {
        return NULL;
}

bool feed_adopt_waits(const struct feed *feed) {
        return false;
}

void feed_adopt_start(struct feed *feed) {
}

void agent_peer_ack(struct agent_peer *p, uint64_t sequence) {
}

void agent_peer_drain(struct agent_peer *p) {
}

void agent_peer_drop(struct agent_peer *p, const char *reason) {
}

void exec_watch_begin(struct process *process) {
}

void exec_watch_back(struct process *process) {
}

void exec_watch_adopt(struct process *process, uint32_t n_execs) {
}

void last_snapshots_take(struct process *p) {
}

void process_forks_note(struct process *p, uint32_t token, pid_t pid) {
}

void process_forks_sweep(struct process *p) {
}

void process_free_layers(struct process *p) {
}

void run_remove(struct run *r, const struct process *p) {
}

/* ---- the end of a process ---- */

static struct process *process_with_feed(void) {
        struct process *p = calloc(1, sizeof *p);
        ck_assert_ptr_nonnull(p);
        p->daemon = &d;
        p->pidfd = -1;
        p->feed = (struct feed *)p; /* nobody looks into it */
        p->kept = true;
        process_link(p);
        return p;
}

START_TEST(process_is_in_the_store_until_its_children_have_its_table)
{
        process_close(process_with_feed());
        ck_assert_ptr_null(d.processes);
        ck_assert_uint_eq(n_removed, 0); /* its worker has not detached the feed, which is what gives it to them */
        feed_closed(feed_closed_data);
        ck_assert_uint_eq(n_removed, 1);
}
END_TEST

START_TEST(process_that_is_left_to_the_next_daemon_stays_in_the_store)
{
        struct process *p = process_with_feed();
        p->left = true;
        process_close(p);
        feed_closed(feed_closed_data);
        ck_assert_uint_eq(n_removed, 0);
}
END_TEST

CHECK_MAIN("daemon/process", process_is_in_the_store_until_its_children_have_its_table,
           process_that_is_left_to_the_next_daemon_stays_in_the_store)
