/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/control_server.h"
#include "daemon/control/pool_job.h"
#include "daemon/daemon.h"
#include "tests/support/check_main.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What pool_job.c meets here instead of clients. */
static size_t unread_bytes;
static char answer[256]; /* the error; "done" */
static unsigned n_runs;
static bool peer_is_gone;

size_t control_server_unread(const struct control_server *s, uid_t uid) {
        return unread_bytes;
}

void control_peer_reply_bytes(struct control_peer *p, uint8_t *bytes, size_t length) {
        free(bytes);
}

void control_peer_done(struct control_peer *p) {
        strcpy(answer, "done");
}

void control_peer_error(struct control_peer *p, int code, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(answer, sizeof answer, format, ap);
        va_end(ap);
}

bool control_peer_is_gone(const struct control_peer *p) {
        return peer_is_gone;
}

void control_peer_unref(struct control_peer *p) {
}

static void on_run(struct pool_job *job) {
        n_runs++;
}

static void on_finish(struct pool_job *job) {
}

static void on_free(struct pool_job *job) {
        free(job);
}

static const char *ask_for(uid_t uid, size_t unread, void (*finish)(struct pool_job *job)) {
        static uv_loop_t loop;
        struct daemon daemon = {.loop = &loop};
        struct pool_job *job = calloc(1, sizeof *job);
        *job = (struct pool_job){.daemon = &daemon, .who.uid = uid, .finish = finish, .run = on_run, .free = on_free};
        n_runs = 0;
        unread_bytes = unread;
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        pool_queue_init(&daemon.requests, &loop);
        pool_job_start(job);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        return answer;
}

static const char *ask(uid_t uid, size_t unread) {
        return ask_for(uid, unread, NULL);
}

START_TEST(a_request_is_answered)
{
        ck_assert_str_eq(ask(1000, 256 << 20), "done");
        ck_assert_uint_eq(n_runs, 1);
}
END_TEST

START_TEST(who_lets_answers_lie_gets_no_more)
{
        ck_assert_ptr_nonnull(strstr(ask(1000, (256 << 20) + 1), "wait to be read"));
        ck_assert_uint_eq(n_runs, 0);
}
END_TEST

START_TEST(root_has_no_such_limit)
{
        ck_assert_str_eq(ask(0, SIZE_MAX), "done");
        ck_assert_uint_eq(n_runs, 1);
}
END_TEST

START_TEST(a_question_of_one_who_left_is_dropped_and_an_order_is_not)
{
        peer_is_gone = true;
        ask(1000, 0);
        ck_assert_uint_eq(n_runs, 0);
        ask_for(1000, 0, on_finish);
        ck_assert_uint_eq(n_runs, 1);
}
END_TEST

CHECK_MAIN("control/pool_job", a_request_is_answered, who_lets_answers_lie_gets_no_more, root_has_no_such_limit,
           a_question_of_one_who_left_is_dropped_and_an_order_is_not)
