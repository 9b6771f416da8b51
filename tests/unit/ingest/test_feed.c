/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/feed.h"
#include "daemon/ingest/feed_push.h"
#include "daemon/ingest/feed_reader.h"
#include "daemon/ingest/worker_private.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/unit/ingest/ring_writer.h"
#include "tests/support/check_main.h"

static uv_loop_t loop;
static struct worker *worker;
static struct ring_writer writer;
static struct feed *feed;
static unsigned descriptors_before;
static struct feed_notice notices[16];
static unsigned n_notices;

static unsigned count_descriptors(void) {
        unsigned n = 0;
        DIR *dir = opendir("/proc/self/fd");
        ck_assert_ptr_nonnull(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void on_closed(void *data) {
        *(bool *)data = true;
}

static void run_until(const bool *flag) {
        while (!*flag)
                uv_run(&loop, UV_RUN_ONCE);
}

static void open_worker(void) {
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        descriptors_before = count_descriptors();
        ck_assert_int_eq(worker_new(&loop, -1, &worker), 0);
        n_notices = 0;
}

static void close_worker(void) {
        bool closed = false;
        ck_assert_uint_eq(worker_n_feeds(worker), 0);
        worker_free(worker, on_closed, &closed);
        run_until(&closed);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(count_descriptors(), descriptors_before);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void on_notice(void *data, struct feed *from, const struct feed_notice *notice) {
        if (n_notices == sizeof notices / sizeof notices[0])
                n_notices--; /* the last one counts */
        notices[n_notices++] = *notice;
}

static struct feed_options default_options(void) {
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

static struct feed *open_ring(struct ring_writer *w, unsigned log2_size, const struct feed_options *options) {
        const char *reason = NULL;
        struct feed *opened;
        writer_open(w, log2_size);
        int r = feed_new_ring(worker, w->ring_fd, w->definitions_fd, options, &opened, &reason);
        ck_assert_msg(r == 0, "%s", reason);
        writer_connect(w, feed_control_fd(opened), worker_doorbell_fd(feed_worker(opened)));
        return opened;
}

static void open_feed(void) {
        open_worker();
        struct feed_options options = default_options();
        feed = open_ring(&writer, RING_LOG2_SIZE_MIN, &options);
}

/* Declares holes lost as soon as it can. */
static void open_impatient_feed(void) {
        open_worker();
        struct feed_options options = default_options();
        options.hole_timeout_ms = 1;
        feed = open_ring(&writer, RING_LOG2_SIZE_MIN, &options);
}

static void free_feed(struct feed *which) {
        bool closed = false;
        feed_free(which, on_closed, &closed);
        run_until(&closed);
}

static void close_feed(void) {
        free_feed(feed);
        writer_close(&writer);
        close_worker();
}

struct answer {
        bool come;
        struct snapshot *snapshot, *peak;
        int error;
};

static void on_snapshot(void *data, struct snapshot *snapshot, int error) {
        *(struct answer *)data = (struct answer){.come = true, .snapshot = snapshot, .error = error};
}

static void on_finished(void *data, struct snapshot *snapshot, struct snapshot *peak, int error) {
        *(struct answer *)data = (struct answer){.come = true, .snapshot = snapshot, .peak = peak, .error = error};
}

static void ask(struct feed *which, enum snapshot_kind kind, uint64_t position, struct answer *answer) {
        struct feed_snapshot_options options = {.kind = kind, .position = position};
        *answer = (struct answer){};
        ck_assert_int_eq(feed_snapshot(which, &options, on_snapshot, answer), 0);
}

static struct snapshot *take(struct feed *which, enum snapshot_kind kind) {
        struct answer answer;
        ask(which, kind, FEED_POSITION_NOW, &answer);
        run_until(&answer.come);
        ck_assert_int_eq(answer.error, 0);
        return answer.snapshot;
}

static void expect_live(struct feed *which, uint64_t size, uint64_t count) {
        struct snapshot *s = take(which, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->info.size, size);
        ck_assert_uint_eq(s->info.count, count);
        snapshot_unref(s);
}

static void put_alloc(uint64_t address, uint64_t size) {
        writer_put(&writer, RECORD_ALLOC, 0, 0, address, size, 0);
}

static void put_free(uint64_t address) {
        writer_put(&writer, RECORD_FREE, 0, 0, address, 0, 0);
}

START_TEST(worker_starts_and_stops_and_leaves_no_descriptor)
{
        open_worker();
        close_worker();
}
END_TEST

static enum worker_job_state run_job(struct worker_job *job) {
        return WORKER_JOB_DONE;
}

static bool job_done;

static void on_job_done(struct worker_job *job) {
        job_done = true;
}

START_TEST(job_is_run_and_then_done_even_when_the_worker_is_freed_at_once)
{
        open_worker();
        struct worker_job job = {.run = run_job, .done = on_job_done};
        job_done = false;
        worker_call(worker, &job);
        close_worker();
        ck_assert(job_done);
}
END_TEST

START_TEST(snapshot_has_what_came_before_it_and_whose_it_is)
{
        put_alloc(0x1000, 10);
        put_alloc(0x2000, 20);
        put_free(0x1000);
        struct snapshot *s = take(feed, SNAPSHOT_REQUEST);
        ck_assert_uint_eq(s->info.size, 20);
        ck_assert_uint_eq(s->info.count, 1);
        ck_assert_uint_eq(s->info.pid, 12);
        ck_assert_uint_eq(s->info.uid, 34);
        ck_assert_uint_eq(s->info.image, 2);
        ck_assert_uint_eq(s->info.kind, SNAPSHOT_REQUEST);
        ck_assert_str_eq(s->info.name, "prog");
        ck_assert_str_eq(s->info.label, "label");
        ck_assert_str_eq(s->info.unit, "");
        ck_assert_int_ne(s->info.taken_at_ns, 0);
        ck_assert(s->info.exact);
        ck_assert_uint_eq(s->groups[0].allocated_size, 20 + 10);
        snapshot_unref(s);
        const struct feed_gauges *gauges = feed_gauges(feed);
        ck_assert_uint_eq(gauges->live_size, 20);
        ck_assert_uint_eq(gauges->peak_size, 30);
        ck_assert_uint_eq(gauges->events, 3);
        ck_assert_uint_eq(gauges->n_domains, 1);
        ck_assert_str_eq(gauges->domains[0].name, "malloc");
        ck_assert_uint_eq(gauges->domains[0].number, DOMAIN_MALLOC);
}
END_TEST

START_TEST(snapshot_at_a_position_has_nothing_of_what_came_after)
{
        uint64_t hole = writer_reserve(&writer, RECORD_ALLOC); /* nothing is read beyond it yet */
        uint64_t position = feed_position(feed);
        struct answer first, second;
        put_alloc(0x2000, 200);
        ask(feed, SNAPSHOT_LIVE, position, &first);
        ask(feed, SNAPSHOT_LIVE, FEED_POSITION_NOW, &second);
        writer_fill(&writer, hole, RECORD_ALLOC, 0, 0, 0x1000, 100, 0);
        run_until(&first.come);
        run_until(&second.come);
        ck_assert_uint_eq(first.snapshot->info.size, 100);
        ck_assert_uint_eq(second.snapshot->info.size, 300);
        snapshot_unref(first.snapshot);
        snapshot_unref(second.snapshot);
}
END_TEST

START_TEST(peak_snapshot_is_what_was_alive_then)
{
        uint32_t a = writer_node(&writer, 0, 0, 1), b = writer_node(&writer, 0, 0, 2);
        writer_put(&writer, RECORD_ALLOC, 0, a, 0x1000, 100, 0);
        writer_put(&writer, RECORD_ALLOC, 0, b, 0x2000, 50, 0);
        put_free(0x1000);
        writer_put(&writer, RECORD_ALLOC, 0, b, 0x3000, 30, 0);
        struct snapshot *s = take(feed, SNAPSHOT_PEAK);
        ck_assert_uint_eq(s->info.size, 150);
        ck_assert_uint_eq(s->info.count, 2);
        ck_assert(!s->info.sizes_known);
        ck_assert_uint_eq(s->n_groups, 2);
        snapshot_unref(s);
        ck_assert_int_eq(feed_reset_peak(feed), 0);
        s = take(feed, SNAPSHOT_PEAK);
        ck_assert_uint_eq(s->info.size, 80);
        snapshot_unref(s);
}
END_TEST

START_TEST(clear_and_stop_forget_and_start_begins_again)
{
        put_alloc(0x1000, 10);
        ck_assert_int_eq(feed_clear(feed), 0);
        put_alloc(0x2000, 20);
        expect_live(feed, 20, 1);
        ck_assert_int_eq(feed_set_mode(feed, TRACE_OFF), 0);
        ck_assert_uint_eq(atomic_load(&writer.control->mode), TRACE_OFF);
        put_alloc(0x3000, 30);
        expect_live(feed, 0, 0);
        ck_assert(!feed_gauges(feed)->tracing);
        ck_assert_int_eq(feed_set_mode(feed, TRACE_EXACT), 0);
        ck_assert_uint_eq(atomic_load(&writer.control->mode), TRACE_EXACT);
        put_free(0x2000);
        put_alloc(0x4000, 40);
        expect_live(feed, 40, 1);
        ck_assert(feed_gauges(feed)->exact);
        feed_set_limits(feed, 7, 1);
        ck_assert_uint_eq(atomic_load(&writer.control->traceback_limit), 7);
        feed_end(feed);
        ck_assert_uint_eq(atomic_load(&writer.control->mode), TRACE_ENDED);
}
END_TEST

START_TEST(hole_of_a_living_process_is_declared_lost_in_time)
{
        writer_reserve(&writer, RECORD_ALLOC);
        put_alloc(0x2000, 20);
        struct snapshot *s = take(feed, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->info.size, 20);
        ck_assert_uint_eq(s->info.lost, 1);
        ck_assert(!s->info.exact);
        snapshot_unref(s);
}
END_TEST

START_TEST(writer_that_comes_back_to_a_hole_declared_lost_does_not_break_the_feed)
{
        writer_reserve(&writer, RECORD_ALLOC);
        put_alloc(0x2000, 20);
        expect_live(feed, 20, 1);
        /* what it writes lands in another's record: here a header in a payload */
        writer_put(&writer, RECORD_FREE, 0, 0, RECORD_HEADER_BIT | 1, 0, 0);
        put_alloc(0x3000, 30);
        struct snapshot *s = take(feed, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->info.size, 50);
        ck_assert_uint_ge(s->info.lost, 2);
        ck_assert(!s->info.exact);
        snapshot_unref(s);
        ck_assert_uint_eq(n_notices, 0);
}
END_TEST

START_TEST(ring_of_a_dead_process_is_read_past_its_holes)
{
        for (unsigned i = 0; i < 500; i++) {
                put_alloc(0x1000 + 16 * i, 1);
                if (i % 50 == 0)
                        writer_reserve(&writer, RECORD_ALLOC);
        }
        writer_reserve(&writer, RECORD_ALLOC);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, FEED_FINISH_EXIT | FEED_FINISH_PEAK, "signal 9", on_finished, &answer), 0);
        run_until(&answer.come);
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.snapshot->info.count, 500);
        ck_assert_uint_eq(answer.snapshot->info.lost, 11);
        ck_assert_uint_eq(answer.snapshot->info.kind, SNAPSHOT_EXIT);
        ck_assert_str_eq(answer.snapshot->info.ended_by, "signal 9");
        ck_assert_uint_eq(answer.peak->info.count, 500);
        ck_assert_uint_eq(answer.peak->info.kind, SNAPSHOT_PEAK);
        snapshot_unref(answer.snapshot);
        snapshot_unref(answer.peak);
        ck_assert_uint_eq(feed_gauges(feed)->live_count, 500);
        ask(feed, SNAPSHOT_LIVE, FEED_POSITION_NOW, &answer);
        run_until(&answer.come);
        ck_assert_int_eq(answer.error, -ESRCH);
}
END_TEST

START_TEST(finish_without_snapshots_reads_all_and_answers)
{
        put_alloc(0x1000, 10);
        writer_put(&writer, RECORD_EXIT, 0, 0, 3, 0, 0);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, 0, NULL, on_finished, &answer), 0);
        run_until(&answer.come);
        ck_assert_ptr_null(answer.snapshot);
        ck_assert_ptr_null(answer.peak);
        ck_assert(feed_gauges(feed)->exit_seen);
        ck_assert_uint_eq(feed_gauges(feed)->exit_status, 3);
        ck_assert_uint_eq(n_notices, 1);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_EXIT);
        ck_assert_uint_eq(notices[0].status, 3);
}
END_TEST

START_TEST(what_is_asked_before_free_is_answered_before_closed)
{
        struct answer snapshot, finish = {};
        writer_reserve(&writer, RECORD_ALLOC);
        ask(feed, SNAPSHOT_LIVE, FEED_POSITION_NOW, &snapshot);
        ck_assert_int_eq(feed_finish(feed, FEED_FINISH_EXIT, NULL, on_finished, &finish), 0);
        close_feed();
        ck_assert(snapshot.come && finish.come);
        ck_assert(snapshot.error == 0 || snapshot.error == -ECANCELED);
        ck_assert(finish.error == 0 || finish.error == -ECANCELED);
        snapshot_unref(snapshot.snapshot);
        snapshot_unref(finish.snapshot);
        open_feed(); /* for the fixture */
}
END_TEST

START_TEST(malformed_record_is_told_once_and_the_table_stays)
{
        put_alloc(0x1000, 10);
        writer_put(&writer, RECORD_FREE, 0, 0, RECORD_HEADER_BIT | 1, 0, 0);
        put_alloc(0x2000, 20);
        struct snapshot *s = take(feed, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->info.size, 10);
        ck_assert(!s->info.exact);
        snapshot_unref(s);
        ck_assert_uint_eq(n_notices, 1);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_MALFORMED);
        ck_assert_str_eq(notices[0].reason, "malformed record in the ring");
        ck_assert(feed_gauges(feed)->malformed);
}
END_TEST

START_TEST(head_that_jumps_is_malformed)
{
        atomic_store(&writer.header->head, UINT64_C(1) << 40);
        struct answer answer;
        ask(feed, SNAPSHOT_LIVE, FEED_POSITION_NOW, &answer);
        run_until(&answer.come);
        ck_assert_int_eq(answer.error, 0);
        ck_assert(!answer.snapshot->info.exact);
        snapshot_unref(answer.snapshot);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_MALFORMED);
}
END_TEST

START_TEST(head_that_goes_back_after_a_request_leaves_nobody_waiting)
{
        put_alloc(0x1000, 10);
        expect_live(feed, 10, 1);
        struct answer answer;
        ask(feed, SNAPSHOT_LIVE, feed_position(feed) + 24, &answer); /* as if sampled before it went back */
        run_until(&answer.come);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_MALFORMED);
        snapshot_unref(answer.snapshot);
}
END_TEST

static void put_module(uint32_t generation, const char *path) {
        Tracemallocd__Agent__Item item = TRACEMALLOCD__AGENT__ITEM__INIT;
        Tracemallocd__Agent__ModuleDef module = TRACEMALLOCD__AGENT__MODULE_DEF__INIT;
        module.generation = generation;
        module.path = (ProtobufCBinaryData){.len = strlen(path), .data = (uint8_t *)path};
        item.body_case = TRACEMALLOCD__AGENT__ITEM__BODY_MODULE;
        item.module = &module;
        writer_put(&writer, RECORD_MODULE_LOAD, 0, generation, writer_item(&writer, &item), 0, 0);
}

START_TEST(frames_have_their_modules)
{
        put_module(1, "/usr/bin/prog");
        uint32_t main_frame = writer_node(&writer, 0, 1, 0x401000);
        uint32_t leaf = writer_node(&writer, main_frame, 1, 0x402000);
        writer_put(&writer, RECORD_ALLOC, 0, leaf, 0x1000, 10, 0);
        struct snapshot *s = take(feed, SNAPSHOT_LIVE);
        ck_assert_uint_eq(s->n_modules, 1);
        ck_assert_str_eq(s->strings[s->modules[0].path].bytes, "/usr/bin/prog");
        ck_assert_uint_eq(s->n_groups, 1);
        ck_assert_uint_eq(s->nodes[s->groups[0].node].depth, 2);
        ck_assert_uint_eq(s->locations[s->nodes[s->groups[0].node].location].offset, 0x402000);
        snapshot_unref(s);
}
END_TEST

START_TEST(module_record_without_its_item_is_malformed)
{
        writer_put(&writer, RECORD_MODULE_LOAD, 0, 1, 8, 0, 0);
        struct snapshot *s = take(feed, SNAPSHOT_LIVE);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_MALFORMED);
        snapshot_unref(s);
}
END_TEST

/* ---- fork ---- */

static struct ring_writer child_writer;

static struct feed *open_child(uint32_t token) {
        struct feed_options options = default_options();
        options.parent = feed;
        options.fork_token = token;
        return open_ring(&child_writer, RING_LOG2_SIZE_MIN, &options);
}

static void close_child(struct feed *child) {
        free_feed(child);
        writer_close(&child_writer);
}

START_TEST(child_has_the_parents_blocks_of_the_fork)
{
        for (uint64_t i = 0; i < 1000; i++)
                put_alloc(0x1000 + 16 * i, 2);
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        writer_put(&writer, RECORD_FORK_DONE, 0, 7, 99, 0, 0);
        for (uint64_t i = 0; i < 500; i++)
                put_free(0x1000 + 16 * i);
        struct feed *child = open_child(7);
        writer_put(&child_writer, RECORD_FREE, 0, 0, 0x1000, 0, 0);
        expect_live(child, 1998, 999);
        ck_assert(feed_gauges(child)->exact);
        expect_live(feed, 1000, 500);
        ck_assert_uint_eq(feed_gauges(feed)->n_forks, 0);
        ck_assert_int_eq(notices[0].kind, FEED_NOTICE_FORK_DONE);
        ck_assert_uint_eq(notices[0].token, 7);
        ck_assert_uint_eq(notices[0].pid, 99);
        close_child(child);
}
END_TEST

START_TEST(child_of_a_dead_parent_still_gets_its_blocks)
{
        put_alloc(0x1000, 10);
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        put_free(0x1000);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, FEED_FINISH_EXIT, NULL, on_finished, &answer), 0);
        run_until(&answer.come);
        snapshot_unref(answer.snapshot);
        ck_assert_uint_eq(feed_gauges(feed)->n_forks, 1);
        struct feed *child = open_child(7);
        expect_live(child, 10, 1);
        ck_assert(feed_gauges(child)->exact);
        close_child(child);
}
END_TEST

struct rounds {
        struct worker_job job;
        struct feed_round_result result;
        bool done;
};

/* As many as settle everything; what the last one said. */
static enum worker_job_state run_rounds(struct worker_job *job) {
        struct rounds *rounds = (struct rounds *)job;
        for (int i = 0; i < 10; i++)
                rounds->result = feed_round_all(job->worker->feeds, 1, false);
        return WORKER_JOB_DONE;
}

static void on_rounds_done(struct worker_job *job) {
        ((struct rounds *)job)->done = true;
}

/* A worker once span for as long as an orphan lived. */
START_TEST(dead_parent_that_waits_for_its_child_lets_the_worker_sleep)
{
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, FEED_FINISH_EXIT, NULL, on_finished, &answer), 0);
        run_until(&answer.come);
        snapshot_unref(answer.snapshot);
        struct rounds rounds = {.job = {.run = run_rounds, .done = on_rounds_done}};
        worker_call(worker, &rounds.job);
        run_until(&rounds.done);
        ck_assert(!rounds.result.more);
        ck_assert_uint_eq(rounds.result.due_ns, UINT64_MAX);
}
END_TEST

START_TEST(child_that_greets_while_its_dead_parent_is_read_gets_its_blocks)
{
        for (uint64_t i = 0; i < 1000; i++)
                put_alloc(0x1000 + 16 * i, 2);
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, 0, NULL, on_finished, &answer), 0);
        struct feed *child = open_child(7);
        expect_live(child, 2000, 1000);
        ck_assert(feed_gauges(child)->exact);
        run_until(&answer.come);
        close_child(child);
}
END_TEST

START_TEST(parent_freed_right_after_the_child_came_leaves_it_its_blocks)
{
        put_alloc(0x1000, 10);
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        struct feed *child = open_child(7);
        struct ring_writer parent_writer = writer;
        free_feed(feed);
        writer_close(&parent_writer);
        expect_live(child, 10, 1);
        close_child(child);
        struct feed_options options = default_options();
        feed = open_ring(&writer, RING_LOG2_SIZE_MIN, &options); /* for the fixture */
}
END_TEST

START_TEST(child_with_an_unknown_token_starts_empty_and_inexact)
{
        put_alloc(0x1000, 10);
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        struct feed *child = open_child(8);
        expect_live(child, 0, 0);
        ck_assert(!feed_gauges(child)->exact);
        close_child(child);
}
END_TEST

START_TEST(dropped_fork_is_gone)
{
        writer_put(&writer, RECORD_FORK, 0, 7, 0, 0, 0);
        feed_drop_fork(feed, 7);
        expect_live(feed, 0, 0);
        ck_assert_uint_eq(feed_gauges(feed)->n_forks, 0);
}
END_TEST

/* ---- refusals ---- */

/* A fork of the agent for the one that maps the ring: until it does an exec, or ends. */
START_TEST(ring_has_a_writer_as_long_as_somebody_maps_it)
{
        struct feed *without;
        struct ring_writer gone;
        int ready[2];
        struct feed_options options = default_options();
        ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
        without = open_ring(&gone, RING_LOG2_SIZE_MIN, &options);
        ck_assert(feed_has_writer(without));
        pid_t child = fork();
        if (child == 0) {
                char byte;
                close(ready[1]);
                ck_assert_int_eq(read(ready[0], &byte, 1), 0);
                execl("/bin/sleep", "sleep", "100", NULL);
                _exit(1);
        }
        writer_close(&gone);
        ck_assert(feed_has_writer(without));
        close(ready[1]);
        while (feed_has_writer(without)) /* its exec */
                sched_yield();
        ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        close(ready[0]);
        free_feed(without);
        ck_assert(feed_has_writer(feed));
}
END_TEST

START_TEST(bad_descriptors_are_refused_with_a_reason_and_closed)
{
        struct feed_options options = default_options();
        struct feed *other;
        const char *reason = NULL;
        void *memory;
        unsigned before = count_descriptors();
        int ring = writer_memfd(RING_HEADER_BYTES + 65536, WRITER_SEALS, &memory);
        int definitions = writer_memfd(4096, WRITER_SEALS, &memory);
        ck_assert_int_eq(feed_new_ring(worker, ring, definitions, &options, &other, &reason), FEED_E_REFUSED);
        ck_assert_str_eq(reason, "ring has another magic or version");
        ck_assert_uint_eq(count_descriptors(), before);
        struct ring_writer good;
        writer_open(&good, RING_LOG2_SIZE_MIN);
        definitions = writer_memfd(4096, WRITER_SEALS, &memory);
        ck_assert_int_eq(feed_new_ring(worker, good.ring_fd, definitions, &options, &other, &reason), FEED_E_REFUSED);
        ck_assert_str_eq(reason, "definitions have another magic or version");
        close(good.definitions_fd);
        writer_close(&good);
        ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

/* ---- load ---- */

static void *hammer(void *data) {
        uint64_t base = (uint64_t)(uintptr_t)data << 32;
        for (uint64_t i = 0; i < 20000; i++) {
                writer_put(&writer, RECORD_ALLOC, 0, 0, base + 16 * (i % 1000), 8, 0);
                if (i % 2)
                        writer_put(&writer, RECORD_FREE, 0, 0, base + 16 * (i % 1000), 0, 0);
        }
        return NULL;
}

START_TEST(snapshots_under_load_are_consistent_and_nothing_is_lost)
{
        pthread_t threads[2];
        for (uintptr_t i = 0; i < 2; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
        for (unsigned i = 0; i < 10; i++) {
                struct snapshot *s = take(feed, SNAPSHOT_LIVE);
                ck_assert_uint_eq(s->info.size, 8 * s->info.count);
                ck_assert_uint_le(s->info.count, 2000);
                snapshot_unref(s);
        }
        for (unsigned i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        expect_live(feed, 8 * 1000, 1000);
        ck_assert_uint_eq(feed_gauges(feed)->events, 60000);
        ck_assert_uint_eq(feed_gauges(feed)->lost, 0);
}
END_TEST

/* ---- socket way ---- */

static struct feed *socket_feed;
static uint64_t socket_position;
static const char *refusal;

static void open_socket(void) {
        open_worker();
        struct feed_options options = default_options();
        ck_assert_int_eq(feed_new_socket(worker, &options, &socket_feed, &refusal), 0);
        socket_position = 0;
}

static void close_socket(void) {
        free_feed(socket_feed);
        close_worker();
}

static int push(const uint64_t *words, size_t n) {
        int r = feed_push_events(socket_feed, socket_position, words, 8 * n, &refusal);
        if (r == 0)
                socket_position += 8 * n;
        return r;
}

static int push_alloc(uint32_t node, uint64_t address, uint64_t size) {
        const uint64_t words[] = {record_header(RECORD_ALLOC, 0, 0, node), address, size};
        return push(words, 3);
}

START_TEST(socket_has_a_writer_until_it_is_cut_off)
{
        ck_assert(feed_has_writer(socket_feed));
        feed_cut_off(socket_feed);
        ck_assert(!feed_has_writer(socket_feed));
}
END_TEST

START_TEST(pushed_events_are_applied_and_acknowledged)
{
        const struct node_def nodes[] = {{.parent = 0, .unit = 0, .value = 5}, {.parent = 1, .unit = 0, .value = 6}};
        ck_assert_int_eq(feed_push_definitions(
                                 socket_feed, &(struct feed_definitions){1, nodes, sizeof nodes, 0, NULL, 0}, &refusal),
                         0);
        ck_assert_int_eq(push_alloc(2, 0x1000, 10), 0);
        ck_assert_int_eq(push_alloc(1, 0x2000, 20), 0);
        struct answer middle;
        ask(socket_feed, SNAPSHOT_LIVE, 24, &middle);
        expect_live(socket_feed, 30, 2);
        run_until(&middle.come);
        snapshot_unref(middle.snapshot);
        ck_assert_uint_ge(n_notices, 1);
        ck_assert_int_eq(notices[n_notices - 1].kind, FEED_NOTICE_APPLIED);
        ck_assert_uint_eq(notices[n_notices - 1].position, 48);
        ck_assert_uint_eq(feed_backlog(socket_feed), 0);
        ck_assert_int_eq(feed_control_fd(socket_feed), -1);
}
END_TEST

START_TEST(pushes_that_do_not_follow_on_are_refused)
{
        const struct node_def early = {.parent = 1, .unit = 0, .value = 5};
        const uint64_t word = record_header(RECORD_EXEC, 0, 0, 0);
        ck_assert_int_eq(feed_push_definitions(socket_feed,
                                               &(struct feed_definitions){1, &early, sizeof early, 0, NULL, 0},
                                               &refusal),
                         FEED_E_REFUSED);
        ck_assert_str_eq(refusal, "a node comes before its parent");
        ck_assert_int_eq(feed_push_definitions(socket_feed,
                                               &(struct feed_definitions){3, &early, sizeof early, 0, NULL, 0},
                                               &refusal),
                         FEED_E_REFUSED);
        ck_assert_int_eq(
                feed_push_definitions(socket_feed, &(struct feed_definitions){1, &early, 15, 0, NULL, 0}, &refusal),
                FEED_E_REFUSED);
        ck_assert_int_eq(
                feed_push_definitions(socket_feed, &(struct feed_definitions){1, NULL, 0, 8, &word, 8}, &refusal),
                FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(socket_feed, 8, &word, 8, &refusal), FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(socket_feed, 0, &word, 7, &refusal), FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(socket_feed, 0, &word, 8, &refusal), 0);
}
END_TEST

START_TEST(push_with_a_bad_record_breaks_the_feed)
{
        const uint64_t word = 5;
        ck_assert_int_eq(push_alloc(0, 0x1000, 10), 0);
        ck_assert_int_eq(push(&word, 1), 0);
        ck_assert_int_eq(push_alloc(0, 0x2000, 10), 0);
        expect_live(socket_feed, 10, 1);
        ck_assert(feed_gauges(socket_feed)->malformed);
}
END_TEST

START_TEST(finish_of_a_socket_feed_applies_what_was_pushed)
{
        for (uint64_t i = 0; i < 1000; i++)
                ck_assert_int_eq(push_alloc(0, 16 * i, 1), 0);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(socket_feed, FEED_FINISH_EXIT, NULL, on_finished, &answer), 0);
        run_until(&answer.come);
        ck_assert_uint_eq(answer.snapshot->info.count, 1000);
        snapshot_unref(answer.snapshot);
}
END_TEST

START_TEST(definitions_beyond_the_memory_limit_are_refused_as_full)
{
        struct feed_options options = default_options();
        struct feed *small;
        options.memory_limit = 100000;
        ck_assert_int_eq(feed_new_socket(worker, &options, &small, &refusal), 0);
        static const struct node_def nodes[8000];
        ck_assert_int_eq(
                feed_push_definitions(small, &(struct feed_definitions){1, nodes, sizeof nodes, 0, NULL, 0}, &refusal),
                FEED_E_FULL);
        free_feed(small);
}
END_TEST

START_TEST(feeds_beyond_the_share_of_their_user_are_refused_as_full)
{
        struct feed_options options = default_options();
        struct feed *first;
        options.pool = charge_pool_new(500000);
        ck_assert_ptr_nonnull(options.pool);
        static const struct node_def nodes[16000];
        ck_assert_int_eq(feed_new_socket(worker, &options, &first, &refusal), 0);
        uint64_t empty = atomic_load(&options.pool->used);
        ck_assert_int_eq(
                feed_push_definitions(first, &(struct feed_definitions){1, nodes, sizeof nodes, 0, NULL, 0}, &refusal),
                0);
        ck_assert_int_eq(feed_push_definitions(
                                 first, &(struct feed_definitions){16001, nodes, sizeof nodes, 0, NULL, 0}, &refusal),
                         FEED_E_FULL);
        ck_assert_uint_eq(atomic_load(&options.pool->used), empty + sizeof nodes);
        options.pool->limit = empty + sizeof nodes;
        struct feed *more;
        ck_assert_int_eq(feed_new_socket(worker, &options, &more, &refusal), FEED_E_FULL);
        ck_assert_str_eq(refusal, "its user's share of memory is used up (table_memory_per_user)");
        free_feed(first);
        ck_assert_uint_eq(atomic_load(&options.pool->used), 0);
        charge_pool_unref(options.pool);
}
END_TEST

START_TEST(idle_feed_takes_little_memory)
{
        expect_live(socket_feed, 0, 0);
        ck_assert_uint_le(feed_gauges(socket_feed)->tracer_bytes, 64 * 1024);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest/feed");
        TCase *alone = check_case("worker"), *ring = check_case("ring"), *socket = check_case("socket"),
              *impatient = check_case("impatient");
        tcase_add_checked_fixture(impatient, open_impatient_feed, close_feed);
        tcase_add_test(alone, worker_starts_and_stops_and_leaves_no_descriptor);
        tcase_add_test(alone, job_is_run_and_then_done_even_when_the_worker_is_freed_at_once);
        tcase_add_checked_fixture(ring, open_feed, close_feed);
        tcase_add_test(ring, snapshot_has_what_came_before_it_and_whose_it_is);
        tcase_add_test(ring, snapshot_at_a_position_has_nothing_of_what_came_after);
        tcase_add_test(ring, peak_snapshot_is_what_was_alive_then);
        tcase_add_test(ring, clear_and_stop_forget_and_start_begins_again);
        tcase_add_test(ring, ring_of_a_dead_process_is_read_past_its_holes);
        tcase_add_test(ring, finish_without_snapshots_reads_all_and_answers);
        tcase_add_test(ring, what_is_asked_before_free_is_answered_before_closed);
        tcase_add_test(ring, malformed_record_is_told_once_and_the_table_stays);
        tcase_add_test(ring, head_that_jumps_is_malformed);
        tcase_add_test(ring, head_that_goes_back_after_a_request_leaves_nobody_waiting);
        tcase_add_test(ring, frames_have_their_modules);
        tcase_add_test(ring, module_record_without_its_item_is_malformed);
        tcase_add_test(ring, child_has_the_parents_blocks_of_the_fork);
        tcase_add_test(ring, child_of_a_dead_parent_still_gets_its_blocks);
        tcase_add_test(ring, dead_parent_that_waits_for_its_child_lets_the_worker_sleep);
        tcase_add_test(ring, parent_freed_right_after_the_child_came_leaves_it_its_blocks);
        tcase_add_test(ring, child_with_an_unknown_token_starts_empty_and_inexact);
        tcase_add_test(ring, child_that_greets_while_its_dead_parent_is_read_gets_its_blocks);
        tcase_add_test(ring, dropped_fork_is_gone);
        tcase_add_test(ring, ring_has_a_writer_as_long_as_somebody_maps_it);
        tcase_add_test(ring, bad_descriptors_are_refused_with_a_reason_and_closed);
        tcase_add_test(ring, snapshots_under_load_are_consistent_and_nothing_is_lost);
        tcase_add_test(impatient, hole_of_a_living_process_is_declared_lost_in_time);
        tcase_add_test(impatient, writer_that_comes_back_to_a_hole_declared_lost_does_not_break_the_feed);
        tcase_add_checked_fixture(socket, open_socket, close_socket);
        tcase_add_test(socket, socket_has_a_writer_until_it_is_cut_off);
        tcase_add_test(socket, pushed_events_are_applied_and_acknowledged);
        tcase_add_test(socket, pushes_that_do_not_follow_on_are_refused);
        tcase_add_test(socket, push_with_a_bad_record_breaks_the_feed);
        tcase_add_test(socket, finish_of_a_socket_feed_applies_what_was_pushed);
        tcase_add_test(socket, definitions_beyond_the_memory_limit_are_refused_as_full);
        tcase_add_test(socket, feeds_beyond_the_share_of_their_user_are_refused_as_full);
        tcase_add_test(socket, idle_feed_takes_little_memory);
        suite_add_tcase(suite, alone);
        suite_add_tcase(suite, ring);
        suite_add_tcase(suite, impatient);
        suite_add_tcase(suite, socket);
        return check_run(suite);
}
