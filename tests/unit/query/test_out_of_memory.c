/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each allocation of a query fails once. The linker sends the library's
 * allocations here (failing_allocations.h); the sanitizer build sees what would leak.
 */

#include "daemon/query/query.h"
#include "daemon/query/reference.h"
#include "tests/support/check_main.h"
#include "tests/support/failing_allocations.h"
#include "tests/unit/query/snapshot_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct snapshot *snapshots[2];
static struct symbol_set *symbols;

/* Enough of everything that each array and index of the model grows. */
static void setup(void) {
        ck_assert_int_eq(symbol_set_new(&symbols), 0);
        for (unsigned i = 0; i < 2; i++) {
                snapshots[i] = snapshot_text_new(i + 1);
                for (unsigned j = 0; j < 150; j++) {
                        char outer[64], inner[64], module[64], symbol[64];
                        char *frames[] = {outer, inner}, *inlined[] = {symbol};
                        snprintf(outer, sizeof outer, "s,\xff%u,%u,f%u", j, j, i);
                        snprintf(inner, sizeof inner, "n,lib%u.so,%u", j, j);
                        snprintf(module, sizeof module, "lib%u.so", j);
                        snprintf(symbol, sizeof symbol, "s,x%u.c,%u,g%u", j, j % 2, j);
                        snapshot_text_blocks(snapshots[i], 0, 2, j, 1, frames, 2);
                        snapshot_text_symbol(symbols, module, j, inlined, j % 3 ? 1 : 0);
                }
        }
}

static void teardown(void) {
        for (unsigned i = 0; i < 2; i++)
                snapshot_text_free(snapshots[i]);
        symbols = symbol_set_free(symbols);
}

static int swallow(void *userdata, const Tracemallocd__Control__Reply *reply) {
        return 0;
}

static int swallow_bytes(void *userdata, const void *bytes, size_t length) {
        return 0;
}

enum question {
        STATS,
        COMPARE,
        TRACES,
        EXPORT,
        N_QUESTIONS,
};

/* With fail_at set: nothing of Check may run, it allocates. */
static int ask(enum question question, const Tracemallocd__Control__View *view, char **messagep) {
        struct model_source sources[] = {{snapshots[0], symbols}, {snapshots[1], symbols}};
        struct reply_sink sink = {swallow, NULL};
        struct pickle_sink file = {swallow_bytes, NULL};
        struct pickle_summary summary;
        if (question == STATS)
                return query_stats(sources, 2, view, &sink, messagep);
        if (question == COMPARE)
                return query_compare(&sources[0], 1, &sources[1], 1, view, &sink, messagep);
        if (question == TRACES)
                return query_traces(sources, 2, view, &sink, messagep);
        return query_export(sources, 2, view, PICKLE_SHAPE_3_9, &file, &summary, messagep);
}

/* Fail each allocation in turn, until there is none that could. */
static void fail_each(enum question question, const Tracemallocd__Control__View *view) {
        char *message = NULL;
        bool failed = true;
        for (long i = 0; failed; i++) {
                fail_at = i;
                int r = ask(question, view, &message);
                failed = fail_at < 0;
                fail_at = -1;
                ck_assert_int_eq(r, failed ? -ENOMEM : 0);
                ck_assert_ptr_null(message);
        }
}

START_TEST(every_allocation_of_a_query_may_fail)
{
        Tracemallocd__Control__View view = TRACEMALLOCD__CONTROL__VIEW__INIT;
        Tracemallocd__Control__Filter filter = TRACEMALLOCD__CONTROL__FILTER__INIT, *filters[] = {&filter, &filter};
        ProtobufCBinaryData skip = {3, (uint8_t *)"*.c"}, skip_function = {2, (uint8_t *)"g1"};
        filter.pattern = (ProtobufCBinaryData){5, (uint8_t *)"*[!z]"};
        filter.inclusive = true;
        view.filters = filters;
        view.n_filters = 2;
        view.skip = &skip;
        view.n_skip = 1;
        view.skip_functions = &skip_function;
        view.n_skip_functions = 1;
        view.skip_wrappers = true;
        view.limit = 5;
        for (int i = 0; i < N_QUESTIONS; i++) {
                view.group_by = TRACEMALLOCD__CONTROL__GROUP_BY__TRACEBACK;
                view.cumulative = false;
                fail_each((enum question)i, &view);
                view.group_by = TRACEMALLOCD__CONTROL__GROUP_BY__LINENO;
                view.cumulative = true;
                fail_each((enum question)i, &view);
        }
        snapshots[1]->info.kind = SNAPSHOT_IMPORT; /* beside a file, frames without a line are named as in one */
        fail_each(COMPARE, &view);
}
END_TEST

START_TEST(a_reference_may_find_no_memory)
{
        struct reference *reference = NULL;
        char *message = NULL;
        fail_at = 0;
        int r = reference_parse("1,2", &reference, &message);
        fail_at = -1;
        ck_assert_int_eq(r, -ENOMEM);
        ck_assert_ptr_null(reference);
        ck_assert_ptr_null(message);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("out_of_memory");
        TCase *cases = check_case("out_of_memory");
        tcase_add_checked_fixture(cases, setup, teardown);
        tcase_add_test(cases, every_allocation_of_a_query_may_fail);
        tcase_add_test(cases, a_reference_may_find_no_memory);
        suite_add_tcase(suite, cases);
        return check_run(suite);
}
