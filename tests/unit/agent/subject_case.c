/* SPDX-License-Identifier: Apache-2.0 */

/* See subject_case.h. Used by test_agent*.c. */

#include "tests/unit/agent/subject_case.h"

#include "proto/record.h"
#include "tests/support/check_main.h"

#include <stdlib.h>

void subject_case_run(struct traced *traced, const char *program, const char *name, const char *environment) {
        const char *argv[] = {getenv(program), name, getenv("PLUGIN2"), getenv("PLUGIN3"), NULL};
        const char *environ_[] = {environment, NULL};
        traced_run(traced, argv, environ_);
        ck_assert_uint_ge(traced->n_images, 1);
        for (size_t i = 0; i < traced->n_images; i++) {
                ck_assert_uint_eq(traced->images[i]->bad_records, 0);
                ck_assert_uint_eq(traced->images[i]->unknown_moves, 0);
                ck_assert_uint_eq(traced->images[i]->lost, 0);
                ck_assert_uint_eq(traced->images[i]->lost_events, 0);
        }
}

struct subject_difference subject_case_difference(const struct fake_image *image, const char *program,
                                                  const char *environment) {
        struct traced base;
        subject_case_run(&base, program, "nothing", environment);
        ck_assert_int_eq(base.status, 0);
        const struct fake_image *plain = base.images[0];
        struct subject_difference d = {
                .live = (int64_t)(image->live_count - plain->live_count),
                .live_bytes = (int64_t)(image->live_bytes - plain->live_bytes),
                .allocs = (int64_t)(image->count[RECORD_ALLOC] - plain->count[RECORD_ALLOC]),
                .frees = (int64_t)(image->count[RECORD_FREE] - plain->count[RECORD_FREE]),
                .move_ins = (int64_t)(image->count[RECORD_MOVE_IN] - plain->count[RECORD_MOVE_IN]),
                .move_backs = (int64_t)(image->count[RECORD_MOVE_BACK] - plain->count[RECORD_MOVE_BACK]),
                .empty = (int64_t)(image->empty_tracebacks - plain->empty_tracebacks),
                .complete = (int64_t)(image->complete_tracebacks - plain->complete_tracebacks),
        };
        traced_close(&base);
        return d;
}

struct subject_difference subject_case_check(const char *program, const char *name, const char *environment,
                                             int status) {
        struct traced traced;
        subject_case_run(&traced, program, name, environment);
        ck_assert_msg(traced.status == status, "%s: status %d, output: %s", name, traced.status, traced.output);
        struct subject_difference d = subject_case_difference(traced.images[0], program, environment);
        ck_assert_int_eq(d.empty, 0);
        ck_assert_int_eq((int64_t)traced.images[0]->unknown_frees, 0);
        traced_close(&traced);
        return d;
}
