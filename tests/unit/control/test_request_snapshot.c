/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/requests.h"
#include "daemon/control/selector.h"
#include "daemon/daemon.h"
#include "daemon/late_symbols.h"
#include "daemon/process.h"
#include "daemon/store/store.h"
#include "tests/support/check_main.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* What request_snapshot.c meets here instead of processes, a store and a client. */
static struct process processes[2];
static int cut_results[2]; /* of feed_snapshot() */
static unsigned n_cuts, n_errors, n_unrefs;
static int error_code;               /* of the last error */
static feed_snapshot_cb snapshot_cb; /* of the cut that goes on */
static void *snapshot_data;

int request_select(const struct request *r, const Tracemallocd__Control__ProcessSelector *selector, bool everything,
                   struct selection *s) {
        *s = (struct selection){.processes = calloc(2, sizeof(struct process *)), .n_processes = 2};
        s->processes[0] = &processes[0];
        s->processes[1] = &processes[1];
        return 0;
}

void selection_deinit(struct selection *s) {
        free(s->processes);
}

uint64_t feed_position(const struct feed *feed) {
        return 0;
}

int feed_snapshot(struct feed *feed, const struct feed_snapshot_options *options, feed_snapshot_cb cb, void *data) {
        int r = cut_results[n_cuts++];
        if (r == 0) {
                snapshot_cb = cb;
                snapshot_data = data;
        }
        return r;
}

int store_put(struct store *store, struct snapshot *snapshot, int64_t set, store_callback callback, void *data) {
        ck_abort_msg("nothing is stored");
}

int store_put_set(struct store *store, struct snapshot *const *snapshots, size_t n_snapshots, store_callback callback,
                  void *data) {
        ck_abort_msg("nothing is stored");
}

void late_symbols_add(struct late_symbols *l, int64_t snapshot) {
}

bool request_label_fits(const struct request *r, const ProtobufCBinaryData *label) {
        return true;
}

struct control_peer *control_peer_ref(struct control_peer *p) {
        return p;
}

void control_peer_unref(struct control_peer *p) {
        n_unrefs++;
}

void control_peer_reply(struct control_peer *p, const Tracemallocd__Control__Reply *reply) {
}

void control_peer_done(struct control_peer *p) {
}

void control_peer_error(struct control_peer *p, int code, const char *format, ...) {
        n_errors++;
        error_code = code;
}

static void ask(void) {
        struct daemon daemon = {0};
        Tracemallocd__Control__SnapshotRequest snapshot = TRACEMALLOCD__CONTROL__SNAPSHOT_REQUEST__INIT;
        Tracemallocd__Control__Request body = TRACEMALLOCD__CONTROL__REQUEST__INIT;
        body.body_case = TRACEMALLOCD__CONTROL__REQUEST__BODY_SNAPSHOT;
        body.snapshot = &snapshot;
        request_snapshot(&(struct request){.daemon = &daemon, .body = &body});
}

/* ASan looks at what is read after that. */
START_TEST(where_no_table_can_be_cut_the_request_fails_once)
{
        cut_results[0] = cut_results[1] = -ENOMEM;
        ask();
        ck_assert_uint_eq(n_cuts, 2);
        ck_assert_uint_eq(n_errors, 1);
        ck_assert_uint_eq(n_unrefs, 1);
}
END_TEST

START_TEST(where_one_cannot_the_request_fails_when_the_others_are_there)
{
        cut_results[1] = -ENOMEM;
        ask();
        ck_assert_uint_eq(n_errors, 0);
        snapshot_cb(snapshot_data, NULL, 0);
        ck_assert_uint_eq(n_errors, 1);
        ck_assert_int_eq(error_code, CONTROL_FAILED);
        ck_assert_uint_eq(n_unrefs, 1);
}
END_TEST

START_TEST(a_process_that_ends_meanwhile_is_not_found)
{
        cut_results[1] = -ECANCELED; /* the worker has nothing left to cut */
        ask();
        snapshot_cb(snapshot_data, NULL, -ECANCELED);
        ck_assert_uint_eq(n_errors, 1);
        ck_assert_int_eq(error_code, CONTROL_NOT_FOUND);
}
END_TEST

CHECK_MAIN("control/request_snapshot", where_no_table_can_be_cut_the_request_fails_once,
           where_one_cannot_the_request_fails_when_the_others_are_there, a_process_that_ends_meanwhile_is_not_found)
