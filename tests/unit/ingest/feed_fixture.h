/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A worker on a loop, feeds on it, and what is asked of them: for the tests of the feed. */

#include "daemon/ingest/feed.h"
#include "daemon/ingest/worker_private.h"
#include "tests/support/check_main.h"
#include "tests/unit/ingest/ring_writer.h"

#include <dirent.h>

static uv_loop_t loop;
static struct worker *worker;
static struct ring_writer writer;
static struct feed *feed;
static unsigned descriptors_before;
static struct feed_notice notices[16];
static unsigned n_notices;

static inline unsigned count_descriptors(void) {
        unsigned n = 0;
        DIR *dir = opendir("/proc/self/fd");
        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static inline void on_closed(void *data) {
        *(bool *)data = true;
}

static inline void run_until(const bool *flag) {
        while (!*flag)
                uv_run(&loop, UV_RUN_ONCE);
}

static inline void open_worker(void) {
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        descriptors_before = count_descriptors();
        ck_assert_int_eq(worker_new(&loop, -1, &worker), 0);
        n_notices = 0;
}

static inline void close_worker(void) {
        bool closed = false;
        ck_assert_uint_eq(worker_n_feeds(worker), 0);
        worker_free(worker, on_closed, &closed);
        run_until(&closed);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(count_descriptors(), descriptors_before);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static inline void on_notice(void *data, struct feed *from, const struct feed_notice *notice) {
        if (n_notices == sizeof notices / sizeof notices[0])
                n_notices--; /* the last one counts */
        notices[n_notices++] = *notice;
}

static inline struct feed_options default_options(void) {
        static char name[] = "prog", label[] = "label";
        static struct snapshot_info info = {.pid = 12, .uid = 34, .image = 2, .name = name, .label = label};
        return (struct feed_options){.mode = TRACE_EXACT,
                                     .traceback_limit = 64,
                                     .domains = 3,
                                     .stall_limit_us = 1000,
                                     .hole_timeout_ms = 100000, /* a thread of a test may lose its processor */
                                     .info = &info,
                                     .notify = on_notice};
}

static inline struct feed *open_ring(struct ring_writer *w, unsigned log2_size, const struct feed_options *options) {
        const char *reason = NULL;
        struct feed *opened;
        writer_open(w, log2_size);
        int r = feed_new_ring(worker, w->ring_fd, w->definitions_fd, options, &opened, &reason);
        ck_assert_msg(r == 0, "%s", reason);
        writer_connect(w, feed_control_fd(opened), worker_doorbell_fd(feed_worker(opened)));
        return opened;
}

static inline void free_feed(struct feed *which) {
        bool closed = false;
        feed_free(which, on_closed, &closed);
        run_until(&closed);
}

static inline void open_feed(void) {
        open_worker();
        struct feed_options options = default_options();
        feed = open_ring(&writer, RING_LOG2_SIZE_MIN, &options);
}

static inline void close_feed(void) {
        free_feed(feed);
        writer_close(&writer);
        close_worker();
}

struct answer {
        bool come;
        struct snapshot *snapshot, *peak;
        int error;
};

static inline void on_snapshot(void *data, struct snapshot *snapshot, int error) {
        *(struct answer *)data = (struct answer){.come = true, .snapshot = snapshot, .error = error};
}

static inline void on_finished(void *data, struct snapshot *snapshot, struct snapshot *peak, int error) {
        *(struct answer *)data = (struct answer){.come = true, .snapshot = snapshot, .peak = peak, .error = error};
}

static inline void ask(struct feed *which, enum snapshot_kind kind, uint64_t position, struct answer *answer) {
        struct feed_snapshot_options options = {.kind = kind, .position = position};
        *answer = (struct answer){};
        ck_assert_int_eq(feed_snapshot(which, &options, on_snapshot, answer), 0);
}

static inline struct snapshot *take(struct feed *which, enum snapshot_kind kind) {
        struct answer answer;
        ask(which, kind, FEED_POSITION_NOW, &answer);
        run_until(&answer.come);
        ck_assert_int_eq(answer.error, 0);
        return answer.snapshot;
}

static inline void expect_live(struct feed *which, uint64_t size, uint64_t count) {
        struct snapshot *s = take(which, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->info.size, size);
        ck_assert_uint_eq(s->info.count, count);
        snapshot_unref(s);
}

static inline void put_alloc(uint64_t address, uint64_t size) {
        writer_put(&writer, RECORD_ALLOC, 0, 0, address, size, 0);
}

static inline void put_free(uint64_t address) {
        writer_put(&writer, RECORD_FREE, 0, 0, address, 0, 0);
}
