/* SPDX-License-Identifier: Apache-2.0 */

/* Writing and what it leaves in the tables: round trips, sharing, deletion, ids, sets. */

#include "daemon/store/pins.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_equal.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture f;

static void begin(void) {
        fixture_init(&f);
        int r = fixture_open(&f);
        ck_assert_msg(r == 0, "%d: %s", r, f.message);
}

static struct snapshot *make(uint64_t seed, uint32_t uid, uint32_t kind, uint32_t n) {
        return snapshot_random(&(struct snapshot_random_options){
                .seed = seed, .uid = uid, .pid = 100 + (uint32_t)seed, .kind = kind, .n_tracebacks = n});
}

static int64_t put(struct snapshot *s) {
        int64_t id = 0;
        int r = fixture_put(&f, s, 0, &id);
        ck_assert_msg(r == 0, "%d: %s", r, f.message);
        return id;
}

START_TEST(random_snapshots_come_back_equal_to_the_letter)
{
        begin();
        struct snapshot *snapshots[40];
        int64_t ids[40];
        for (uint32_t seed = 0; seed < 40; seed++) {
                snapshots[seed] = make(seed, 1000 + seed % 3, seed % 4, seed % 7 == 0 ? 0 : seed * 5);
                ids[seed] = put(snapshots[seed]);
                fixture_load_equal(&f, ids[seed], snapshots[seed]);
        }
        fixture_check(&f);
        /* and also in another life, after all the others were put beside it */
        fixture_close(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        for (uint32_t seed = 0; seed < 40; seed++) {
                fixture_load_equal(&f, ids[seed], snapshots[seed]);
                snapshot_unref(snapshots[seed]);
        }
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_deep_traceback_comes_back)
{
        begin();
        struct snapshot *s = snapshot_random(
                &(struct snapshot_random_options){.seed = 5, .n_tracebacks = 3, .depth_max = 65535, .sizes_max = 3000});
        fixture_load_equal(&f, put(s), s);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_second_snapshot_adds_no_string_frame_or_traceback)
{
        begin();
        struct snapshot *s = make(3, 1000, SNAPSHOT_REQUEST, 200);
        put(s);
        int64_t strings = fixture_count(&f, "SELECT count(*) FROM string");
        int64_t frames = fixture_count(&f, "SELECT count(*) FROM frame");
        int64_t modules = fixture_count(&f, "SELECT count(*) FROM module");
        int64_t tracebacks = fixture_count(&f, "SELECT count(*) FROM traceback");
        int64_t groups = fixture_count(&f, "SELECT count(*) FROM snapshot_group");
        ck_assert_int_gt(tracebacks, 500);
        int64_t second = put(s);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM string"), strings);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM frame"), frames);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM module"), modules);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM traceback"), tracebacks);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot_group"), 2 * groups);
        fixture_load_equal(&f, second, s);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(owners_share_strings_but_no_frame_and_no_module)
{
        begin();
        struct snapshot *mine = make(3, 1000, SNAPSHOT_REQUEST, 50), *theirs = make(3, 1001, SNAPSHOT_REQUEST, 50);
        put(mine);
        int64_t strings = fixture_count(&f, "SELECT count(*) FROM string");
        int64_t frames = fixture_count(&f, "SELECT count(*) FROM frame");
        int64_t tracebacks = fixture_count(&f, "SELECT count(*) FROM traceback");
        int64_t id = put(theirs);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM string"), strings);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM frame WHERE owner = 1001"), frames);
        /* all but the root */
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM traceback"), 2 * tracebacks - 1);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM frame JOIN module ON module.id = frame.module "
                                           "WHERE frame.owner <> module.owner"),
                         0);
        fixture_load_equal(&f, id, theirs);
        snapshot_unref(mine);
        snapshot_unref(theirs);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_delete_collects_what_nobody_else_needs)
{
        begin();
        struct snapshot *a = make(1, 1000, SNAPSHOT_REQUEST, 100), *b = make(2, 1000, SNAPSHOT_REQUEST, 100);
        int64_t id_a = put(a), id_b = put(b), id_b2 = put(b);
        ck_assert_int_eq(fixture_delete(&f, &id_a, 1), 0);
        fixture_check(&f);
        fixture_load_equal(&f, id_b, b);
        ck_assert_int_eq(fixture_delete(&f, (int64_t[]){id_b, id_b2}, 2), 0);
        fixture_check(&f);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM string"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM module"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM frame"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM traceback"), 1);
        fixture_load_equal(&f, put(a), a); /* as well as before */
        snapshot_unref(a);
        snapshot_unref(b);
        fixture_deinit(&f);
}
END_TEST

/* Puts, deletes and labels at random; after each step all that should be there is there, and nothing else. */
START_TEST(a_random_life_keeps_every_snapshot_whole)
{
        uint64_t state = 77; /* the seed */
        struct snapshot *kept[12] = {0};
        int64_t ids[12] = {0}, newest = 0;
        begin();
        for (int step = 0; step < 120; step++) {
                size_t at = snapshot_random_next(&state) % 12;
                if (kept[at]) {
                        ck_assert_int_eq(fixture_delete(&f, &ids[at], 1), 0);
                        kept[at] = snapshot_unref(kept[at]);
                } else {
                        kept[at] = make(snapshot_random_next(&state) % 9, 1000 + snapshot_random_next(&state) % 2,
                                        SNAPSHOT_REQUEST, 30);
                        ids[at] = put(kept[at]);
                        ck_assert_int_gt(ids[at], newest);
                        newest = ids[at];
                }
                if (step % 10 == 0)
                        fixture_check(&f);
                size_t other = snapshot_random_next(&state) % 12;
                if (kept[other])
                        fixture_load_equal(&f, ids[other], kept[other]);
        }
        fixture_check(&f);
        for (size_t i = 0; i < 12; i++)
                snapshot_unref(kept[i]);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_delete_gives_space_back_to_the_file_system)
{
        char path[128];
        struct stat full, less;
        begin();
        snprintf(path, sizeof path, "%s", store_path(f.store));
        struct snapshot *big = make(9, 1000, SNAPSHOT_REQUEST, 4000), *small = make(8, 1000, SNAPSHOT_REQUEST, 5);
        int64_t id = put(big), keep = put(small);
        /* what the log holds goes into the file at the end of a store */
        fixture_close(&f);
        ck_assert_int_eq(stat(path, &full), 0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_delete(&f, &id, 1), 0);
        ck_assert_int_eq(stat(path, &less), 0);
        ck_assert_msg(less.st_size < full.st_size / 10, "%ld of %ld", (long)less.st_size, (long)full.st_size);
        fixture_load_equal(&f, keep, small);
        snapshot_unref(big);
        snapshot_unref(small);
        fixture_deinit(&f);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
        begin();
        struct snapshot *s = make(1, 1000, SNAPSHOT_REQUEST, 5);
        int64_t first = put(s), id = put(s);
        ck_assert_int_eq(first, 1);
        ck_assert_int_eq(fixture_delete(&f, (int64_t[]){first, id}, 2), 0);
        fixture_close(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(put(s), id + 1);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

static int64_t put_once(struct snapshot *s) {
        int64_t id;
        ck_assert_int_eq(fixture_put_once(&f, s, &id), 0);
        return id;
}

START_TEST(a_snapshot_that_is_there_is_not_put_once_more)
{
        begin();
        struct snapshot *s = make(1, 1000, SNAPSHOT_EXIT, 5);
        int64_t first = put(s);
        ck_assert_int_eq(put_once(s), first);
        /* another in any part of what it is known by */
        s->info.taken_at_ns++;
        int64_t last = put_once(s);
        ck_assert_int_gt(last, first);
        s->info.kind = SNAPSHOT_PEAK;
        ck_assert_int_eq(put_once(s), ++last);
        s->info.image++;
        ck_assert_int_eq(put_once(s), ++last);
        s->info.started_at_ns++;
        ck_assert_int_eq(put_once(s), ++last);
        s->info.pid++;
        ck_assert_int_eq(put_once(s), ++last);
        s->info.uid++;
        ck_assert_int_eq(put_once(s), ++last);
        ck_assert_int_eq(put_once(s), last);
        fixture_load_equal(&f, last, s);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_set_holds_all_its_members_and_goes_with_the_last)
{
        begin();
        struct snapshot *members[] = {make(1, 1000, 0, 5), make(2, 1001, 0, 5), make(3, 1000, 0, 5)};
        int64_t ids[3], *found, id;
        size_t n;
        ck_assert_int_eq(fixture_put_set(&f, members, 3, ids), 0);
        int64_t set = f.set;
        ck_assert_int_eq(set, 1);
        ck_assert_int_eq(fixture_put(&f, members[0], set, &id), 0);
        ck_assert_int_eq(store_reader_set_members(f.reader, set, &found, &n), 0);
        ck_assert_uint_eq(n, 4);
        ck_assert_int_eq(memcmp(found, ids, sizeof ids), 0);
        ck_assert_int_eq(found[3], id);
        free(found);
        struct snapshot *loaded;
        ck_assert_int_eq(store_reader_load(f.reader, ids[1], STORE_LOAD_WHOLE, &loaded), 0);
        ck_assert_int_eq(loaded->info.set, set);
        snapshot_unref(loaded);
        ck_assert_int_eq(fixture_delete(&f, (int64_t[]){ids[0], ids[1], ids[2], id}, 4), 0);
        ck_assert_int_eq(store_reader_set_members(f.reader, set, &found, &n), STORE_E_NOT_FOUND);
        ck_assert_int_eq(fixture_put(&f, members[0], set, &id), STORE_E_NOT_FOUND);
        ck_assert_int_eq(fixture_put_set(&f, members, 1, ids), 0);
        ck_assert_int_eq(f.set, 2);
        fixture_check(&f);
        for (size_t i = 0; i < 3; i++)
                snapshot_unref(members[i]);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_label_of_several_is_of_all_or_none)
{
        begin();
        struct snapshot *members[] = {make(1, 1000, SNAPSHOT_REQUEST, 5), make(2, 1000, SNAPSHOT_REQUEST, 5)}, *loaded;
        int64_t ids[2];
        ck_assert_int_eq(fixture_put_set(&f, members, 2, ids), 0);
        ck_assert_int_eq(fixture_label_all(&f, ids, 2, "both"), 0);
        const int64_t one_gone[] = {ids[0], ids[1] + 1};
        ck_assert_int_eq(fixture_label_all(&f, one_gone, 2, "neither"), STORE_E_NOT_FOUND);
        for (size_t i = 0; i < 2; i++) {
                ck_assert_int_eq(store_reader_load(f.reader, ids[i], STORE_LOAD_WHOLE, &loaded), 0);
                ck_assert_str_eq(loaded->info.label, "both");
                snapshot_unref(loaded);
                snapshot_unref(members[i]);
        }
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_label_can_be_changed)
{
        begin();
        struct snapshot *s = make(1, 1000, SNAPSHOT_REQUEST, 5), *loaded;
        int64_t id = put(s);
        ck_assert_int_eq(fixture_label(&f, id, "after \xff"), 0);
        ck_assert_int_eq(store_reader_load(f.reader, id, STORE_LOAD_WHOLE, &loaded), 0);
        ck_assert_str_eq(loaded->info.label, "after \xff");
        snapshot_unref(loaded);
        ck_assert_int_eq(fixture_label(&f, id, NULL), 0);
        ck_assert_int_eq(store_reader_load(f.reader, id, STORE_LOAD_WHOLE, &loaded), 0);
        ck_assert_str_eq(loaded->info.label, "");
        snapshot_unref(loaded);
        ck_assert_int_eq(fixture_label(&f, id + 1, "x"), STORE_E_NOT_FOUND);
        ck_assert_str_eq(f.message, "no snapshot 2");
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_delete_with_one_unknown_id_deletes_nothing)
{
        begin();
        struct snapshot *s = make(1, 1000, SNAPSHOT_REQUEST, 20), *loaded;
        int64_t id = put(s);
        ck_assert_int_eq(fixture_delete(&f, (int64_t[]){id, 99}, 2), STORE_E_NOT_FOUND);
        fixture_load_equal(&f, id, s);
        ck_assert_int_eq(store_reader_load(f.reader, 99, STORE_LOAD_WHOLE, &loaded), STORE_E_NOT_FOUND);
        ck_assert_str_eq(store_reader_message(f.reader), "no snapshot 99");
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_set_is_stored_whole_or_not_at_all)
{
        begin();
        struct snapshot *members[] = {make(1, 1000, 0, 50), make(2, 1000, 0, 50)};
        members[1]->info.kind = SNAPSHOT_LIVE; /* which is never stored */
        int64_t ids[2];
        ck_assert_int_eq(fixture_put_set(&f, members, 2, ids), STORE_E_INVALID);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM traceback"), 1);
        fixture_check(&f);
        ck_assert_int_eq(fixture_put_set(&f, members, 1, ids), 0);
        fixture_load_equal(&f, ids[0], members[0]);
        snapshot_unref(members[0]);
        snapshot_unref(members[1]);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_snapshot_that_contradicts_itself_is_refused)
{
        begin();
        struct snapshot *s = make(4, 1000, SNAPSHOT_REQUEST, 5);
        struct snapshot_group *groups = (struct snapshot_group *)(uintptr_t)s->groups, good = groups[0];
        int64_t id;
        groups[0].size++;
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), STORE_E_INVALID);
        groups[0] = good;
        groups[0].node = s->n_nodes;
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), STORE_E_INVALID);
        groups[0] = good;
        groups[0].first_size = s->n_sizes;
        groups[0].n_sizes = 1;
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), STORE_E_INVALID);
        groups[0] = good;
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

/* One that nobody refers to, so that the next ones come behind it. */
static void add_traceback(int64_t id) {
        char sql[128];
        snprintf(sql, sizeof sql, "INSERT INTO traceback VALUES (%" PRId64 ", 0, %" PRId64 ")", id, id);
        fixture_execute(&f, sql);
}

START_TEST(row_numbers_of_tracebacks_go_up_to_48_bits)
{
        begin();
        struct snapshot *s = make(4, 100, SNAPSHOT_REQUEST, 5), *other = make(5, 100, SNAPSHOT_REQUEST, 5);
        int64_t id;
        add_traceback(INT64_C(1) << 40);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        fixture_load_equal(&f, id, s);
        add_traceback((INT64_C(1) << 48) - 3);
        ck_assert_int_eq(fixture_put(&f, other, 0, &id), STORE_E_FULL);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0); /* it is all there */
        fixture_load_equal(&f, id, s);
        snapshot_unref(s);
        snapshot_unref(other);
        fixture_deinit(&f);
}
END_TEST

/* The shape that tracemalloc makes of a large program: 1.5 million blocks, 500 call sites, 10 frames. */
START_TEST(what_many_blocks_take_goes_by_their_call_sites)
{
        struct snapshot_builder *b;
        struct snapshot *s;
        struct stat st;
        uint64_t state = 1;
        begin();
        ck_assert_int_eq(snapshot_builder_new(&b), 0);
        for (uint32_t site = 0; site < 500; site++) {
                uint32_t node = 0, string, location;
                for (uint32_t depth = 0; depth < 10; depth++) {
                        char name[64];
                        int n = snprintf(name, sizeof name, "/usr/lib/python3/dist-packages/package/module_%u.py",
                                         (site * depth) % 100);
                        ck_assert_int_eq(snapshot_builder_string(b, name, (size_t)n, &string), 0);
                        struct snapshot_location l = {.kind = LOCATION_SOURCE,
                                                      .module = SNAPSHOT_NONE,
                                                      .filename = string,
                                                      .function = SNAPSHOT_NONE,
                                                      .lineno = site};
                        ck_assert_int_eq(snapshot_builder_location(b, &l, &location), 0);
                        ck_assert_int_eq(snapshot_builder_node(b, node, location, &node), 0);
                }
                int failed = 0; /* Check sends each assertion to another process */
                for (uint32_t block = 0; block < 3000; block++)
                        failed |= snapshot_builder_block(b, 0, node, 10, 28 + snapshot_random_next(&state) % 100, 1);
                ck_assert_int_eq(failed, 0);
        }
        ck_assert_int_eq(snapshot_builder_finish(b, &s), 0);
        ck_assert_uint_eq(s->info.count, 1500000);
        put(s);
        char *path = strdup(store_path(f.store));
        fixture_close(&f);
        ck_assert_int_eq(stat(path, &st), 0);
        /* pickle.dumps(tracemalloc.Snapshot(the same traces, 10), 5) of CPython 3.11: 21,197,519 bytes */
        ck_assert_int_lt(st.st_size, 21197519 / 10);
        free(path);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

static void count_result(void *data, const struct store_result *result) {
        ck_assert_int_eq(result->code, 0);
        ++*(int *)data;
}

static void note_closed(void *data) {
        ck_assert_int_eq(*(int *)data, 20); /* all answers came before */
        *(int *)data = 1000;
}

START_TEST(what_one_user_stores_pushes_out_nothing_of_another)
{
        begin();
        struct snapshot *theirs = make(1, 1000, SNAPSHOT_EXIT, 20);
        int64_t id = put(theirs);
        store_retain(f.store,
                     &(struct retention){.bytes = (uint64_t)fixture_count(&f, "PRAGMA page_count") * 4096 * 4});
        for (uint32_t seed = 2; seed < 14; seed++) {
                struct snapshot *flood = make(seed, 1001, SNAPSHOT_REQUEST, 100);
                put(flood);
                snapshot_unref(flood);
        }
        ck_assert_int_lt(fixture_count(&f, "SELECT count(*) FROM snapshot WHERE uid = 1001"), 12);
        fixture_load_equal(&f, id, theirs);
        snapshot_unref(theirs);
        fixture_deinit(&f);
}
END_TEST

struct one_of_many {
        int64_t id;
        unsigned *n_answers;
};

/* Pins what comes first, when it is told of it. */
static void pin_first(void *data, const struct store_result *result) {
        struct one_of_many *one = data;
        one->id = result->ids[0];
        if ((*one->n_answers)++ == 0)
                store_pin(f.store, (int64_t[]){one->id, 0}, 2);
}

/* Put so many, read the answers only when all are there, and wait for what is deleted because of them. */
static void put_many(size_t n, struct one_of_many *many) {
        struct snapshot *s = make(1, 1000, SNAPSHOT_EXIT, 1);
        unsigned n_answers = 0;
        for (size_t i = 0; i < n; i++) {
                many[i].n_answers = &n_answers;
                ck_assert_int_eq(store_put(f.store, s, 0, pin_first, &many[i]), 0);
        }
        while (fixture_count(&f, "SELECT ifnull(max(id), 0) FROM snapshot") < (int64_t)n)
                usleep(1000); /* the writer tells nobody but the loop */
        while (n_answers < n)
                uv_run(&f.loop, UV_RUN_ONCE);
        put(s); /* deleting follows the answer: this is when the groups before are done with */
        ck_assert_int_eq(fixture_label(&f, many[n - 1].id, "label"), 0);
        snapshot_unref(s);
}

START_TEST(of_too_many_the_pinned_are_the_last_to_go_however_late_the_answers_are_read)
{
        enum { LIMIT = 2 * PINS_MAX, MANY = 3 * PINS_MAX };
        struct one_of_many many[MANY];
        begin();
        store_retain(f.store, &(struct retention){.exit_count = LIMIT});
        put_many(MANY, many);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), LIMIT);
        ck_assert_int_eq(fixture_count(&f, "SELECT min(id) FROM snapshot"), many[0].id);
        ck_assert_int_gt(fixture_count(&f, "SELECT min(id) FROM snapshot WHERE id > 1"), many[MANY - LIMIT].id);
        fixture_deinit(&f);
}
END_TEST

START_TEST(pins_that_would_fill_more_than_half_do_not_count)
{
        enum { LIMIT = 2 * PINS_MAX - 1 };
        struct one_of_many many[LIMIT];
        begin();
        store_retain(f.store, &(struct retention){.exit_count = LIMIT});
        put_many(LIMIT, many);
        ck_assert_int_eq(fixture_count(&f, "SELECT min(id) FROM snapshot"), many[1].id);
        fixture_deinit(&f);
}
END_TEST

/* What waits at once may share a transaction; nobody is to see that. */
START_TEST(one_that_fails_takes_none_with_it_that_waited_beside_it)
{
        struct fixture_answer answers[40];
        struct snapshot *s[40], *liar = make(99, 1000, SNAPSHOT_REQUEST, 5);
        begin();
        for (uint32_t i = 0; i < 40; i++) {
                answers[i].code = -1;
                s[i] = make(i, 1000, SNAPSHOT_EXIT, 5 + i);
                if (i % 10 == 7)
                        store_label(f.store, &(int64_t){12345}, 1, "label", 5, fixture_note, &answers[i]);
                else if (i % 10 == 9)
                        store_put(f.store, liar, 777, fixture_note, &answers[i]); /* no such set */
                else
                        store_put_once(f.store, s[i - (i % 10 == 5)], fixture_note, &answers[i]);
        }
        for (uint32_t i = 0; i < 40; i++) {
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), i % 10 == 7 || i % 10 == 9 ? STORE_E_NOT_FOUND : 0);
                if (answers[i].code == 0)
                        fixture_load_equal(&f, answers[i].id, s[i - (i % 10 == 5)]);
        }
        for (uint32_t i = 5; i < 40; i += 10) /* the same once more, in the same transaction perhaps */
                ck_assert_int_eq(answers[i].id, answers[i - 1].id);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 28);
        fixture_check(&f);
        for (uint32_t i = 0; i < 40; i++)
                snapshot_unref(s[i]);
        snapshot_unref(liar);
        fixture_deinit(&f);
}
END_TEST

START_TEST(one_of_a_set_that_is_not_there_is_refused_when_it_is_tried_again_alone)
{
        struct fixture_answer answers[3];
        begin();
        struct snapshot *s = make(1, 1000, SNAPSHOT_REQUEST, 5);
        for (size_t i = 0; i < 3; i++) {
                answers[i].code = -1;
                store_put(f.store, s, i == 1 ? 777 : 0, fixture_note, &answers[i]);
        }
        for (size_t i = 0; i < 3; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), i == 1 ? STORE_E_NOT_FOUND : 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 2);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_close_does_what_was_queued_first)
{
        begin();
        struct snapshot *s = make(4, 1000, SNAPSHOT_REQUEST, 50);
        int answers = 0;
        for (int i = 0; i < 20; i++)
                ck_assert_int_eq(store_put(f.store, s, 0, count_result, &answers), 0);
        snapshot_unref(s);
        store_close(f.store, note_closed, &answers);
        f.store = NULL;
        f.reader = store_reader_close(f.reader);
        uv_run(&f.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(answers, 1000);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 20);
        fixture_deinit(&f);
}
END_TEST

static int count_descriptors(void) {
        int n = 0;
        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

START_TEST(a_closed_store_leaves_no_descriptor)
{
        begin(); /* libuv's own, once for all loops */
        fixture_deinit(&f);
        int before = count_descriptors();
        begin();
        struct snapshot *s = make(4, 1000, SNAPSHOT_REQUEST, 50);
        fixture_load_equal(&f, put(s), s);
        snapshot_unref(s);
        fixture_deinit(&f);
        ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

CHECK_MAIN("store", random_snapshots_come_back_equal_to_the_letter, a_deep_traceback_comes_back,
           a_second_snapshot_adds_no_string_frame_or_traceback, owners_share_strings_but_no_frame_and_no_module,
           a_delete_collects_what_nobody_else_needs, a_random_life_keeps_every_snapshot_whole,
           a_delete_gives_space_back_to_the_file_system, ids_are_never_used_again,
           a_snapshot_that_is_there_is_not_put_once_more,
           of_too_many_the_pinned_are_the_last_to_go_however_late_the_answers_are_read,
           pins_that_would_fill_more_than_half_do_not_count, what_one_user_stores_pushes_out_nothing_of_another,
           a_set_holds_all_its_members_and_goes_with_the_last, a_label_can_be_changed,
           a_label_of_several_is_of_all_or_none, a_delete_with_one_unknown_id_deletes_nothing,
           a_set_is_stored_whole_or_not_at_all, a_snapshot_that_contradicts_itself_is_refused,
           row_numbers_of_tracebacks_go_up_to_48_bits, what_many_blocks_take_goes_by_their_call_sites,
           one_that_fails_takes_none_with_it_that_waited_beside_it,
           one_of_a_set_that_is_not_there_is_refused_when_it_is_tried_again_alone, a_close_does_what_was_queued_first,
           a_closed_store_leaves_no_descriptor)
