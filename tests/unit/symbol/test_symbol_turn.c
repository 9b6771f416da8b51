/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/symbol/symbol_turn.h"
#include "tests/support/check_main.h"

#include <sched.h>
#include <stdatomic.h>

#define N_MAX 8

static struct symbol_turn turn;
static struct user_turn holder; /* of the test itself, so that the others queue up */
static pthread_t threads[N_MAX];
static unsigned n_threads;
static char order[N_MAX * 4 + 1];
static unsigned n_turns; /* under the turn, as what it protects */
static atomic_int n_inside, n_met;

struct comer {
        char name;
        uint32_t uid;
        unsigned n_requests;
};

static struct comer comers[N_MAX];

static void *run(void *data) {
        struct comer *c = data;
        for (unsigned i = 0; i < c->n_requests; i++) {
                struct user_turn waiter;
                symbol_turn_take(&turn, c->uid, &waiter);
                n_met += atomic_fetch_add(&n_inside, 1) != 0; /* Check is not for several threads */
                order[n_turns++] = c->name;
                atomic_fetch_sub(&n_inside, 1);
                symbol_turn_give(&turn, &waiter);
        }
        return NULL;
}

/* Starts a thread and waits until it waits. */
static void come(char name, uint32_t uid, unsigned n_requests) {
        struct comer *c = &comers[n_threads];
        *c = (struct comer){name, uid, n_requests};
        ck_assert_int_eq(pthread_create(&threads[n_threads++], NULL, run, c), 0);
        while (symbol_turn_count(&turn) != n_threads + 1)
                sched_yield();
}

static void begin(uint32_t uid) {
        ck_assert_int_eq(symbol_turn_init(&turn), 0);
        symbol_turn_take(&turn, uid, &holder);
}

static void expect(const char *wanted) {
        symbol_turn_give(&turn, &holder);
        for (unsigned i = 0; i < n_threads; i++)
                ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(n_met, 0);
        ck_assert_str_eq(order, wanted);
        ck_assert_uint_eq(symbol_turn_count(&turn), 0);
        symbol_turn_deinit(&turn);
}

START_TEST(requests_of_one_user_are_served_as_they_come)
{
        begin(1);
        come('a', 1, 1);
        come('b', 1, 1);
        come('c', 1, 1);
        expect("abc");
}
END_TEST

START_TEST(one_request_of_another_user_goes_before_the_second_of_the_first)
{
        begin(1);
        come('a', 1, 1);
        come('b', 1, 1);
        come('c', 1, 1);
        come('x', 2, 1);
        expect("xabc");
}
END_TEST

START_TEST(several_users_take_turns)
{
        begin(9);
        come('a', 1, 1);
        come('b', 1, 1);
        come('c', 1, 1);
        come('x', 2, 1);
        come('y', 2, 1);
        come('p', 3, 1);
        expect("axpbyc");
}
END_TEST

/* A thread that has many requests comes again behind each: then its turn is not before those who waited meanwhile. */
START_TEST(long_jobs_of_one_user_let_each_request_of_another_in)
{
        begin(1);
        come('a', 1, 4);
        come('b', 1, 4);
        come('x', 2, 1);
        symbol_turn_give(&turn, &holder);
        for (unsigned i = 0; i < n_threads; i++)
                ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(n_met, 0);
        ck_assert_uint_eq(n_turns, 9);
        ck_assert_int_eq(order[0], 'x');
        symbol_turn_deinit(&turn);
}
END_TEST

START_TEST(job_that_comes_again_goes_behind_the_second_request_of_another_user)
{
        begin(9);
        come('x', 2, 1);
        come('y', 2, 1);
        come('a', 1, 3);
        expect("xayaa");
}
END_TEST

CHECK_MAIN("symbol_turn", requests_of_one_user_are_served_as_they_come,
           one_request_of_another_user_goes_before_the_second_of_the_first, several_users_take_turns,
           long_jobs_of_one_user_let_each_request_of_another_in,
           job_that_comes_again_goes_behind_the_second_request_of_another_user)
