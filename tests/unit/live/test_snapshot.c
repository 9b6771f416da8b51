/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/snapshot.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct snapshot_builder *builder;

static void open_builder(void) {
        ck_assert_int_eq(snapshot_builder_new(&builder), 0);
}

static void close_builder(void) {
        builder = snapshot_builder_free(builder);
}

static struct snapshot *finish(void) {
        struct snapshot *s;
        ck_assert_int_eq(snapshot_builder_finish(builder, &s), 0);
        builder = NULL;
        return s;
}

START_TEST(empty_snapshot_has_the_root_and_empty_strings)
{
        struct snapshot *s = finish();
        ck_assert_uint_eq(s->n_nodes, 1);
        ck_assert_uint_eq(s->n_groups, 0);
        ck_assert_str_eq(s->info.name, "");
        ck_assert_str_eq(s->info.ended_by, "");
        ck_assert_ptr_null(snapshot_unref(s));
}
END_TEST

START_TEST(equal_things_are_stored_once)
{
        uint32_t a, b;
        ck_assert_int_eq(snapshot_builder_string(builder, "x\0y", 3, &a), 0);
        ck_assert_int_eq(snapshot_builder_string(builder, "x\0y", 3, &b), 0);
        ck_assert_uint_eq(a, b);
        ck_assert_int_eq(snapshot_builder_string(builder, "x", 1, &b), 0);
        ck_assert_uint_ne(a, b);
        ck_assert_int_eq(snapshot_builder_module(builder, "/m", 2, (const uint8_t *)"i", 1, &a), 0);
        ck_assert_int_eq(snapshot_builder_module(builder, "/m", 2, (const uint8_t *)"i", 1, &b), 0);
        ck_assert_uint_eq(a, b);
        ck_assert_int_eq(snapshot_builder_module(builder, "/m", 2, NULL, 0, &b), 0);
        ck_assert_uint_ne(a, b);
        struct snapshot_location l = {.kind = LOCATION_NATIVE, .module = a, .offset = 5, .lineno = 9};
        ck_assert_int_eq(snapshot_builder_location(builder, &l, &a), 0);
        l.lineno = 0; /* means nothing for a native one */
        ck_assert_int_eq(snapshot_builder_location(builder, &l, &b), 0);
        ck_assert_uint_eq(a, b);
        uint32_t n, m;
        ck_assert_int_eq(snapshot_builder_node(builder, 0, a, &n), 0);
        ck_assert_int_eq(snapshot_builder_node(builder, n, a, &m), 0);
        ck_assert_uint_ne(n, m);
        ck_assert_uint_eq(snapshot_builder_depth(builder, m), 2);
        ck_assert_int_eq(snapshot_builder_node(builder, 0, a, &b), 0);
        ck_assert_uint_eq(n, b);
}
END_TEST

START_TEST(blocks_of_a_group_are_counted_by_size_in_order)
{
        for (uint64_t size = 50; size > 0; size--)
                ck_assert_int_eq(snapshot_builder_block(builder, 7, 0, 1, size % 10, 2), 0);
        ck_assert_int_eq(snapshot_builder_block(builder, 7, 0, 2, 3, 1), 0);
        ck_assert_int_eq(snapshot_builder_allocated(builder, 7, 0, 2, 30, 4), 0);
        struct snapshot *s = finish();
        ck_assert_uint_eq(s->n_groups, 2);
        ck_assert_uint_eq(s->n_sizes, 11);
        ck_assert_uint_eq(s->groups[0].n_sizes, 10);
        for (uint32_t i = 0; i < 10; i++) {
                ck_assert_uint_eq(s->sizes[s->groups[0].first_size + i].size, i);
                ck_assert_uint_eq(s->sizes[s->groups[0].first_size + i].count, 10);
        }
        ck_assert_uint_eq(s->groups[0].size, 450);
        ck_assert_uint_eq(s->groups[0].count, 100);
        ck_assert_uint_eq(s->groups[1].allocated_size, 30);
        ck_assert_uint_eq(s->groups[1].allocated_count, 4);
        ck_assert_uint_eq(s->info.size, 453);
        ck_assert_uint_eq(s->info.count, 101);
        ck_assert_uint_eq(s->info.traces, 11);
        snapshot_unref(s);
}
END_TEST

START_TEST(sums_have_no_sizes_and_count_as_one_trace_each)
{
        ck_assert_int_eq(snapshot_builder_sum(builder, 0, 0, 1, 100, 3), 0);
        ck_assert_int_eq(snapshot_builder_sum(builder, 0, 0, 1, 1, 1), 0);
        ck_assert_int_eq(snapshot_builder_domain(builder, 5, "five", 4), 0);
        ck_assert_int_eq(snapshot_builder_domain(builder, 5, "cinq", 4), 0);
        struct snapshot *s = finish();
        ck_assert_uint_eq(s->groups[0].size, 101);
        ck_assert_uint_eq(s->groups[0].n_sizes, 0);
        ck_assert_uint_eq(s->info.traces, 1);
        ck_assert_uint_eq(s->n_domains, 1);
        ck_assert_str_eq(s->strings[s->domains[0].name].bytes, "cinq");
        snapshot_unref(s);
}
END_TEST

START_TEST(many_strings_and_a_long_one_keep_their_bytes)
{
        static char big[200000];
        memset(big, 'b', sizeof big);
        uint32_t index, index_of_big;
        for (unsigned i = 0; i < 20000; i++) {
                char name[32];
                int n = snprintf(name, sizeof name, "name %u", i);
                ck_assert_int_eq(snapshot_builder_string(builder, name, (size_t)n, &index), 0);
                ck_assert_uint_eq(index, i);
        }
        ck_assert_int_eq(snapshot_builder_string(builder, big, sizeof big, &index_of_big), 0);
        struct snapshot *s = snapshot_ref(finish());
        ck_assert_str_eq(s->strings[12345].bytes, "name 12345");
        ck_assert_uint_eq(s->strings[index_of_big].length, sizeof big);
        ck_assert_int_eq(memcmp(s->strings[index_of_big].bytes, big, sizeof big), 0);
        snapshot_unref(s);
        snapshot_unref(s);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/snapshot");
        TCase *tcase = check_case("snapshot");
        tcase_add_checked_fixture(tcase, open_builder, close_builder);
        tcase_add_test(tcase, empty_snapshot_has_the_root_and_empty_strings);
        tcase_add_test(tcase, equal_things_are_stored_once);
        tcase_add_test(tcase, blocks_of_a_group_are_counted_by_size_in_order);
        tcase_add_test(tcase, sums_have_no_sizes_and_count_as_one_trace_each);
        tcase_add_test(tcase, many_strings_and_a_long_one_keep_their_bytes);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
