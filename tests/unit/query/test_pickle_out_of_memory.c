/* SPDX-License-Identifier: Apache-2.0 */

/* Each allocation of reading a file and of writing it again fails once, as in test_out_of_memory.c. */

#include "daemon/query/pickle_reader.h"
#include "daemon/query/pickle_writer.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_allocations.h"
#include "tests/unit/query/pickle_bytes.h"

#include <check.h>

#include <errno.h>
#include <stdlib.h>

static const char bytes[] = PICKLE_PROTO_4 PICKLE_HEAD
        "(" PICKLE_TRACE "e(" PICKLE_TRACE PICKLE_TRACE PICKLE_TRACE PICKLE_TRACE PICKLE_TRACE PICKLE_TRACE
        "e" PICKLE_TAIL;

static int read_file(struct snapshot **snapshotp) {
        struct pickle_reader *reader;
        int r = pickle_reader_new(PICKLE_MEMORY_MAX, &reader);
        if (r != 0)
                return r;
        for (size_t i = 0; r == 0 && i < sizeof bytes - 1; i++)
                r = pickle_reader_feed(reader, bytes + i, 1);
        if (r == 0)
                r = pickle_reader_finish(reader, snapshotp);
        pickle_reader_free(reader);
        return r;
}

START_TEST(every_allocation_of_a_reader_may_fail)
{
        bool failed = true;
        for (long i = 0; failed; i++) {
                struct snapshot *snapshot = NULL;
                fail_at = i;
                int r = read_file(&snapshot);
                failed = fail_at < 0;
                fail_at = -1;
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
                snapshot_unref(snapshot);
                ck_assert(i > 8 || failed);
        }
}
END_TEST

static int swallow(void *userdata, const void *chunk, size_t length) {
        (void)userdata, (void)chunk, (void)length;
        return 0;
}

START_TEST(every_allocation_of_a_writer_may_fail)
{
        struct pickle_sink sink = {.write = swallow};
        struct pickle_summary summary;
        struct snapshot *snapshot;
        struct model m;
        bool failed = true;
        ck_assert_int_eq(read_file(&snapshot), 0);
        ck_assert_int_eq(model_init(&m), 0);
        ck_assert_int_eq(model_add(&m, MODEL_NEW, &(struct model_source){.snapshot = snapshot}), 0);
        for (long i = 0; failed; i++) {
                fail_at = i;
                int r = pickle_write(&m, PICKLE_SHAPE_3_9, 5, &sink, &summary);
                failed = fail_at < 0;
                fail_at = -1;
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
                ck_assert(i > 5 || failed);
        }
        model_deinit(&m);
        snapshot_unref(snapshot);
}
END_TEST

CHECK_MAIN("pickle_out_of_memory", every_allocation_of_a_reader_may_fail, every_allocation_of_a_writer_may_fail)
