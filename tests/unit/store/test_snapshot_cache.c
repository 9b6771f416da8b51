/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/snapshot_cache.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <stdlib.h>
#include <string.h>

/* @n_bytes: of text that it holds */
static struct snapshot *snapshot_new(int64_t id, size_t n_bytes) {
        struct snapshot_builder *builder;
        struct snapshot *snapshot;
        uint32_t index;
        char *text = calloc(1, n_bytes + 1);
        ck_assert_int_eq(snapshot_builder_new(&builder), 0);
        snapshot_builder_info(builder)->id = id;
        ck_assert_int_eq(snapshot_builder_string(builder, text, n_bytes, &index), 0);
        ck_assert_int_eq(snapshot_builder_finish(builder, &snapshot), 0);
        free(text);
        return snapshot;
}

static void add(struct snapshot_cache *cache, int64_t id, size_t n_bytes) {
        struct snapshot *snapshot = snapshot_new(id, n_bytes);
        snapshot_cache_add(cache, snapshot);
        snapshot_unref(snapshot);
}

static bool has(struct snapshot_cache *cache, int64_t version, int64_t id) {
        struct snapshot *snapshot = snapshot_cache_find(cache, version, id);
        bool found = snapshot != NULL;
        if (found)
                ck_assert_int_eq(snapshot->info.id, id);
        snapshot_unref(snapshot);
        return found;
}

START_TEST(the_least_recently_used_goes)
{
        struct snapshot_cache cache = {0};
        ck_assert(!has(&cache, 1, 5));
        add(&cache, 5, 1);
        add(&cache, 6, 1);
        ck_assert(has(&cache, 1, 6) && has(&cache, 1, 5));
        add(&cache, 7, 1);
        ck_assert(has(&cache, 1, 5) && has(&cache, 1, 7) && !has(&cache, 1, 6));
        snapshot_cache_deinit(&cache);
        ck_assert(!has(&cache, 1, 5));
}
END_TEST

START_TEST(another_version_drops_all)
{
        struct snapshot_cache cache = {0};
        ck_assert(!has(&cache, 1, 5));
        add(&cache, 5, 1);
        add(&cache, 6, 1);
        ck_assert(!has(&cache, 2, 5));
        ck_assert(!has(&cache, 1, 6));
}
END_TEST

START_TEST(large_ones_are_not_kept)
{
        struct snapshot_cache cache = {0};
        ck_assert(!has(&cache, 1, 5));
        add(&cache, 5, SNAPSHOT_CACHE_BYTES_MAX / 2);
        add(&cache, 6, SNAPSHOT_CACHE_BYTES_MAX);
        ck_assert(has(&cache, 1, 5) && !has(&cache, 1, 6));
        snapshot_cache_deinit(&cache);
}
END_TEST

/* ---- in a reader ---- */

static struct fixture f;

static struct snapshot *load(int64_t id, enum store_load what) {
        struct snapshot *snapshot;
        int r = store_reader_load(f.reader, id, what, &snapshot);
        ck_assert_msg(r == 0, "%d: %s", r, store_reader_message(f.reader));
        return snapshot;
}

static int64_t open_with_one(void) {
        int64_t id;
        const struct snapshot_random_options options = {.seed = 1, .n_tracebacks = 20};
        struct snapshot *snapshot = snapshot_random(&options);
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_put(&f, snapshot, 0, &id), 0);
        snapshot_unref(snapshot);
        return id;
}

START_TEST(a_reader_loads_sums_once)
{
        int64_t id = open_with_one();
        struct snapshot *first = load(id, STORE_LOAD_SUMS), *second = load(id, STORE_LOAD_SUMS);
        struct snapshot *whole = load(id, STORE_LOAD_WHOLE);
        ck_assert_ptr_eq(first, second);
        ck_assert_ptr_ne(first, whole);
        ck_assert_uint_eq(first->n_sizes, 0);
        ck_assert_uint_gt(whole->n_sizes, 0);
        snapshot_unref(first);
        snapshot_unref(second);
        snapshot_unref(whole);
        fixture_deinit(&f);
}
END_TEST

START_TEST(what_the_writer_changes_is_seen)
{
        int64_t id = open_with_one();
        struct snapshot *before = load(id, STORE_LOAD_SUMS), *gone;
        ck_assert_int_eq(fixture_label(&f, id, "another"), 0);
        struct snapshot *after = load(id, STORE_LOAD_SUMS);
        ck_assert_str_eq(after->info.label, "another");
        ck_assert_str_ne(before->info.label, "another");
        ck_assert_int_eq(fixture_delete(&f, &id, 1), 0);
        ck_assert_int_eq(store_reader_load(f.reader, id, STORE_LOAD_SUMS, &gone), STORE_E_NOT_FOUND);
        snapshot_unref(before);
        snapshot_unref(after);
        fixture_deinit(&f);
}
END_TEST

CHECK_MAIN("snapshot_cache", the_least_recently_used_goes, another_version_drops_all, large_ones_are_not_kept,
           a_reader_loads_sums_once, what_the_writer_changes_is_seen)
