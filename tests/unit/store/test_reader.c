/* SPDX-License-Identifier: Apache-2.0 */

/* References, lists, places, symbols, and the views that answer in plain SQL. */

#include "proto/record.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <stdio.h>
#include <string.h>

static struct fixture f;

static void begin(void) {
        fixture_init(&f);
        int r = fixture_open(&f);
        ck_assert_msg(r == 0, "%d: %s", r, f.message);
}

static int64_t put(struct snapshot *s) {
        int64_t id = 0;
        int r = fixture_put(&f, s, 0, &id);
        ck_assert_msg(r == 0, "%d: %s", r, f.message);
        snapshot_unref(s);
        return id;
}

/* ---- lists ---- */

static int64_t put_named(uint32_t pid, uint32_t uid, uint32_t kind, const char *name, const char *unit,
                         const char *label, int64_t taken_at_ns) {
        struct snapshot_builder *b;
        struct snapshot *s;
        ck_assert_int_eq(snapshot_builder_new(&b), 0);
        struct snapshot_info *info = snapshot_builder_info(b);
        info->pid = pid;
        info->uid = uid;
        info->kind = kind;
        info->taken_at_ns = taken_at_ns;
        info->name = strdup(name);
        info->unit = strdup(unit);
        info->label = strdup(label);
        ck_assert_int_eq(snapshot_builder_finish(b, &s), 0);
        return put(s);
}

static void put_five(void) {
        begin();
        put_named(10, 1000, SNAPSHOT_REQUEST, "redis-server", "redis.service", "before", 100);
        put_named(11, 1000, SNAPSHOT_EXIT, "perl", "", "", 200);
        put_named(10, 1001, SNAPSHOT_REQUEST, "redis-cli", "redis@2.service", "before", 300);
        put_named(10, 1000, SNAPSHOT_PEAK, "redis-server", "redis.service", "after", 400);
        put_named(12, 1000, SNAPSHOT_REQUEST, "perl", "redis.socket", "after all", 500);
}

struct listed {
        int64_t ids[8];
        size_t n;
};

static int note(void *data, const struct snapshot_info *info) {
        struct listed *l = data;
        l->ids[l->n++] = info->id;
        return 0;
}

/* @expected: as a number: 135 is 1, 3, 5 */
static void assert_list(struct store_filter filter, int expected) {
        struct listed l = {0};
        int got = 0;
        ck_assert_int_eq(store_reader_list(f.reader, &filter, note, &l), 0);
        for (size_t i = 0; i < l.n; i++)
                got = got * 10 + (int)l.ids[i];
        ck_assert_int_eq(got, expected);
}

START_TEST(a_list_holds_what_passes_every_condition)
{
        put_five();
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND}, 12345);
        assert_list((struct store_filter){.uid = 1000, .kind = STORE_ANY_KIND}, 1245);
        assert_list((struct store_filter){.uid = 1002, .kind = STORE_ANY_KIND}, 0);
        assert_list((struct store_filter){.all_users = true, .kind = SNAPSHOT_REQUEST}, 135);
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .since_ns = 300}, 345);
        uint32_t pids[] = {12, 11};
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .pids = pids, .n_pids = 2}, 25);
        const char *names[] = {"redis-*", "nobody"};
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .names = names, .n_names = 2},
                    134);
        const char *units[] = {"redis"};
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .units = units, .n_units = 1}, 14);
        units[0] = "redis@2.service";
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .units = units, .n_units = 1}, 3);
        assert_list((struct store_filter){.all_users = true, .kind = STORE_ANY_KIND, .label = "after*"}, 45);
        assert_list(
                (struct store_filter){
                        .uid = 1000, .kind = SNAPSHOT_REQUEST, .label = "before", .names = names, .n_names = 2},
                1);
        fixture_deinit(&f);
}
END_TEST

static int stop_at_second(void *data, const struct snapshot_info *info) {
        return info->id == 2 ? 42 : note(data, info);
}

START_TEST(a_visitor_can_end_the_walk)
{
        put_five();
        struct listed l = {0};
        struct store_filter all = {.all_users = true, .kind = STORE_ANY_KIND};
        ck_assert_int_eq(store_reader_list(f.reader, &all, stop_at_second, &l), 42);
        ck_assert_uint_eq(l.n, 1);
        assert_list(all, 12345);
        ck_assert_int_eq(store_reader_info(f.reader, 2, stop_at_second, &l), 42);
        ck_assert_int_eq(store_reader_info(f.reader, 6, note, &l), STORE_E_NOT_FOUND);
        fixture_deinit(&f);
}
END_TEST

START_TEST(last_is_the_newest_of_ones_own)
{
        int64_t id;
        put_five();
        ck_assert_int_eq(store_reader_last(f.reader, 1000, STORE_ANY_KIND, 0, &id), 0);
        ck_assert_int_eq(id, 5);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, STORE_ANY_KIND, 2, &id), 0);
        ck_assert_int_eq(id, 2);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, SNAPSHOT_PEAK, 0, &id), 0);
        ck_assert_int_eq(id, 4);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, SNAPSHOT_EXIT, 0, &id), 0);
        ck_assert_int_eq(id, 2);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, SNAPSHOT_REQUEST, 1, &id), 0);
        ck_assert_int_eq(id, 1);
        ck_assert_int_eq(store_reader_last(f.reader, 1001, STORE_ANY_KIND, 0, &id), 0);
        ck_assert_int_eq(id, 3);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, STORE_ANY_KIND, 4, &id), STORE_E_NOT_FOUND);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, STORE_ANY_KIND, UINT64_MAX, &id), STORE_E_NOT_FOUND);
        ck_assert_int_eq(store_reader_last(f.reader, 0, STORE_ANY_KIND, 0, &id), STORE_E_NOT_FOUND);
        /* what a shell left at an exec may be stored after what its successor left at its end */
        put_named(13, 1000, SNAPSHOT_EXIT, "sh", "", "", 150);
        ck_assert_int_eq(store_reader_last(f.reader, 1000, SNAPSHOT_EXIT, 0, &id), 0);
        ck_assert_int_eq(id, 2);
        fixture_deinit(&f);
}
END_TEST

/* ---- places ---- */

static int compare_locations(const void *a, const void *b) {
        return memcmp(a, b, sizeof(struct snapshot_location));
}

/* With the path of its module for the number, which depends on the order of loading; sources by their line alone. */
static struct snapshot_location *sorted_locations(const struct snapshot *s) {
        struct snapshot_location *sorted = calloc(s->n_locations, sizeof *sorted);
        ck_assert_ptr_nonnull(sorted);
        for (uint32_t i = 0; i < s->n_locations; i++) {
                const struct snapshot_location *l = &s->locations[i];
                sorted[i] = (struct snapshot_location){.kind = l->kind, .offset = l->offset, .lineno = l->lineno};
                if (l->module != SNAPSHOT_NONE)
                        sorted[i].module = (uint32_t)s->strings[s->modules[l->module].path].length;
                if (l->filename != SNAPSHOT_NONE)
                        sorted[i].filename = (uint32_t)s->strings[l->filename].length;
        }
        qsort(sorted, s->n_locations, sizeof *sorted, compare_locations);
        return sorted;
}

START_TEST(places_are_the_locations_of_all_tracebacks_and_nothing_else)
{
        begin();
        for (uint64_t seed = 1; seed <= 4; seed++) {
                struct snapshot_random_options options = {
                        .seed = seed, .uid = 1000, .pid = 1, .n_tracebacks = seed == 4 ? 0 : 200};
                int64_t id = put(snapshot_random(&options));
                struct snapshot *whole, *places;
                ck_assert_int_eq(store_reader_load(f.reader, id, STORE_LOAD_WHOLE, &whole), 0);
                ck_assert_int_eq(store_reader_load(f.reader, id, STORE_LOAD_PLACES, &places), 0);
                ck_assert_uint_eq(places->n_groups, 0);
                ck_assert_uint_eq(places->n_nodes, 1);
                ck_assert_int_eq(places->info.id, id);
                ck_assert_uint_eq(places->info.uid, 1000);
                ck_assert_uint_eq(places->info.size, whole->info.size);
                ck_assert_uint_eq(places->n_locations, whole->n_locations);
                ck_assert_uint_eq(places->n_modules, whole->n_modules);
                struct snapshot_location *a = sorted_locations(whole), *b = sorted_locations(places);
                ck_assert_mem_eq(a, b, whole->n_locations * sizeof *a);
                free(a);
                free(b);
                snapshot_unref(whole);
                snapshot_unref(places);
        }
        fixture_deinit(&f);
}
END_TEST

/* ---- symbols ---- */

/* main calls outer (native) calls, at three places, an allocator: size bytes each in the order of the offsets */
static struct snapshot *native_snapshot(uint32_t uid, const uint64_t *sizes) {
        struct snapshot_builder *b;
        struct snapshot *s;
        uint32_t module, string, location, main_node, node;
        ck_assert_int_eq(snapshot_builder_new(&b), 0);
        snapshot_builder_info(b)->uid = uid;
        ck_assert_int_eq(snapshot_builder_module(b, "/usr/bin/prog", 13, (const uint8_t *)"id", 2, &module), 0);
        ck_assert_int_eq(snapshot_builder_string(b, "main.py", 7, &string), 0);
        struct snapshot_location l = {.kind = LOCATION_SOURCE,
                                      .module = SNAPSHOT_NONE,
                                      .filename = string,
                                      .function = SNAPSHOT_NONE,
                                      .lineno = 3};
        ck_assert_int_eq(snapshot_builder_location(b, &l, &location), 0);
        ck_assert_int_eq(snapshot_builder_node(b, 0, location, &main_node), 0);
        for (uint32_t i = 0; i < 3; i++) {
                l = (struct snapshot_location){.kind = LOCATION_NATIVE,
                                               .module = module,
                                               .offset = 0x100 * (i + 1),
                                               .filename = SNAPSHOT_NONE,
                                               .function = SNAPSHOT_NONE};
                ck_assert_int_eq(snapshot_builder_location(b, &l, &location), 0);
                ck_assert_int_eq(snapshot_builder_node(b, main_node, location, &node), 0);
                if (sizes[i])
                        ck_assert_int_eq(snapshot_builder_block(b, DOMAIN_MALLOC, node, 2, sizes[i], 1), 0);
        }
        ck_assert_int_eq(snapshot_builder_block(b, DOMAIN_PYTHON, main_node, 1, 5, 1), 0);
        ck_assert_int_eq(snapshot_builder_block(b, DOMAIN_PYTHON, 0, 0, 1, 1), 0);
        ck_assert_int_eq(snapshot_builder_finish(b, &s), 0);
        return s;
}

static struct snapshot_string text(const char *s) {
        return (struct snapshot_string){.bytes = s, .length = s ? strlen(s) : 0};
}

/* 0x100: two frames with lines; 0x200: nothing; 0x300: a function alone */
static struct symbol_set *some_symbols(const char *function) {
        struct symbol_set *set;
        uint32_t module, other;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        ck_assert_int_eq(symbol_set_module(set, "/not/stored", 11, NULL, 0, &other), 0);
        ck_assert_int_eq(symbol_set_module(set, "/usr/bin/prog", 13, (const uint8_t *)"id", 2, &module), 0);
        ck_assert_int_eq(symbol_set_examined(set, module, true, "half of it", 10), 0);
        struct symbol_frame two[] = {{text("inlined"), text("prog.h"), 7}, {text(function), text("prog.c"), 70}};
        struct symbol_frame one[] = {{text("no_line"), text(NULL), 0}};
        ck_assert_int_eq(symbol_set_add(set, module, 0x100, two, 2), 0);
        ck_assert_int_eq(symbol_set_add(set, module, 0x200, NULL, 0), 0);
        ck_assert_int_eq(symbol_set_add(set, module, 0x300, one, 1), 0);
        ck_assert_int_eq(symbol_set_add(set, module, 0x999, one, 1), 0); /* no snapshot has it */
        ck_assert_int_eq(symbol_set_add(set, other, 0x100, one, 1), 0);
        return set;
}

static struct symbol_set *read_symbols(uint32_t owner, const struct snapshot *s, uint32_t *modulep) {
        struct symbol_set *set;
        ck_assert_int_eq(symbol_set_new(&set), 0);
        int r = store_reader_symbols(f.reader, owner, s, set);
        ck_assert_msg(r == 0, "%d: %s", r, store_reader_message(f.reader));
        *modulep = symbol_set_find_module(set, "/usr/bin/prog", 13, (const uint8_t *)"id", 2);
        return set;
}

START_TEST(symbols_come_back_for_the_locations_that_are_stored)
{
        uint32_t module, n;
        begin();
        struct snapshot *s = native_snapshot(1000, (uint64_t[]){10, 20, 30});
        put(snapshot_ref(s));
        struct symbol_set *set = read_symbols(1000, s, &module);
        ck_assert_uint_eq(symbol_set_n_locations(set), 0);
        ck_assert(!symbol_set_module_at(set, module)->examined);
        symbol_set_free(set);
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("compiled")), 0);
        set = read_symbols(1000, s, &module);
        ck_assert_uint_eq(symbol_set_n_locations(set), 3);
        ck_assert(symbol_set_module_at(set, module)->has_lines);
        ck_assert_str_eq(symbol_set_module_at(set, module)->problem.bytes, "half of it");
        const struct symbol_frame *frames = symbol_set_find(set, module, 0x100, &n);
        ck_assert_uint_eq(n, 2);
        ck_assert_str_eq(frames[0].function.bytes, "inlined");
        ck_assert_str_eq(frames[0].filename.bytes, "prog.h");
        ck_assert_uint_eq(frames[0].lineno, 7);
        ck_assert_str_eq(frames[1].function.bytes, "compiled");
        ck_assert_ptr_nonnull(symbol_set_find(set, module, 0x200, &n));
        ck_assert_uint_eq(n, 0);
        frames = symbol_set_find(set, module, 0x300, &n);
        ck_assert_ptr_null(frames[0].filename.bytes);
        ck_assert_str_eq(frames[0].function.bytes, "no_line");
        symbol_set_free(set);
        fixture_check(&f);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_put_tells_whether_a_location_has_no_symbols)
{
        begin();
        put(native_snapshot(1000, (uint64_t[]){10, 20, 0}));
        ck_assert(f.unresolved); /* new */
        put(native_snapshot(1000, (uint64_t[]){10, 20, 0}));
        ck_assert(f.unresolved); /* there, but nobody has looked */
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("compiled")), 0);
        put(native_snapshot(1000, (uint64_t[]){10, 20, 0}));
        ck_assert(!f.unresolved);
        put(native_snapshot(1000, (uint64_t[]){10, 20, 30}));
        ck_assert(f.unresolved); /* one of them */
        put(native_snapshot(1001, (uint64_t[]){10, 20, 0}));
        ck_assert(f.unresolved); /* of another user's file */
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_snapshot_that_was_there_already_may_have_no_symbols)
{
        int64_t id;
        begin();
        struct snapshot *s = native_snapshot(1000, (uint64_t[]){10, 20, 0});
        put(snapshot_ref(s));
        ck_assert_int_eq(fixture_put_once(&f, s, &id), 0);
        ck_assert(f.unresolved);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(later_symbols_replace_the_earlier_ones_and_their_strings)
{
        uint32_t module, n;
        begin();
        struct snapshot *s = native_snapshot(1000, (uint64_t[]){10, 20, 30});
        int64_t id = put(snapshot_ref(s));
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("old name")), 0);
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("new name")), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM string WHERE bytes = CAST('old name' AS BLOB)"), 0);
        struct symbol_set *set = read_symbols(1000, s, &module);
        ck_assert_str_eq(symbol_set_find(set, module, 0x100, &n)[1].function.bytes, "new name");
        symbol_set_free(set);
        fixture_check(&f);
        ck_assert_int_eq(fixture_delete(&f, &id, 1), 0);
        fixture_check(&f);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM symbol"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM string"), 0);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(one_users_symbols_never_name_anothers_frames)
{
        uint32_t module;
        begin();
        struct snapshot *mine = native_snapshot(1000, (uint64_t[]){10, 20, 30});
        struct snapshot *theirs = native_snapshot(1001, (uint64_t[]){10, 20, 30});
        put(snapshot_ref(mine));
        put(snapshot_ref(theirs));
        ck_assert_int_eq(fixture_put_symbols(&f, 1001, some_symbols("forged")), 0);
        struct symbol_set *set = read_symbols(1000, mine, &module);
        ck_assert_uint_eq(symbol_set_n_locations(set), 0);
        ck_assert(!symbol_set_module_at(set, module)->examined);
        symbol_set_free(set);
        set = read_symbols(1001, theirs, &module);
        ck_assert_uint_eq(symbol_set_n_locations(set), 3);
        symbol_set_free(set);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM statistics_by_line WHERE snapshot = 1 AND "
                                           "filename = 'prog.h'"),
                         0);
        snapshot_unref(mine);
        snapshot_unref(theirs);
        fixture_deinit(&f);
}
END_TEST

/* ---- views ---- */

static void assert_rows(const char *select, const char *expected) {
        char sql[500];
        snprintf(sql, sizeof sql, "SELECT group_concat(row, '; ') FROM (%s)", select);
        char *rows = fixture_query(&f, sql);
        ck_assert_str_eq(rows, expected);
        free(rows);
}

#define BY_LINE                                                                                                        \
        "SELECT filename || ':' || lineno || ' ' || ifnull(place, '-') || ' ' || size || '/' || count AS row "         \
        "FROM statistics_by_line WHERE snapshot = 1 ORDER BY size DESC"

START_TEST(views_answer_in_plain_sql)
{
        begin();
        put(native_snapshot(1000, (uint64_t[]){10, 20, 30}));
        assert_rows(BY_LINE, "/usr/bin/prog:0 0x300 30/1; /usr/bin/prog:0 0x200 20/1; /usr/bin/prog:0 0x100 10/1; "
                             "main.py:3 - 5/1; <unknown>:0 - 1/1");
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("compiled")), 0);
        assert_rows(BY_LINE, "/usr/bin/prog:0 no_line 30/1; /usr/bin/prog:0 0x200 20/1; prog.h:7 - 10/1; "
                             "main.py:3 - 5/1; <unknown>:0 - 1/1");
        assert_rows("SELECT filename || ' ' || size || '/' || count AS row FROM statistics_by_file WHERE snapshot = 1 "
                    "ORDER BY size DESC",
                    "/usr/bin/prog 50/2; prog.h 10/1; main.py 5/1; <unknown> 1/1");
        assert_rows("SELECT filename || ' ' || ifnull(function, '-') || ' ' || size AS row FROM statistics_by_function "
                    "WHERE snapshot = 1 ORDER BY size DESC",
                    "/usr/bin/prog no_line 30; /usr/bin/prog - 20; prog.h inlined 10; main.py - 5; <unknown> - 1");
        fixture_deinit(&f);
}
END_TEST

START_TEST(the_view_of_two_snapshots_shows_what_changed)
{
        begin();
        put(native_snapshot(1000, (uint64_t[]){10, 20, 0}));
        put(native_snapshot(1000, (uint64_t[]){17, 0, 30}));
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, some_symbols("compiled")), 0);
        assert_rows(
                "SELECT filename || ' ' || size || printf('(%+d) ', size_diff) || count || printf('(%+d)', count_diff) "
                "AS row FROM statistics_diff WHERE old = 1 AND new = 2 ORDER BY abs(size_diff) DESC, filename DESC",
                "/usr/bin/prog 30(+30) 1(+1); /usr/bin/prog 0(-20) 0(-1); prog.h 17(+7) 1(+0); main.py 5(+0) 1(+0); "
                "<unknown> 1(+0) 1(+0)");
        fixture_deinit(&f);
}
END_TEST

CHECK_MAIN("reader", a_list_holds_what_passes_every_condition, a_visitor_can_end_the_walk,
           last_is_the_newest_of_ones_own, places_are_the_locations_of_all_tracebacks_and_nothing_else,
           symbols_come_back_for_the_locations_that_are_stored, a_put_tells_whether_a_location_has_no_symbols,
           a_snapshot_that_was_there_already_may_have_no_symbols,
           later_symbols_replace_the_earlier_ones_and_their_strings, one_users_symbols_never_name_anothers_frames,
           views_answer_in_plain_sql, the_view_of_two_snapshots_shows_what_changed)
