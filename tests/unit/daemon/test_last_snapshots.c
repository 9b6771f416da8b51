/* SPDX-License-Identifier: Apache-2.0 */

/* Which snapshots are taken of an image that is over; that they are stored is test_store's. */

#include "daemon/base/clock.h"
#include "daemon/daemon.h"
#include "daemon/exit_status.h"
#include "daemon/ingest/feed.h"
#include "daemon/kept_processes.h"
#include "daemon/last_snapshots.h"
#include "daemon/late_symbols.h"
#include "daemon/process.h"
#include "daemon/run.h"
#include "daemon/store/store.h"
#include "tests/support/check_main.h"

#include <unistd.h>

#define MIN_AGE_S 10

static struct daemon d = {.config.exit_min_age_s = MIN_AGE_S};
static struct feed_gauges gauges;
static unsigned finish_flags;
static feed_finish_cb finished;
static void *finished_data;

/* ---- what last_snapshots.c meets here instead of a feed and the rest of the daemon ---- */

int feed_finish(struct feed *feed, unsigned flags, const char *ended_by, feed_finish_cb cb, void *data) {
        finish_flags = flags;
        finished = cb;
        finished_data = data;
        return 0;
}

const struct feed_gauges *feed_gauges(const struct feed *feed) {
        return &gauges;
}

char *exit_status_describe(int pidfd, pid_t pid, bool agent_saw, int agent_status) {
        return NULL;
}

bool exit_status_is_kill(int pidfd, pid_t pid) {
        return false;
}

void kept_process_update(struct process *p) {
}

void late_symbols_add(struct late_symbols *l, int64_t snapshot) {
}

bool process_outlives_daemon(const struct process *p) {
        return false;
}

void process_is_stored(struct process *p) {
}

struct snapshot *snapshot_unref(struct snapshot *s) {
        return NULL;
}

int store_put(struct store *store, struct snapshot *snapshot, int64_t set, store_callback callback, void *data) {
        return 0;
}

int store_put_once(struct store *store, struct snapshot *snapshot, store_callback callback, void *data) {
        return 0;
}

/* ---- how long it lived ---- */

static struct process process;

static void grow_older(uint64_t seconds) {
        process.proc.start_ticks -= seconds * (uint64_t)sysconf(_SC_CLK_TCK);
}

/* It began @age_s ago; a machine that has not been up for so long knows no such process, but the sum is the same. */
static void end_process(uint64_t age_s) {
        process = (struct process){.daemon = &d, .pidfd = -1};
        process.proc.start_ticks =
                (uint64_t)clock_ns(CLOCK_BOOTTIME) / (uint64_t)(NS_PER_SECOND / sysconf(_SC_CLK_TCK));
        grow_older(age_s);
        last_snapshots_take(&process);
}

START_TEST(an_image_that_lived_long_enough_leaves_its_last_snapshots)
{
        end_process(MIN_AGE_S + 1);
        ck_assert_uint_eq(finish_flags, FEED_FINISH_EXIT | FEED_FINISH_PEAK);
        end_process(MIN_AGE_S - 5);
        ck_assert_uint_eq(finish_flags, 0);
}
END_TEST

/* Between a fork and its exec, as of shells, where the worker comes to read the rest much later. */
START_TEST(an_image_is_as_old_as_it_was_when_its_end_was_noticed)
{
        end_process(MIN_AGE_S - 5);
        process.forked = true;
        process.replaced_by = "exec";
        grow_older(2 * MIN_AGE_S);
        finished(finished_data, NULL, NULL, 0);
        ck_assert(process.interlude);
        free(process.ended_by);

        end_process(MIN_AGE_S + 1);
        process.forked = true;
        process.replaced_by = "exec";
        finished(finished_data, NULL, NULL, 0);
        ck_assert(!process.interlude);
        free(process.ended_by);
}
END_TEST

CHECK_MAIN("daemon/last_snapshots", an_image_that_lived_long_enough_leaves_its_last_snapshots,
           an_image_is_as_old_as_it_was_when_its_end_was_noticed)
