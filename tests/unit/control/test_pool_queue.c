/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/pool_queue.h"
#include "tests/support/check_main.h"

#define FLOOD 64
#define USER  1000 /* brings the flood */
#define OTHER 1001

/* Tasks run until they are let go, so that what begins is decided by the queue alone. */
struct held {
        struct pool_task task;
        struct world *world;
        uv_sem_t go;
        bool began, done, cancelled;
};

struct world {
        uv_loop_t loop;
        struct pool_queue queue;
        struct held flood[FLOOD], other;
};

static void on_begin(struct pool_task *task) {
        ((struct held *)task)->began = true;
}

static void on_run(struct pool_task *task) {
        uv_sem_wait(&((struct held *)task)->go);
}

static void on_done(struct pool_task *task, int status) {
        struct held *held = (struct held *)task;
        held->done = true;
        held->cancelled = status == UV_ECANCELED;
}

static void add(struct world *w, struct held *held, uid_t uid) {
        held->world = w;
        held->task = (struct pool_task){.uid = uid, .begin = on_begin, .run = on_run, .done = on_done};
        uv_sem_init(&held->go, 0);
        pool_queue_add(&w->queue, &held->task);
}

static struct world *world_new(void) {
        struct world *w = calloc(1, sizeof *w);
        pool_queue_set_threads();
        ck_assert_int_eq(uv_loop_init(&w->loop), 0);
        pool_queue_init(&w->queue, &w->loop);
        return w;
}

static void let_go(struct world *w, struct held *held) {
        ck_assert(held->began);
        uv_sem_post(&held->go);
        while (!held->done)
                uv_run(&w->loop, UV_RUN_ONCE);
}

static unsigned count_began(const struct world *w) {
        unsigned n = 0;
        for (size_t i = 0; i < FLOOD; i++)
                n += w->flood[i].began;
        return n;
}

static void flood(struct world *w, uid_t first_uid, unsigned n_users) {
        for (size_t i = 0; i < FLOOD; i++)
                add(w, &w->flood[i], first_uid + (uid_t)(i % n_users));
}

/* What began is let go, in the order in which it came. */
static void end(struct world *w) {
        pool_queue_close(&w->queue);
        for (size_t i = 0; i < FLOOD; i++) {
                if (w->flood[i].began && !w->flood[i].done)
                        let_go(w, &w->flood[i]);
        }
        ck_assert_ptr_null(w->queue.turns.first);
        ck_assert_int_eq(uv_loop_close(&w->loop), 0);
        free(w);
}

START_TEST(one_users_flood_leaves_threads_to_others)
{
        struct world *w = world_new();
        flood(w, USER, 1);
        ck_assert_uint_eq(count_began(w), POOL_REQUESTS_PER_USER_MAX);
        add(w, &w->other, OTHER);
        let_go(w, &w->other);
        ck_assert_uint_eq(count_began(w), POOL_REQUESTS_PER_USER_MAX);
        end(w);
}
END_TEST

START_TEST(root_takes_its_turn_like_others)
{
        struct world *w = world_new();
        flood(w, 0, 1);
        ck_assert_uint_eq(count_began(w), POOL_REQUESTS_PER_USER_MAX);
        end(w);
}
END_TEST

START_TEST(many_users_do_not_take_the_threads_that_finish_snapshots)
{
        struct world *w = world_new();
        flood(w, USER, 16);
        ck_assert_uint_eq(count_began(w), POOL_REQUESTS_MAX);
        ck_assert_uint_lt(POOL_REQUESTS_MAX, POOL_THREADS);
        end(w);
}
END_TEST

START_TEST(who_comes_last_waits_for_one_task_of_each_user)
{
        struct world *w = world_new();
        const unsigned n_users = 8;
        flood(w, USER, n_users);
        add(w, &w->other, USER + n_users);
        for (size_t i = 0; i < FLOOD && !w->other.began; i++)
                let_go(w, &w->flood[i]);
        ck_assert(w->other.began);
        ck_assert_uint_le(count_began(w), 2 * n_users);
        let_go(w, &w->other);
        end(w);
}
END_TEST

/* Whose requests follow each other as soon as one is answered has had a turn, also when none of them is here. */
START_TEST(who_comes_again_at_once_goes_behind_those_who_wait_for_that_turn)
{
        struct world *w = world_new();
        struct held *again = &w->other;
        for (size_t i = 0; i < POOL_REQUESTS_MAX; i++)
                add(w, &w->flood[i], USER + 10 + (uid_t)i); /* all threads */
        add(w, again, OTHER);
        let_go(w, &w->flood[0]); /* that one begins */
        for (size_t i = POOL_REQUESTS_MAX; i < POOL_REQUESTS_MAX + 4; i++)
                add(w, &w->flood[i], USER + (uid_t)(i % 2) * 2); /* two of each of two users */
        let_go(w, again);
        ck_assert(w->flood[4].began && !w->flood[5].began);
        again->began = again->done = false;
        add(w, again, OTHER);
        let_go(w, &w->flood[4]);
        ck_assert(w->flood[5].began && !again->began);
        let_go(w, &w->flood[5]);
        ck_assert(w->flood[6].began && !again->began);
        let_go(w, &w->flood[6]);
        ck_assert(w->flood[7].began && !again->began);
        let_go(w, &w->flood[7]);
        let_go(w, again);
        end(w);
}
END_TEST

START_TEST(all_of_a_flood_is_done_in_the_order_in_which_it_came)
{
        struct world *w = world_new();
        flood(w, USER, 1);
        for (size_t i = 0; i < FLOOD; i++) {
                ck_assert(i + POOL_REQUESTS_PER_USER_MAX >= FLOOD || !w->flood[i + POOL_REQUESTS_PER_USER_MAX].began);
                let_go(w, &w->flood[i]);
                ck_assert(!w->flood[i].cancelled);
        }
        end(w);
}
END_TEST

START_TEST(a_closed_queue_is_done_at_once_with_what_has_not_begun)
{
        struct world *w = world_new();
        flood(w, USER, 1);
        pool_queue_close(&w->queue);
        for (size_t i = 0; i < FLOOD; i++)
                ck_assert(w->flood[i].began != w->flood[i].cancelled);
        add(w, &w->other, OTHER);
        ck_assert(w->other.done && w->other.cancelled && !w->other.began);
        end(w);
}
END_TEST

CHECK_MAIN("control/pool_queue", one_users_flood_leaves_threads_to_others, root_takes_its_turn_like_others,
           many_users_do_not_take_the_threads_that_finish_snapshots, who_comes_last_waits_for_one_task_of_each_user,
           who_comes_again_at_once_goes_behind_those_who_wait_for_that_turn,
           all_of_a_flood_is_done_in_the_order_in_which_it_came, a_closed_queue_is_done_at_once_with_what_has_not_begun)
