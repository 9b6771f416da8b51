/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/query/query.h"
#include "tests/support/check_main.h"
#include "tests/unit/query/snapshot_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_SLACK 16 /* what wraps rows in a Reply: two tags, two lengths */

/* What a sink saw. */
struct seen {
        size_t n_messages, n_rows, largest;
        uint64_t n_rows_announced;
        int answer; /* of the sink, from message fail_at on */
        size_t fail_at;
};

static int see(void *userdata, const Tracemallocd__Control__Reply *reply) {
        struct seen *seen = userdata;
        size_t bytes = tracemallocd__control__reply__get_packed_size(reply);
        if (seen->n_messages++ == seen->fail_at)
                return seen->answer;
        if (bytes > seen->largest)
                seen->largest = bytes;
        if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_STATISTICS)
                seen->n_rows_announced = reply->statistics->n_rows;
        else if (reply->body_case == TRACEMALLOCD__CONTROL__REPLY__BODY_ROWS)
                seen->n_rows += reply->rows->n_rows;
        else
                seen->n_rows += reply->traces->n_rows;
        return 0;
}

static struct snapshot *many_traces(unsigned n) {
        struct snapshot *s = snapshot_text_new(1);
        for (unsigned i = 0; i < n; i++) {
                char frame[512];
                char *frames[] = {frame};
                snprintf(frame, sizeof frame, "s,%0400u,1", i);
                snapshot_text_blocks(s, 0, 1, i, 1, frames, 1);
        }
        return s;
}

typedef int (*ask_fn)(const struct model_source *, size_t, const Tracemallocd__Control__View *,
                      const struct reply_sink *, char **);

static int ask(ask_fn query, const struct snapshot *s, uint64_t limit, struct seen *seen) {
        Tracemallocd__Control__View view = TRACEMALLOCD__CONTROL__VIEW__INIT;
        struct model_source source = {s, NULL};
        struct reply_sink sink = {see, seen};
        char *message = NULL;
        view.limit = limit;
        int r = query(&source, 1, &view, &sink, &message);
        ck_assert_ptr_null(message);
        return r;
}

START_TEST(long_answers_come_in_chunks)
{
        static const ask_fn queries[] = {query_stats, query_traces};
        struct snapshot *s = many_traces(2000);
        for (size_t i = 0; i < 2; i++) {
                struct seen seen = {.fail_at = SIZE_MAX};
                ck_assert_int_eq(ask(queries[i], s, 0, &seen), 0);
                ck_assert_uint_eq(seen.n_rows, 2000);
                ck_assert_uint_gt(seen.n_messages, 3);
                ck_assert_uint_gt(seen.largest, REPLY_CHUNK_BYTES / 2);
                ck_assert_uint_le(seen.largest, REPLY_CHUNK_BYTES + SIZE_SLACK);
        }
        snapshot_text_free(s);
}
END_TEST

START_TEST(limit_cuts_rows_but_not_what_is_announced)
{
        struct snapshot *s = many_traces(30);
        struct seen seen = {.fail_at = SIZE_MAX};
        ck_assert_int_eq(ask(query_stats, s, 7, &seen), 0);
        ck_assert_uint_eq(seen.n_rows, 7);
        ck_assert_uint_eq(seen.n_rows_announced, 30);
        snapshot_text_free(s);
}
END_TEST

START_TEST(the_sink_s_refusal_ends_the_query)
{
        struct snapshot *s = many_traces(2000);
        for (size_t fail_at = 0; fail_at < 4; fail_at++) {
                struct seen seen = {.fail_at = fail_at, .answer = -EPIPE};
                ck_assert_int_eq(ask(query_stats, s, 0, &seen), -EPIPE);
                ck_assert_uint_eq(seen.n_messages, fail_at + 1);
        }
        snapshot_text_free(s);
}
END_TEST

START_TEST(a_row_longer_than_a_message_is_refused)
{
        enum { LENGTH = 17 << 20 };
        struct snapshot *s = snapshot_text_new(1);
        struct seen seen = {.fail_at = SIZE_MAX};
        char *frame = malloc(LENGTH + 8);

        ck_assert_ptr_nonnull(frame);
        memset(frame, 'a', LENGTH);
        memcpy(frame, "s,", 2);
        memcpy(frame + LENGTH, ",1", 3);
        snapshot_text_blocks(s, 0, 1, 1, 1, &frame, 1);
        ck_assert_int_eq(ask(query_stats, s, 0, &seen), -EMSGSIZE);
        ck_assert_int_eq(ask(query_traces, s, 0, &seen), -EMSGSIZE);
        free(frame);
        snapshot_text_free(s);
}
END_TEST

static bool is(ProtobufCBinaryData binary, const char *string) {
        return binary.len == strlen(string) && memcmp(binary.data, string, binary.len) == 0;
}

START_TEST(a_snapshot_is_described_by_its_info)
{
        struct snapshot_info info = {.id = 17,
                                     .set = 3,
                                     .pid = 5,
                                     .uid = 6,
                                     .image = 7,
                                     .kind = SNAPSHOT_EXIT,
                                     .traceback_limit = 64,
                                     .taken_at_ns = 8,
                                     .size = 9,
                                     .count = 10,
                                     .traces = 11,
                                     .lost = 12,
                                     .exact = true,
                                     .name = (char *)"name",
                                     .exe = (char *)"exe",
                                     .unit = (char *)"unit",
                                     .label = (char *)"label",
                                     .ended_by = (char *)"exit 0"};
        const struct snapshot_info *infos[] = {&info};
        Tracemallocd__Control__SnapshotInfo message;
        reply_snapshot_info(infos, 1, &message);
        ck_assert_int_eq(message.id, 17);
        ck_assert_int_eq(message.set, 3);
        ck_assert_uint_eq(message.pid, 5);
        ck_assert_uint_eq(message.uid, 6);
        ck_assert_uint_eq(message.image, 7);
        ck_assert_str_eq(message.kind, "exit");
        ck_assert_uint_eq(message.traceback_limit, 64);
        ck_assert_int_eq(message.taken_at_unix_ns, 8);
        ck_assert_uint_eq(message.size, 9);
        ck_assert_uint_eq(message.count, 10);
        ck_assert_uint_eq(message.traces, 11);
        ck_assert_uint_eq(message.lost, 12);
        ck_assert(message.exact);
        ck_assert(is(message.name, "name") && is(message.exe, "exe") && is(message.unit, "unit"));
        ck_assert(is(message.label, "label") && is(message.ended_by, "exit 0"));
}
END_TEST

START_TEST(a_sum_is_described_by_what_its_members_share)
{
        struct snapshot_info one = {.id = 17,
                                    .set = 3,
                                    .pid = 5,
                                    .uid = 6,
                                    .kind = SNAPSHOT_EXIT,
                                    .taken_at_ns = 80,
                                    .size = 9,
                                    .count = 10,
                                    .traces = 11,
                                    .lost = 12,
                                    .exact = true,
                                    .name = (char *)"name",
                                    .exe = (char *)"exe",
                                    .started_at_ns = 2,
                                    .label = (char *)"x"};
        struct snapshot_info two = {.id = 18,
                                    .set = 3,
                                    .pid = 4,
                                    .uid = 6,
                                    .kind = SNAPSHOT_PEAK,
                                    .taken_at_ns = 8,
                                    .size = 1,
                                    .count = 1,
                                    .traces = 1,
                                    .lost = 1,
                                    .exact = false,
                                    .started_at_ns = 2,
                                    .name = (char *)"name",
                                    .exe = (char *)"other",
                                    .label = (char *)"y"};
        const struct snapshot_info *infos[] = {&one, &two};
        Tracemallocd__Control__SnapshotInfo message;
        reply_snapshot_info(infos, 2, &message);
        ck_assert_int_eq(message.id, 0);
        ck_assert_int_eq(message.set, 3);
        ck_assert_uint_eq(message.pid, 0);
        ck_assert_uint_eq(message.uid, 6);
        ck_assert_str_eq(message.kind, "");
        ck_assert_int_eq(message.taken_at_unix_ns, 80);
        ck_assert_uint_eq(message.size, 10);
        ck_assert_uint_eq(message.count, 11);
        ck_assert_uint_eq(message.traces, 12);
        ck_assert_uint_eq(message.lost, 13);
        ck_assert(!message.exact);
        ck_assert(is(message.name, "name") && is(message.exe, "") && is(message.label, ""));
        ck_assert_int_eq(message.started_at_unix_ns, 2);
        two.set = 4;
        two.started_at_ns = 3;
        reply_snapshot_info(infos, 2, &message);
        ck_assert_int_eq(message.set, 0);
        ck_assert_int_eq(message.started_at_unix_ns, 0);
}
END_TEST

/* What was changed later is no source of the program that began first. */
START_TEST(sources_are_shown_as_of_the_earliest_beginning)
{
        struct snapshot late = {.info = {.started_at_ns = 50, .taken_at_ns = 90}},
                        early = {.info = {.started_at_ns = 40, .taken_at_ns = 60}},
                        unknown = {.info = {.taken_at_ns = 30}}, nothing = {0};
        const struct model_source sources[] = {{&nothing, NULL}, {&late, NULL}, {&early, NULL}, {&unknown, NULL}};
        ck_assert_int_eq(reply_sources_until_ns(sources, 1), 0);
        ck_assert_int_eq(reply_sources_until_ns(sources, 2), 50);
        ck_assert_int_eq(reply_sources_until_ns(sources, 3), 40);
        ck_assert_int_eq(reply_sources_until_ns(sources, 4), 30);
        ck_assert_int_eq(reply_sources_until_ns(sources + 2, 1), 40);
}
END_TEST

START_TEST(a_sum_that_does_not_fit_stays_at_the_largest)
{
        const struct snapshot_info half = {.size = UINT64_C(1) << 63, .count = UINT64_C(1) << 63, .traces = 1},
                                   *infos[] = {&half, &half, &half};
        Tracemallocd__Control__SnapshotInfo message;
        reply_snapshot_info(infos, 3, &message);
        ck_assert_uint_eq(message.size, UINT64_MAX);
        ck_assert_uint_eq(message.count, UINT64_MAX);
        ck_assert_uint_eq(message.traces, 3);
}
END_TEST

static void refuse_view(const Tracemallocd__Control__View *message) {
        struct view *view = NULL;
        char *text = NULL;
        ck_assert_int_eq(view_new(message, NULL, 0, &view, &text), QUERY_E_USAGE);
        ck_assert_str_eq(text, "too many filters or skipped patterns: at most 1024 of each");
        free(text);
}

START_TEST(more_than_1024_filters_or_patterns_are_refused)
{
        static ProtobufCBinaryData patterns[VIEW_PATTERNS_MAX + 1];
        static Tracemallocd__Control__Filter *filters[VIEW_PATTERNS_MAX + 1];
        Tracemallocd__Control__Filter filter = TRACEMALLOCD__CONTROL__FILTER__INIT;
        Tracemallocd__Control__View message = TRACEMALLOCD__CONTROL__VIEW__INIT;
        struct view *view = NULL;
        char *text = NULL;
        for (size_t i = 0; i < VIEW_PATTERNS_MAX + 1; i++)
                filters[i] = &filter;
        message.filters = filters;
        message.n_filters = VIEW_PATTERNS_MAX;
        ck_assert_int_eq(view_new(&message, NULL, 0, &view, &text), 0);
        view = view_free(view);
        message.n_filters = VIEW_PATTERNS_MAX + 1;
        refuse_view(&message);
        message.n_filters = 0;
        message.skip = message.skip_functions = patterns;
        message.n_skip = VIEW_PATTERNS_MAX + 1;
        refuse_view(&message);
        message.n_skip = 0;
        message.n_skip_functions = VIEW_PATTERNS_MAX + 1;
        refuse_view(&message);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("reply");
        TCase *cases = check_case("reply");
        tcase_add_test(cases, long_answers_come_in_chunks);
        tcase_add_test(cases, limit_cuts_rows_but_not_what_is_announced);
        tcase_add_test(cases, the_sink_s_refusal_ends_the_query);
        tcase_add_test(cases, a_row_longer_than_a_message_is_refused);
        tcase_add_test(cases, a_snapshot_is_described_by_its_info);
        tcase_add_test(cases, a_sum_is_described_by_what_its_members_share);
        tcase_add_test(cases, sources_are_shown_as_of_the_earliest_beginning);
        tcase_add_test(cases, a_sum_that_does_not_fit_stays_at_the_largest);
        tcase_add_test(cases, more_than_1024_filters_or_patterns_are_refused);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
