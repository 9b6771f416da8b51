/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/requests.h"
#include "daemon/daemon.h"
#include "daemon/process.h"
#include "daemon/run.h"
#include "daemon/store/store.h"
#include "tests/support/check_main.h"

#include <stdatomic.h>
#include <string.h>

/* ---- what request_run.c and run.c meet here instead of clients, processes and a store ---- */

static struct daemon d;
static const struct credentials who = {.pid = 50, .uid = 1000};
static struct control_attachment *attached; /* to the only connection */
static uint8_t token[RUN_TOKEN_BYTES];      /* of the last run */
static unsigned n_done, n_errors, n_results, n_running;
static struct feed_gauges gauges;

void control_peer_attach(struct control_peer *p, struct control_attachment *a,
                         void (*release)(struct control_attachment *attached)) {
        ck_assert_ptr_null(attached);
        attached = a;
        a->release = release;
}

struct control_attachment *control_peer_attachment(const struct control_peer *p,
                                                   void (*release)(struct control_attachment *attached)) {
        return attached;
}

void control_peer_detach(struct control_peer *p, struct control_attachment *a) {
        ck_assert_ptr_eq(a, attached);
        attached = NULL;
}

struct control_peer *control_peer_ref(struct control_peer *p) {
        return p;
}

void control_peer_unref(struct control_peer *p) {
}

void control_peer_reply(struct control_peer *p, const Tracemallocd__Control__Reply *reply) {
        if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_RUN)
                memcpy(token, reply->run->token.data, sizeof token);
        else {
                n_results++;
                n_running = reply->run_process->running;
        }
}

void control_peer_done(struct control_peer *p) {
        n_done++;
}

void control_peer_error(struct control_peer *p, int code, const char *format, ...) {
        n_errors++;
}

bool request_label_fits(const struct request *r, const ProtobufCBinaryData *label) {
        return true;
}

void process_notice_end(struct process *p) {
}

const struct feed_gauges *feed_gauges(const struct feed *feed) {
        return &gauges;
}

void store_pin(struct store *store, const int64_t *ids, size_t n_ids) {
}

/* ---- the connection ---- */

static void ask_begin(void) {
        Tracemallocd__Control__RunBegin begin = TRACEMALLOCD__CONTROL__RUN_BEGIN__INIT;
        Tracemallocd__Control__Request body = TRACEMALLOCD__CONTROL__REQUEST__INIT;
        body.run_begin = &begin;
        request_run_begin(&(struct request){.daemon = &d, .who = &who, .body = &body});
}

static void ask_wait(uint8_t *bytes) {
        Tracemallocd__Control__RunWait wait = TRACEMALLOCD__CONTROL__RUN_WAIT__INIT;
        Tracemallocd__Control__Request body = TRACEMALLOCD__CONTROL__REQUEST__INIT;
        wait.token = (ProtobufCBinaryData){.data = bytes, .len = RUN_TOKEN_BYTES};
        body.run_wait = &wait;
        request_run_wait(&(struct request){.daemon = &d, .who = &who, .body = &body});
}

static void hang_up(void) {
        struct control_attachment *a = attached;
        attached = NULL;
        if (a)
                a->release(a);
}

static void setup(void) {
        static uv_loop_t loop;
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        d = (struct daemon){.loop = &loop};
}

static void teardown(void) {
        uv_run(d.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(d.loop), 0);
        ck_assert_ptr_null(d.runs);
}

START_TEST(a_run_that_is_waited_for_is_answered_and_forgotten)
{
        ask_begin();
        ck_assert_uint_eq(n_done, 1);
        ask_wait(token);
        ck_assert_uint_eq(n_done, 2);
        ck_assert_ptr_null(d.runs);
        ask_wait(token);
        ck_assert_uint_eq(n_errors, 1);
        hang_up();
}
END_TEST

START_TEST(a_client_that_is_killed_leaves_no_run)
{
        ask_begin();
        hang_up();
        ck_assert_ptr_null(d.runs);
}
END_TEST

START_TEST(a_run_outlives_its_client_until_its_last_process_ends)
{
        struct process process = {.daemon = &d, .name = (char *)"name", .exe = (char *)"/exe"};
        ask_begin();
        process.run = run_find(&d, who.uid, token, sizeof token);
        run_add(process.run, &process);
        hang_up();
        ck_assert_ptr_eq(run_find(&d, who.uid, token, sizeof token), process.run);
        run_remove(process.run, &process);
        ck_assert_ptr_null(d.runs);
}
END_TEST

START_TEST(who_waits_is_answered_when_the_last_process_has_ended)
{
        struct process process = {.daemon = &d, .name = (char *)"name", .exe = (char *)"/exe"};
        ask_begin();
        process.run = d.runs;
        d.processes = &process;
        run_add(process.run, &process);
        process.proc.pid = process.run->command = 51;
        ask_wait(token);
        ck_assert_uint_eq(n_done, 1);
        d.processes = NULL;
        run_remove(process.run, &process);
        ck_assert_uint_eq(n_done, 2);
        ck_assert_uint_eq(n_results, 1);
        ck_assert_ptr_null(attached);
}
END_TEST

START_TEST(who_waits_is_told_how_many_children_go_on)
{
        struct process server = {.daemon = &d, .name = (char *)"server", .exe = (char *)"/exe"};
        struct process command = {.daemon = &d, .next = &server, .name = (char *)"sh", .exe = (char *)"/exe"};
        ask_begin();
        command.run = server.run = d.runs;
        command.proc.pid = command.run->command = 51;
        server.proc.pid = 52;
        run_add(command.run, &command);
        run_add(server.run, &server);
        d.processes = &server; /* the command is dead and stored */
        run_remove(command.run, &command);
        ask_wait(token);
        ck_assert_uint_eq(n_done, 2);
        ck_assert_uint_eq(n_results, 1);
        ck_assert_uint_eq(n_running, 1);
        run_remove(server.run, &server);
        d.processes = NULL;
}
END_TEST

START_TEST(a_connection_has_one_run_and_its_own_token)
{
        uint8_t other[RUN_TOKEN_BYTES] = {0};
        ask_begin();
        ask_begin();
        ck_assert_uint_eq(n_errors, 1);
        ask_wait(other);
        ck_assert_uint_eq(n_errors, 2);
        hang_up();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("control/request_run");
        TCase *tcase = check_case("request_run");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_run_that_is_waited_for_is_answered_and_forgotten);
        tcase_add_test(tcase, a_client_that_is_killed_leaves_no_run);
        tcase_add_test(tcase, a_run_outlives_its_client_until_its_last_process_ends);
        tcase_add_test(tcase, who_waits_is_answered_when_the_last_process_has_ended);
        tcase_add_test(tcase, who_waits_is_told_how_many_children_go_on);
        tcase_add_test(tcase, a_connection_has_one_run_and_its_own_token);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
