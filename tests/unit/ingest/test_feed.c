/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/feed.h"
#include "tests/support/snapshot_depth.h"
#include "tests/unit/ingest/feed_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* Declares holes lost as soon as it can: what is no hole has to be whole when it is seen. */
static void open_impatient_feed(void) {
        open_worker();
        struct feed_options options = default_options();
        options.hole_timeout_ms = 1;
        feed = open_ring(&writer, RING_LOG2_SIZE_MIN, &options);
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

static void put_whole_alloc(uint64_t address, uint64_t size) {
        writer_put_whole(&writer, RECORD_ALLOC, 0, 0, address, size, 0);
}

START_TEST(hole_of_a_living_process_is_declared_lost_in_time)
{
        writer_reserve(&writer, RECORD_ALLOC);
        put_whole_alloc(0x2000, 20);
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
        put_whole_alloc(0x2000, 20);
        expect_live(feed, 20, 1);
        /* what it writes lands in another's record: here a header in a payload */
        writer_put_whole(&writer, RECORD_FREE, 0, 0, RECORD_HEADER_BIT | 1, 0, 0);
        put_whole_alloc(0x3000, 30);
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
        ck_assert_uint_eq(snapshot_depth(s, s->groups[0].node), 2);
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

int main(void) {
        Suite *suite = suite_create("ingest/feed");
        TCase *alone = check_case("worker"), *ring = check_case("ring"), *impatient = check_case("impatient");
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
        tcase_add_test(ring, ring_has_a_writer_as_long_as_somebody_maps_it);
        tcase_add_test(ring, bad_descriptors_are_refused_with_a_reason_and_closed);
        tcase_add_test(ring, snapshots_under_load_are_consistent_and_nothing_is_lost);
        tcase_add_test(impatient, hole_of_a_living_process_is_declared_lost_in_time);
        tcase_add_test(impatient, writer_that_comes_back_to_a_hole_declared_lost_does_not_break_the_feed);
        suite_add_tcase(suite, alone);
        suite_add_tcase(suite, ring);
        suite_add_tcase(suite, impatient);
        return check_run(suite);
}
