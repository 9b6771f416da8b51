/* SPDX-License-Identifier: Apache-2.0 */

/* Full, locked, read-only, damaged, killed: the store says so in one line, goes on, and keeps what was acknowledged. */

#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture f;

static void open_or_fail(void) {
        int r = fixture_open(&f);
        ck_assert_msg(r == 0, "%d: %s", r, f.message);
}

static void begin(void) {
        fixture_init(&f);
        open_or_fail();
}

static struct snapshot *make(uint64_t seed, uint32_t n) {
        return snapshot_random(&(struct snapshot_random_options){.seed = seed, .uid = 1000, .n_tracebacks = n});
}

/* A put of something large fails with @code; then, after @heal, a small one and the large one succeed. */
static void assert_put_fails_and_recovers(int code, const char *words, void (*heal)(void)) {
        struct snapshot *small = make(1, 10), *large = make(2, 20000);
        int64_t first, id;
        ck_assert_int_eq(fixture_put(&f, small, 0, &first), 0);
        int r = fixture_put(&f, large, 0, &id);
        ck_assert_msg(r == code, "%d: %s", r, f.message);
        ck_assert_msg(strstr(f.message, words) && strstr(f.message, store_path(f.store)), "%s", f.message);
        fixture_load_equal(&f, first, small);
        heal();
        ck_assert_int_eq(fixture_put(&f, small, 0, &id), 0);
        fixture_load_equal(&f, id, small);
        r = fixture_put(&f, large, 0, &id);
        ck_assert_msg(r == 0, "%s", f.message);
        fixture_load_equal(&f, id, large);
        fixture_check(&f);
        snapshot_unref(small);
        snapshot_unref(large);
}

static void lift_file_size_limit(void) {
        struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
}

START_TEST(a_file_size_limit_is_no_space)
{
        begin();
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {1 << 20, RLIM_INFINITY};
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_put_fails_and_recovers(STORE_E_FULL, "no space", lift_file_size_limit);
        fixture_deinit(&f);
}
END_TEST

/* A file system of our own on f.root, in a mount namespace of our own. */
static void mount_small(void) {
        if (unshare(CLONE_NEWNS) < 0)
                ck_assert_msg(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        ck_assert_msg(mount("tmpfs", f.root, "tmpfs", 0, "size=1500k") == 0, "mount: %s", strerror(errno));
}

static void grow(void) {
        ck_assert_int_eq(mount("tmpfs", f.root, "tmpfs", MS_REMOUNT, "size=200m"), 0);
}

static void leave(void) {
        fixture_close(&f);
        ck_assert_int_eq(umount(f.root), 0);
        fixture_deinit(&f);
}

START_TEST(a_full_disk_fails_the_snapshot_and_nothing_else)
{
        fixture_init(&f);
        mount_small();
        open_or_fail();
        assert_put_fails_and_recovers(STORE_E_FULL, "no space", grow);
        leave();
}
END_TEST

START_TEST(a_disk_that_is_full_from_the_start_is_told)
{
        char path[100];
        static char block[4096];
        fixture_init(&f);
        mount_small();
        snprintf(path, sizeof path, "%s/filler", f.root);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        while (write(fd, block, sizeof block) > 0)
                ;
        close(fd);
        ck_assert_int_eq(fixture_open(&f), STORE_E_FULL);
        ck_assert_msg(strstr(f.message, "no space"), "%s", f.message);
        grow();
        open_or_fail();
        leave();
}
END_TEST

START_TEST(a_read_only_file_system_is_told)
{
        fixture_init(&f);
        mount_small();
        open_or_fail();
        fixture_close(&f);
        ck_assert_int_eq(mount("tmpfs", f.root, "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
        int r = fixture_open(&f);
        ck_assert_msg(r == STORE_E_READ_ONLY, "%d: %s", r, f.message);
        ck_assert_msg(strstr(f.message, "Read-only file system"), "%s", f.message);
        leave();
}
END_TEST

static sqlite3 *other;

static void end_other(void) {
        ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
}

START_TEST(a_locked_database_fails_after_a_bounded_time)
{
        struct snapshot *s = make(1, 10);
        int64_t id;
        begin();
        ck_assert_int_eq(sqlite3_open(store_path(f.store), &other), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), STORE_E_BUSY);
        ck_assert_msg(strstr(f.message, "locked by another program"), "%s", f.message);
        end_other();
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        fixture_load_equal(&f, id, s);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_reader_in_the_middle_of_a_transaction_stops_no_writer)
{
        struct snapshot *s = make(1, 500);
        int64_t id;
        begin();
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        ck_assert_int_eq(sqlite3_open(store_path(f.store), &other), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM snapshot", NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(fixture_delete(&f, &id, 1), 0);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        fixture_load_equal(&f, id, s);
        end_other();
        fixture_check(&f);
        snapshot_unref(s);
        fixture_deinit(&f);
}
END_TEST

/* Nobody is told that something is stored that nobody can read, and that the daemon's end would take away. */
static void assert_put_notices_that_it_is_gone(const char *suffix) {
        struct snapshot *s = make(1, 10);
        char path[160], aside[180];
        int64_t id;
        begin();
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        snprintf(path, sizeof path, "%s%s", store_path(f.store), suffix);
        snprintf(aside, sizeof aside, "%s.aside", path);
        ck_assert_int_eq(rename(path, aside), 0);
        int r = fixture_put(&f, s, 0, &id);
        ck_assert_msg(r == STORE_E_IO, "%d: %s", r, f.message);
        ck_assert_msg(strstr(f.message, path) && strstr(f.message, "restart tracemallocd"), "%s", f.message);
        ck_assert_int_eq(rename(aside, path), 0);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        fixture_load_equal(&f, id, s);
        fixture_check(&f);
        snapshot_unref(s);
        fixture_deinit(&f);
}

START_TEST(a_put_into_a_file_that_was_moved_away_fails)
{ assert_put_notices_that_it_is_gone(""); }
END_TEST

START_TEST(a_put_into_a_log_that_was_moved_away_fails)
{ assert_put_notices_that_it_is_gone("-wal"); }
END_TEST

START_TEST(a_reader_says_that_the_file_is_gone)
{
        char message[STORE_MESSAGE_MAX];
        begin();
        ck_assert_int_eq(unlink(store_path(f.store)), 0);
        struct store_reader *reader;
        ck_assert_int_eq(store_reader_open(store_path(f.store), &reader, message), STORE_E_IO);
        ck_assert_msg(strstr(message, store_path(f.store)) && strstr(message, "restart tracemallocd"), "%s", message);
        fixture_deinit(&f);
}
END_TEST

/* ---- killed ---- */

static void report(void *data, const struct store_result *result) {
        if (result->code || write(*(int *)data, &result->ids[0], sizeof result->ids[0]) != sizeof result->ids[0])
                _exit(1);
}

/* Put until killed. Tells the ids of the puts as they are acknowledged. */
static void write_for_ever(int fd) {
        open_or_fail();
        for (uint64_t seed = 1;; seed++) {
                struct snapshot *s = make(seed % 10, 400);
                store_put(f.store, s, 0, report, &fd);
                snapshot_unref(s);
                uv_run(&f.loop, UV_RUN_ONCE);
        }
}

START_TEST(no_acknowledged_snapshot_is_lost_by_a_kill)
{
        int64_t acknowledged = 0;
        fixture_init(&f);
        for (int round = 0; round < 10; round++) {
                int fds[2];
                ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
                pid_t child = fork();
                if (child == 0)
                        write_for_ever(fds[1]);
                close(fds[1]);
                int64_t id;
                for (int i = 0; i <= round % 4; i++)
                        ck_assert_int_eq(read(fds[0], &id, sizeof id), sizeof id);
                kill(child, SIGKILL);
                ck_assert_int_eq(waitpid(child, NULL, 0), child);
                while (read(fds[0], &id, sizeof id) == sizeof id)
                        ;
                close(fds[0]);
                ck_assert_int_gt(id, acknowledged);
                acknowledged = id;
                open_or_fail();
                fixture_check(&f);
                ck_assert_int_ge(fixture_count(&f, "SELECT count(*) FROM snapshot"), acknowledged);
                struct snapshot *loaded;
                for (id = 1; id <= acknowledged; id++) {
                        int r = store_reader_load(f.reader, id, STORE_LOAD_WHOLE, &loaded);
                        ck_assert_msg(r == 0, "snapshot %lld: %s", (long long)id, store_reader_message(f.reader));
                        snapshot_unref(loaded);
                }
                fixture_close(&f);
        }
        fixture_deinit(&f);
}
END_TEST

/* ---- damaged ---- */

static void assert_damaged(int64_t id, enum store_load what) {
        struct snapshot *loaded;
        ck_assert_int_eq(store_reader_load(f.reader, id, what, &loaded), STORE_E_CORRUPT);
        ck_assert_msg(strstr(store_reader_message(f.reader), "is damaged"), "%s", store_reader_message(f.reader));
}

START_TEST(rows_that_contradict_each_other_are_refused)
{
        static const struct {
                const char *sql;
                bool of_places; /* STORE_LOAD_PLACES reads it, too */
        } damages[] = {
                {"UPDATE traceback SET parent = id WHERE id = (SELECT max(id) FROM traceback)", true},
                {"UPDATE traceback SET parent = 999999 WHERE id = (SELECT max(id) FROM traceback)", true},
                {"UPDATE traceback SET frame = 999999 WHERE id = (SELECT max(id) FROM traceback)", true},
                {"UPDATE snapshot_group SET traceback = 999999 WHERE traceback = (SELECT max(traceback) FROM "
                 "snapshot_group)",
                 true},
                {"UPDATE snapshot_group SET traceback = -1 WHERE traceback = (SELECT max(traceback) FROM "
                 "snapshot_group)",
                 true},
                {"UPDATE snapshot_group SET sizes = x'8080' WHERE sizes IS NOT NULL", false},
                {"UPDATE snapshot_group SET size = size + 1", false},
                {"UPDATE snapshot_group SET domain = -1 WHERE traceback = (SELECT max(traceback) FROM snapshot_group)",
                 false},
                {"UPDATE snapshot_group SET total_nframe = -2 WHERE traceback = (SELECT max(traceback) FROM "
                 "snapshot_group)",
                 false},
                {"UPDATE frame SET lineno = -1 - id WHERE filename IS NOT NULL", true},
                {"UPDATE frame SET module = 999999 + id WHERE module IS NOT NULL", true},
                {"UPDATE module SET build_id = zeroblob(32 + id)", true},
                {"DELETE FROM string", true},
                {"UPDATE snapshot SET count = count + 1", false},
                {"UPDATE snapshot SET pid = -1", true},
                {"UPDATE snapshot_domain SET number = 4294967296 WHERE number = 7", false},
        };
        struct snapshot *s = make(6, 60);
        for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
                int64_t id;
                begin();
                ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
                fixture_execute(&f, damages[i].sql);
                assert_damaged(id, STORE_LOAD_WHOLE);
                if (damages[i].of_places)
                        assert_damaged(id, STORE_LOAD_PLACES);
                fixture_deinit(&f);
        }
        snapshot_unref(s);
}
END_TEST

static int ignore(void *data, const struct snapshot_info *info) {
        return 0;
}

/* Whatever comes, but no crash. */
static void read_everything(void) {
        struct store_filter all = {.all_users = true, .kind = STORE_ANY_KIND};
        for (int64_t id = 1; id <= 3; id++) {
                struct snapshot *loaded;
                struct symbol_set *symbols;
                if (store_reader_load(f.reader, id, STORE_LOAD_PLACES, &loaded) == 0)
                        snapshot_unref(loaded);
                if (store_reader_load(f.reader, id, STORE_LOAD_WHOLE, &loaded))
                        continue;
                ck_assert_int_eq(symbol_set_new(&symbols), 0);
                store_reader_symbols(f.reader, 1000, loaded, symbols);
                symbol_set_free(symbols);
                snapshot_unref(loaded);
        }
        store_reader_list(f.reader, &all, ignore, NULL);
}

static void put_with_symbols(uint64_t seed) {
        struct snapshot *s = make(seed, 150);
        struct symbol_set *symbols;
        int64_t id;
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        ck_assert_int_eq(symbol_set_new(&symbols), 0);
        for (uint32_t i = 0; i < s->n_locations; i++) {
                const struct snapshot_location *l = &s->locations[i];
                if (l->kind != LOCATION_NATIVE || l->module == SNAPSHOT_NONE)
                        continue;
                const struct snapshot_module *m = &s->modules[l->module];
                struct symbol_frame frame = {{"function", 8}, {"file.c", 6}, i};
                uint32_t module;
                ck_assert_int_eq(symbol_set_module(symbols, s->strings[m->path].bytes, s->strings[m->path].length,
                                                   m->build_id, m->build_id_length, &module),
                                 0);
                ck_assert_int_eq(symbol_set_add(symbols, module, l->offset, &frame, 1), 0);
        }
        ck_assert_int_eq(fixture_put_symbols(&f, 1000, symbols), 0);
        snapshot_unref(s);
}

START_TEST(a_damaged_file_is_an_error_and_never_a_crash)
{
        char path[160];
        uint64_t state = 4711; /* the seed */
        begin();
        snprintf(path, sizeof path, "%s", store_path(f.store));
        for (uint64_t seed = 1; seed <= 3; seed++)
                put_with_symbols(seed);
        fixture_close(&f);
        FILE *file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        char *good = malloc(8 << 20), *bad = malloc(8 << 20);
        size_t length = fread(good, 1, 8 << 20, file);
        fclose(file);
        int64_t id;
        for (int round = 0; round < 80; round++) {
                memcpy(bad, good, length);
                /* anywhere but the mark in the header */
                for (uint64_t n = 1 + snapshot_random_next(&state) % 200; n > 0; n--)
                        bad[100 + snapshot_random_next(&state) % (length - 100)] = (char)snapshot_random_next(&state);
                file = fopen(path, "w");
                ck_assert_uint_eq(fwrite(bad, 1, length, file), length);
                fclose(file);
                if (fixture_open(&f) == 0) {
                        read_everything();
                        fixture_delete(&f, (int64_t[]){2}, 1);
                        struct snapshot *s = make(2, 100);
                        fixture_put(&f, s, 0, &id);
                        snapshot_unref(s);
                        read_everything();
                        fixture_close(&f);
                }
        }
        free(good);
        free(bad);
        fixture_deinit(&f);
}
END_TEST

CHECK_MAIN("store_faults", a_file_size_limit_is_no_space, a_full_disk_fails_the_snapshot_and_nothing_else,
           a_disk_that_is_full_from_the_start_is_told, a_read_only_file_system_is_told,
           a_locked_database_fails_after_a_bounded_time, a_reader_in_the_middle_of_a_transaction_stops_no_writer,
           a_put_into_a_file_that_was_moved_away_fails, a_put_into_a_log_that_was_moved_away_fails,
           a_reader_says_that_the_file_is_gone, no_acknowledged_snapshot_is_lost_by_a_kill,
           rows_that_contradict_each_other_are_refused, a_damaged_file_is_an_error_and_never_a_crash)
