/* SPDX-License-Identifier: Apache-2.0 */

/* The child of a fork begins with its parent's table. */

#include "daemon/ingest/feed.h"
#include "daemon/ingest/feed_reader.h"
#include "tests/unit/ingest/feed_fixture.h"

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

int main(void) {
        Suite *suite = suite_create("ingest/feed_fork");
        TCase *ring = check_case("fork");
        tcase_add_checked_fixture(ring, open_feed, close_feed);
        tcase_add_test(ring, child_has_the_parents_blocks_of_the_fork);
        tcase_add_test(ring, child_of_a_dead_parent_still_gets_its_blocks);
        tcase_add_test(ring, dead_parent_that_waits_for_its_child_lets_the_worker_sleep);
        tcase_add_test(ring, child_that_greets_while_its_dead_parent_is_read_gets_its_blocks);
        tcase_add_test(ring, parent_freed_right_after_the_child_came_leaves_it_its_blocks);
        tcase_add_test(ring, child_with_an_unknown_token_starts_empty_and_inexact);
        tcase_add_test(ring, dropped_fork_is_gone);
        suite_add_tcase(suite, ring);
        return check_run(suite);
}
