/* SPDX-License-Identifier: Apache-2.0 */

/* What store_open() finds, and what it makes of it. */

#include "daemon/store/migrate.h"
#include "daemon/store/store_file.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture f;
static char path[160];

static void begin(void) {
        fixture_init(&f);
        snprintf(path, sizeof path, "%s/%s", f.state_dir, STORE_FILE_NAME);
}

/* a state directory with a file in it */
static void begin_with(const void *bytes, size_t length) {
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        int fd = open(path, O_WRONLY | O_TRUNC);
        ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
        close(fd);
}

static int64_t put(uint64_t seed) {
        int64_t id = 0;
        struct snapshot *s = snapshot_random(&(struct snapshot_random_options){.seed = seed, .n_tracebacks = 300});
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        snapshot_unref(s);
        return id;
}

static int n_files(const char *pattern) {
        DIR *dir = opendir(f.state_dir);
        int n = 0;
        for (struct dirent *entry; (entry = readdir(dir));)
                n += strstr(entry->d_name, pattern) != NULL;
        closedir(dir);
        return n;
}

static char *contents(size_t *lengthp) {
        FILE *file = fopen(path, "r");
        char *bytes = malloc(1 << 20);
        *lengthp = fread(bytes, 1, 1 << 20, file);
        fclose(file);
        return bytes;
}

/* Opening fails with @code, and leaves every byte and every file name as it was. */
static void assert_refused_untouched(int code, const char *words) {
        size_t before, after;
        char *was = contents(&before);
        int files = n_files("");
        ck_assert_int_eq(fixture_open(&f), code);
        ck_assert_msg(strstr(f.message, words) && strstr(f.message, path), "%s", f.message);
        char *is = contents(&after);
        ck_assert_uint_eq(before, after);
        ck_assert_int_eq(memcmp(was, is, before), 0);
        ck_assert_int_eq(n_files(""), files);
        free(was);
        free(is);
}

START_TEST(directory_and_database_are_made_for_the_owner_alone)
{
        struct stat st;
        begin();
        umask(0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(stat(f.state_dir, &st), 0);
        ck_assert_int_eq(st.st_mode & 0777, 0700);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 0777, 0600);
        put(1);
        ck_assert_int_eq(stat(f.state_dir, &st), 0);
        char *mode = fixture_query(&f, "PRAGMA journal_mode");
        ck_assert_str_eq(mode, "wal");
        free(mode);
        ck_assert_int_eq(fixture_count(&f, "PRAGMA application_id"), STORE_APPLICATION_ID);
        ck_assert_int_eq(fixture_count(&f, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
        ck_assert_int_eq(n_files(".new"), 0);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused_and_not_touched)
{
        begin_with("somebody's diary\n", 17);
        assert_refused_untouched(STORE_E_NOT_OURS, "not a database of tracemallocd");
        fixture_deinit(&f);
}
END_TEST

START_TEST(another_programs_database_is_refused_and_not_touched)
{
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        unlink(path);
        sqlite3 *db;
        ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(db, "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)", NULL, NULL, NULL), 0);
        assert_refused_untouched(STORE_E_NOT_OURS,
                                 "not a database of tracemallocd"); /* its log is not applied either */
        sqlite3_close(db);
        assert_refused_untouched(STORE_E_NOT_OURS, "not a database of tracemallocd");
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_newer_schema_is_refused_and_not_touched)
{
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        fixture_execute(&f, "PRAGMA user_version = 99");
        assert_refused_untouched(STORE_E_NEWER, "schema version 99");
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_newer_schema_in_the_log_is_refused)
{
        sqlite3 *db;
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), 0);
        ck_assert_int_eq(fixture_open(&f), STORE_E_NEWER);
        sqlite3_close(db);
        fixture_deinit(&f);
}
END_TEST

START_TEST(an_empty_file_becomes_a_database)
{
        begin_with("", 0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(put(1), 1);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_damaged_database_is_moved_aside_and_a_new_one_begun)
{
        size_t length;
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        put(1);
        fixture_close(&f);
        char *bytes = contents(&length);
        memset(bytes + 100, 0xa5, 3000); /* the page of the schema */
        int fd = open(path, O_WRONLY | O_TRUNC);
        ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
        close(fd);
        free(bytes);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(n_files(".damaged-"), 1);
        ck_assert_int_eq(put(1), 1);
        fixture_check(&f);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_database_without_its_tables_is_moved_aside)
{
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        fixture_execute(&f, "DROP TABLE symbol");
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(n_files(".damaged-"), 1);
        ck_assert_int_eq(put(1), 1);
        fixture_deinit(&f);
}
END_TEST

START_TEST(each_database_that_is_moved_aside_stays)
{
        begin();
        for (int i = 1; i <= 3; i++) { /* within one second or two */
                ck_assert_int_eq(fixture_open(&f), 0);
                fixture_close(&f);
                fixture_execute(&f, "DROP TABLE symbol");
        }
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(n_files(".damaged-"), 3);
        fixture_deinit(&f);
}
END_TEST

/* somebody deleted snapshots.db while its log had more */
START_TEST(an_orphaned_log_is_not_applied_to_a_new_database)
{
        char keep[200], wal[200];
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        put(1);
        snprintf(wal, sizeof wal, "%s-wal", path);
        snprintf(keep, sizeof keep, "%s/keep", f.root);
        ck_assert_int_eq(link(wal, keep), 0);
        fixture_close(&f);
        ck_assert_int_eq(rename(keep, wal), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 0);
        fixture_check(&f);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_leftover_of_a_death_at_creation_is_in_nobodys_way)
{
        char leftover[200];
        begin();
        ck_assert_int_eq(fixture_open(&f), 0);
        fixture_close(&f);
        snprintf(leftover, sizeof leftover, "%s.new", path);
        ck_assert_int_eq(rename(path, leftover), 0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(put(1), 1);
        ck_assert_int_eq(n_files(".new"), 0);
        fixture_deinit(&f);
}
END_TEST

START_TEST(a_state_directory_that_is_a_file_is_told)
{
        char parent[100];
        begin();
        snprintf(parent, sizeof parent, "%s/a", f.root);
        close(open(parent, O_WRONLY | O_CREAT, 0600));
        ck_assert_int_eq(fixture_open(&f), -ENOTDIR);
        ck_assert_msg(strstr(f.message, parent), "%s", f.message);
        fixture_deinit(&f);
}
END_TEST

CHECK_MAIN("store_file", directory_and_database_are_made_for_the_owner_alone,
           a_file_that_is_no_database_is_refused_and_not_touched, another_programs_database_is_refused_and_not_touched,
           a_newer_schema_is_refused_and_not_touched, a_newer_schema_in_the_log_is_refused,
           an_empty_file_becomes_a_database, a_damaged_database_is_moved_aside_and_a_new_one_begun,
           a_database_without_its_tables_is_moved_aside, each_database_that_is_moved_aside_stays,
           an_orphaned_log_is_not_applied_to_a_new_database, a_leftover_of_a_death_at_creation_is_in_nobodys_way,
           a_state_directory_that_is_a_file_is_told)
