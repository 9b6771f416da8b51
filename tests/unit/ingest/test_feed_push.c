/* SPDX-License-Identifier: Apache-2.0 */

/* Socket way: feeds by pushes. */

#include "daemon/ingest/feed_push.h"
#include "tests/unit/ingest/feed_fixture.h"

#include <dlfcn.h>
#include <sched.h>

static uint64_t position;
static const char *refusal;

static void open_socket(void) {
        open_worker();
        struct feed_options options = default_options();
        ck_assert_int_eq(feed_new_socket(worker, &options, &feed, &refusal), 0);
        position = 0;
}

static void close_socket(void) {
        free_feed(feed);
        close_worker();
}

static int push(const uint64_t *words, size_t n) {
        int r = feed_push_events(feed, position, words, 8 * n, &refusal);
        if (r == 0)
                position += 8 * n;
        return r;
}

static int push_alloc(uint32_t node, uint64_t address, uint64_t size) {
        const uint64_t words[] = {record_header(RECORD_ALLOC, 0, 0, node), address, size};
        return push(words, 3);
}

static int push_nodes(struct feed *to, uint32_t first, const struct node_def *nodes, size_t bytes) {
        const struct feed_definitions definitions = {.first_node = first, .nodes = nodes, .nodes_length = bytes};
        return feed_push_definitions(to, &definitions, &refusal);
}

START_TEST(socket_has_a_writer_until_it_is_cut_off)
{
        ck_assert(feed_has_writer(feed));
        feed_cut_off(feed);
        ck_assert(!feed_has_writer(feed));
}
END_TEST

START_TEST(pushed_events_are_applied_and_acknowledged)
{
        const struct node_def nodes[] = {{.parent = 0, .unit = 0, .value = 5}, {.parent = 1, .unit = 0, .value = 6}};
        ck_assert_int_eq(push_nodes(feed, 1, nodes, sizeof nodes), 0);
        ck_assert_int_eq(push_alloc(2, 0x1000, 10), 0);
        ck_assert_int_eq(push_alloc(1, 0x2000, 20), 0);
        struct answer middle;
        ask(feed, SNAPSHOT_LIVE, 24, &middle);
        expect_live(feed, 30, 2);
        run_until(&middle.come);
        snapshot_unref(middle.snapshot);
        ck_assert_uint_ge(n_notices, 1);
        ck_assert_int_eq(notices[n_notices - 1].kind, FEED_NOTICE_APPLIED);
        ck_assert_uint_eq(notices[n_notices - 1].position, 48);
        ck_assert_uint_eq(feed_backlog(feed), 0);
        ck_assert_int_eq(feed_control_fd(feed), -1);
}
END_TEST

static _Atomic uint64_t awaited, acknowledged;

/* Before libuv's: holds the worker up when it has told, until the main loop has heard of it. */
int uv_async_send(uv_async_t *async) {
        int (*send)(uv_async_t *) = (int (*)(uv_async_t *))dlsym(RTLD_NEXT, "uv_async_send");
        int r = send(async);
        while (acknowledged < awaited)
                sched_yield();
        return r;
}

static void on_acknowledged(void *data, struct feed *from, const struct feed_notice *notice) {
        if (notice->kind != FEED_NOTICE_APPLIED)
                return;
        uint64_t known = atomic_load(&feed_gauges(from)->position);
        ck_assert_uint_ge(known, notice->position);
        acknowledged = notice->position;
}

START_TEST(what_is_acknowledged_is_in_the_gauges)
{
        struct feed_options options = default_options();
        open_worker();
        options.notify = on_acknowledged;
        ck_assert_int_eq(feed_new_socket(worker, &options, &feed, &refusal), 0);
        position = 0;
        awaited = 24;
        ck_assert_int_eq(push_alloc(0, 0x1000, 10), 0);
        while (acknowledged < awaited)
                uv_run(&loop, UV_RUN_ONCE);
        close_socket();
}
END_TEST

START_TEST(pushes_that_do_not_follow_on_are_refused)
{
        const struct node_def early = {.parent = 1, .unit = 0, .value = 5};
        const uint64_t word = record_header(RECORD_EXEC, 0, 0, 0);
        ck_assert_int_eq(push_nodes(feed, 1, &early, sizeof early), FEED_E_REFUSED);
        ck_assert_str_eq(refusal, "a node comes before its parent");
        ck_assert_int_eq(push_nodes(feed, 3, &early, sizeof early), FEED_E_REFUSED);
        ck_assert_int_eq(push_nodes(feed, 1, &early, 15), FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_definitions(feed, &(struct feed_definitions){1, NULL, 0, 8, &word, 8}, &refusal),
                         FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(feed, 8, &word, 8, &refusal), FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(feed, 0, &word, 7, &refusal), FEED_E_REFUSED);
        ck_assert_int_eq(feed_push_events(feed, 0, &word, 8, &refusal), 0);
}
END_TEST

START_TEST(push_with_a_bad_record_breaks_the_feed)
{
        const uint64_t word = 5;
        ck_assert_int_eq(push_alloc(0, 0x1000, 10), 0);
        ck_assert_int_eq(push(&word, 1), 0);
        ck_assert_int_eq(push_alloc(0, 0x2000, 10), 0);
        expect_live(feed, 10, 1);
        ck_assert(feed_gauges(feed)->malformed);
}
END_TEST

START_TEST(finish_of_a_feed_applies_what_was_pushed)
{
        for (uint64_t i = 0; i < 1000; i++)
                ck_assert_int_eq(push_alloc(0, 16 * i, 1), 0);
        struct answer answer = {};
        ck_assert_int_eq(feed_finish(feed, FEED_FINISH_EXIT, NULL, on_finished, &answer), 0);
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
        ck_assert_int_eq(push_nodes(small, 1, nodes, sizeof nodes), FEED_E_FULL);
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
        ck_assert_int_eq(push_nodes(first, 1, nodes, sizeof nodes), 0);
        ck_assert_int_eq(push_nodes(first, 16001, nodes, sizeof nodes), FEED_E_FULL);
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
        expect_live(feed, 0, 0);
        ck_assert_uint_le(feed_gauges(feed)->tracer_bytes, 64 * 1024);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ingest/feed_push");
        TCase *socket = check_case("socket");
        tcase_add_checked_fixture(socket, open_socket, close_socket);
        tcase_add_test(socket, socket_has_a_writer_until_it_is_cut_off);
        tcase_add_test(socket, pushed_events_are_applied_and_acknowledged);
        tcase_add_test(socket, pushes_that_do_not_follow_on_are_refused);
        tcase_add_test(socket, push_with_a_bad_record_breaks_the_feed);
        tcase_add_test(socket, finish_of_a_feed_applies_what_was_pushed);
        tcase_add_test(socket, definitions_beyond_the_memory_limit_are_refused_as_full);
        tcase_add_test(socket, feeds_beyond_the_share_of_their_user_are_refused_as_full);
        tcase_add_test(socket, idle_feed_takes_little_memory);
        suite_add_tcase(suite, socket);
        TCase *own = check_case("socket of its own");
        tcase_add_test(own, what_is_acknowledged_is_in_the_gauges);
        suite_add_tcase(suite, own);
        return check_run(suite);
}
