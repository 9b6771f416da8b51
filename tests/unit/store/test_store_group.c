/* SPDX-License-Identifier: Apache-2.0 */

/* Requests that wait at the same time share a transaction: one wait for the disk for all of them; and what is long and
 * nobody's is done between them. SQLite's wait is fdatasync(), which this program defines, so that a test can count the
 * waits, make one last, and let one fail. So with usleep() and nanosleep(), by which older and newer ones wait for a
 * lock. */

#include "daemon/store/store_file.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define N 40 /* requests that wait; fewer than a transaction may hold */

static struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool held, waiting, broken;
        unsigned n, fail_at;
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int fdatasync(int fd) {
        pthread_mutex_lock(&disk.mutex);
        bool fails = ++disk.n == disk.fail_at || disk.broken;
        disk.waiting = true;
        pthread_cond_broadcast(&disk.changed);
        while (disk.held)
                pthread_cond_wait(&disk.changed, &disk.mutex);
        disk.waiting = false;
        pthread_mutex_unlock(&disk.mutex);
        if (!fails)
                return (int)syscall(SYS_fdatasync, fd);
        errno = EIO;
        return -1;
}

/* What the writer waits for at its 1000th row, and what it tells of: that row, or a sleep. */
static struct {
        atomic_int rows_left;
        uv_sem_t come, go;
        atomic_uint n_sleeps;
        atomic_bool hurries; /* it does not sleep */
} writer;

static void on_row(void *data, int operation, const char *database, const char *table, sqlite3_int64 id) {
        if (atomic_fetch_sub(&writer.rows_left, 1) == 1) {
                uv_sem_post(&writer.come);
                uv_sem_wait(&writer.go);
        }
}

/* SQLite's: for each connection that is opened. */
static int watch_rows(sqlite3 *db, char **message, const struct sqlite3_api_routines *api) {
        sqlite3_update_hook(db, on_row, NULL);
        return SQLITE_OK;
}

static void watch_writer(void) {
        ck_assert_int_eq(uv_sem_init(&writer.come, 0), 0);
        ck_assert_int_eq(uv_sem_init(&writer.go, 0), 0);
        ck_assert_int_eq(sqlite3_auto_extension((void (*)(void))watch_rows), SQLITE_OK);
}

int nanosleep(const struct timespec *length, struct timespec *leftp) {
        if (atomic_fetch_add(&writer.n_sleeps, 1) == 0)
                uv_sem_post(&writer.come);
        return atomic_load(&writer.hurries) ? 0 : (int)syscall(SYS_nanosleep, length, leftp);
}

int usleep(useconds_t us) {
        return nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

static struct fixture f;

/* Small, and of a user always the same: the log does not grow to where the writer makes it short, which has waits of
 * its own. */
static struct snapshot *make(uint32_t uid) {
        return snapshot_random(&(struct snapshot_random_options){
                .seed = 1, .uid = uid, .pid = 100, .kind = SNAPSHOT_REQUEST, .n_tracebacks = 2});
}

static void put(uint32_t uid, int64_t set, struct fixture_answer *answer) {
        struct snapshot *s = make(uid);
        answer->code = -1;
        ck_assert_int_eq(store_put(f.store, s, set, fixture_note, answer), 0);
        snapshot_unref(s);
}

/* The writer waits for the disk with one put, which is answered by let_go(); what is asked for until then waits behind
 * it. */
static struct fixture_answer before;

static void begin(void) {
        int64_t id;
        struct snapshot *s = make(1000);
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0); /* the first one also writes the head of the log */
        snapshot_unref(s);
        pthread_mutex_lock(&disk.mutex);
        disk.held = true;
        pthread_mutex_unlock(&disk.mutex);
        put(1000, 0, &before);
        pthread_mutex_lock(&disk.mutex);
        while (!disk.waiting)
                pthread_cond_wait(&disk.changed, &disk.mutex);
        disk.n = 0;
        pthread_mutex_unlock(&disk.mutex);
}

static void let_go(unsigned fail_at) {
        pthread_mutex_lock(&disk.mutex);
        disk.held = false;
        disk.fail_at = fail_at;
        pthread_cond_broadcast(&disk.changed);
        pthread_mutex_unlock(&disk.mutex);
        ck_assert_int_eq(fixture_code_of(&f, &before), 0);
}

static void end(void) {
        fixture_check(&f);
        fixture_deinit(&f);
}

/* Return: how often the writer waited for the disk since begin(). */
static unsigned n_waits(void) {
        pthread_mutex_lock(&disk.mutex);
        unsigned n = disk.n;
        pthread_mutex_unlock(&disk.mutex);
        return n;
}

START_TEST(puts_that_wait_together_wait_for_the_disk_once)
{
        struct fixture_answer answers[N];
        begin();
        for (uint32_t i = 0; i < N; i++)
                put(1000 + i % 3, 0, &answers[i]);
        let_go(0);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), 0);
        ck_assert_uint_eq(n_waits(), 1);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), N + 2);
        end();
}
END_TEST

START_TEST(one_users_failures_cost_others_no_wait_of_their_own)
{
        struct fixture_answer answers[N];
        begin();
        for (uint32_t i = 0; i < N; i++) {
                answers[i].code = -1;
                if (i % 4 == 0)
                        put(1001, 777, &answers[i]); /* no such set */
                else if (i % 4 == 2)
                        store_label(f.store, &(int64_t){12345}, 1, "label", 5, fixture_note, &answers[i]);
                else
                        put(1000, 0, &answers[i]);
        }
        let_go(0);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), i % 2 ? 0 : STORE_E_NOT_FOUND);
        ck_assert_uint_eq(n_waits(), 1);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), N / 2 + 2);
        end();
}
END_TEST

/* Half of it is in the tables when it is seen to contradict itself. */
START_TEST(one_that_fails_half_way_leaves_nothing_in_the_transaction_of_the_others)
{
        struct fixture_answer good, bad, good_too;
        struct snapshot *s = make(1001);
        struct snapshot_group *groups = (struct snapshot_group *)(uintptr_t)s->groups;
        groups[s->n_groups - 1].node = s->n_nodes;
        begin();
        put(1000, 0, &good);
        bad.code = -1;
        ck_assert_int_eq(store_put(f.store, s, 0, fixture_note, &bad), 0);
        put(1000, 0, &good_too);
        let_go(0);
        ck_assert_int_eq(fixture_code_of(&f, &good), 0);
        ck_assert_int_eq(fixture_code_of(&f, &bad), STORE_E_INVALID);
        ck_assert_int_eq(fixture_code_of(&f, &good_too), 0);
        ck_assert_uint_eq(n_waits(), 1);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot WHERE uid = 1001"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM frame WHERE owner = 1001"), 0);
        snapshot_unref(s);
        end();
}
END_TEST

START_TEST(where_their_transaction_fails_each_is_done_alone)
{
        struct fixture_answer answers[N];
        begin();
        for (uint32_t i = 0; i < N; i++)
                put(1000, i == 3 ? 777 : 0, &answers[i]);
        let_go(1);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), i == 3 ? STORE_E_NOT_FOUND : 0);
        ck_assert_uint_ge(n_waits(), N);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), N - 1 + 2);
        end();
}
END_TEST

START_TEST(what_was_just_answered_is_not_deleted_for_what_waited_beside_it)
{
        struct fixture_answer answers[3];
        begin();
        store_retain(f.store, &(struct retention){.bytes = 1});
        for (uint32_t i = 0; i < 3; i++)
                put(1000 + i, 0, &answers[i]);
        let_go(0);
        for (uint32_t i = 0; i < 3; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), 0);
        /* this is done after the limits were applied */
        for (uint32_t i = 0; i < 3; i++)
                ck_assert_int_eq(fixture_label(&f, answers[i].id, "still here"), 0);
        /* the first one is gone, and the one that waited for the disk, unless its own answer came after the limits */
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot WHERE id = 1"), 0);
        ck_assert_int_le(fixture_count(&f, "SELECT count(*) FROM snapshot"), 4);
        end();
}
END_TEST

START_TEST(store_that_gives_up_acknowledges_what_it_commits_and_refuses_the_rest)
{
        struct fixture_answer answers[N];
        begin();
        for (uint32_t i = 0; i < N; i++)
                put(1000, 0, &answers[i]);
        store_give_up(f.store);
        let_go(0);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), STORE_E_LEAVING);
        put(1000, 0, &answers[0]);
        ck_assert_int_eq(fixture_code_of(&f, &answers[0]), STORE_E_LEAVING);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 2);
        end();
}
END_TEST

START_TEST(store_that_gives_up_does_not_finish_a_large_snapshot)
{
        struct fixture_answer answer = {-1, 0};
        struct snapshot *s = snapshot_random(&(struct snapshot_random_options){
                .seed = 2, .uid = 1000, .pid = 100, .kind = SNAPSHOT_REQUEST, .n_tracebacks = 20000});
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        atomic_store(&writer.rows_left, 1000);
        ck_assert_int_eq(store_put(f.store, s, 0, fixture_note, &answer), 0);
        uv_sem_wait(&writer.come); /* in the middle of it */
        store_give_up(f.store);
        uv_sem_post(&writer.go);
        ck_assert_int_eq(fixture_code_of(&f, &answer), STORE_E_LEAVING);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 0);
        snapshot_unref(s);
        end();
}
END_TEST

START_TEST(store_that_gives_up_does_not_wait_for_another_program)
{
        struct fixture_answer answer;
        sqlite3 *other;
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(sqlite3_open(store_path(f.store), &other), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        put(1000, 0, &answer);
        uv_sem_wait(&writer.come); /* it sleeps */
        store_give_up(f.store);
        unsigned n_before = atomic_load(&writer.n_sleeps);
        ck_assert_int_eq(fixture_code_of(&f, &answer), STORE_E_LEAVING);
        ck_assert_uint_le(atomic_load(&writer.n_sleeps) - n_before, 1); /* that it was about to begin */
        ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
        end();
}
END_TEST

START_TEST(for_another_programs_lock_those_that_wait_together_wait_once)
{
        struct fixture_answer first = {.code = -1}, answers[N];
        sqlite3 *other;
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(uv_sem_init(&writer.come, 0), 0);
        ck_assert_int_eq(sqlite3_open(store_path(f.store), &other), SQLITE_OK);
        ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        put(1000, 0, &first);
        uv_sem_wait(&writer.come); /* it sleeps */
        for (uint32_t i = 0; i < N; i++)
                put(1000 + i % 3, 0, &answers[i]);
        atomic_store(&writer.hurries, true);
        ck_assert_int_eq(fixture_code_of(&f, &first), STORE_E_BUSY);
        for (uint32_t i = 0; i < N; i++)
                ck_assert_int_eq(fixture_code_of(&f, &answers[i]), STORE_E_BUSY);
        /* 10 ms each: once for the first, once for the others */
        ck_assert_uint_le(atomic_load(&writer.n_sleeps), 3 * STORE_BUSY_TIMEOUT_MS / 10);
        atomic_store(&writer.hurries, false);
        ck_assert_int_eq(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
        end();
}
END_TEST

/* So many tracebacks that they are deleted in several transactions. */
static struct snapshot *make_large(uint64_t seed, enum snapshot_kind kind) {
        return snapshot_random(&(struct snapshot_random_options){
                .seed = seed, .uid = 1000, .pid = 100, .kind = kind, .n_tracebacks = 9000});
}

static void put_large(uint64_t seed, int64_t *idp) {
        struct snapshot *s = make_large(seed, SNAPSHOT_EXIT);
        ck_assert_int_eq(fixture_put(&f, s, 0, idp), 0);
        snapshot_unref(s);
}

static int count_one(void *data, const struct snapshot_info *info) {
        ++*(unsigned *)data;
        return 0;
}

/* As tmctl list has it. */
static unsigned n_listed(void) {
        struct store_filter all = {.all_users = true, .kind = STORE_ANY_KIND};
        unsigned n = 0;
        ck_assert_int_eq(store_reader_list(f.reader, &all, count_one, &n), 0);
        return n;
}

/* Of a put: whether something was still being deleted when it was answered. */
struct answer_between {
        struct fixture_answer answer;
        int64_t n_going;
        unsigned n_listed;
};

static void note_between(void *data, const struct store_result *result) {
        struct answer_between *between = data;
        fixture_note(&between->answer, result);
        between->n_going = fixture_count(&f, "SELECT count(*) FROM deletion");
        between->n_listed = n_listed();
}

/* Hold the writer at its first row of what comes next. */
static void hold_writer(void) {
        while (uv_sem_trywait(&writer.come) == 0)
                continue;
        atomic_store(&writer.rows_left, 1);
}

/* @first: what the writer begins with, held at its first row until the put waits behind it */
static void put_behind(void (*first)(void *data), void *data, struct answer_between *between) {
        struct snapshot *s = make(1000);
        between->answer.code = -1;
        hold_writer();
        first(data);
        uv_sem_wait(&writer.come);
        ck_assert_int_eq(store_put(f.store, s, 0, note_between, between), 0);
        uv_sem_post(&writer.go);
        ck_assert_int_eq(fixture_code_of(&f, &between->answer), 0);
        snapshot_unref(s);
}

static struct fixture_answer deleted;

static void delete_large(void *data) {
        deleted.code = -1;
        ck_assert_int_eq(store_delete(f.store, data, 1, fixture_note, &deleted), 0);
}

START_TEST(a_put_does_not_wait_for_all_of_a_large_delete_and_nobody_sees_the_rest_of_it)
{
        struct answer_between between;
        int64_t id;
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        put_large(1, &id);
        put_behind(delete_large, &id, &between);
        ck_assert_int_eq(between.n_going, 1);
        ck_assert_uint_eq(between.n_listed, 1); /* the one that was put */
        ck_assert_int_eq(deleted.code, -1);
        ck_assert_int_eq(fixture_label(&f, id, "label"), STORE_E_NOT_FOUND);
        ck_assert_int_eq(fixture_code_of(&f, &deleted), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM deletion"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 1);
        end();
}
END_TEST

static void push_out(void *data) {
        store_retain(f.store, &(struct retention){.exit_count = 1});
}

START_TEST(a_put_does_not_wait_for_all_of_what_is_beyond_the_limits)
{
        struct answer_between between;
        int64_t ids[2];
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        put_large(1, &ids[0]);
        put_large(2, &ids[1]);
        put_behind(push_out, NULL, &between);
        ck_assert_int_eq(between.n_going, 1);
        ck_assert_uint_eq(between.n_listed, 2);
        ck_assert_int_eq(fixture_delete(&f, NULL, 0), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM deletion"), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT min(id) FROM snapshot"), ids[1]);
        end();
}
END_TEST

/* The store is closed, and opened again, in the midst of it. */
static void leave_half_deleted(int64_t id) {
        hold_writer();
        delete_large(&id);
        uv_sem_wait(&writer.come);
        uv_sem_post(&writer.go);
        fixture_close(&f); /* which answers */
        ck_assert_int_eq(deleted.code, 0);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM deletion"), 1);
}

START_TEST(what_is_half_deleted_when_the_store_is_closed_goes_when_it_is_opened_again)
{
        int64_t id;
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        put_large(1, &id);
        hold_writer();
        delete_large(&id);
        uv_sem_wait(&writer.come);
        store_give_up(f.store);
        uv_sem_post(&writer.go);
        ck_assert_int_eq(fixture_code_of(&f, &deleted), STORE_E_LEAVING);
        fixture_close(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 1);
        leave_half_deleted(id);
        ck_assert_uint_eq(n_listed(), 0);
        ck_assert_int_eq(fixture_delete(&f, NULL, 0), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 0);
        end();
}
END_TEST

static void break_disk(bool broken) {
        pthread_mutex_lock(&disk.mutex);
        disk.broken = broken;
        pthread_mutex_unlock(&disk.mutex);
}

START_TEST(a_delete_that_fails_half_way_is_not_tried_again_and_again)
{
        int64_t id;
        watch_writer();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
        put_large(1, &id);
        leave_half_deleted(id);
        break_disk(true);
        hold_writer();
        store_retain(f.store, &(struct retention){0});
        uv_sem_wait(&writer.come);
        unsigned n = n_waits();
        uv_sem_post(&writer.go);
        while (n_waits() == n)
                ck_assert_int_eq(fixture_label(&f, id, "label"), STORE_E_NOT_FOUND);
        int rows_left = atomic_load(&writer.rows_left); /* the attempt has failed, or does now */
        for (int i = 0; i < 100; i++)
                ck_assert_int_eq(fixture_label(&f, id, "label"), STORE_E_NOT_FOUND);
        ck_assert_int_eq(atomic_load(&writer.rows_left), rows_left);
        break_disk(false);
        ck_assert_int_eq(fixture_delete(&f, NULL, 0), 0);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM deletion"), 0);
        end();
}
END_TEST

/* A commit of its own, one or two of the delete; now and then the log is made short. */
START_TEST(each_put_beyond_the_limit_waits_for_the_disk_three_times_at_most)
{
        struct fixture_answer answer;
        begin();
        let_go(0);
        store_retain(f.store, &(struct retention){.count = 2});
        ck_assert_int_eq(fixture_delete(&f, NULL, 0), 0);
        unsigned n = n_waits();
        for (uint32_t i = 0; i < N; i++) {
                put(1000, 0, &answer);
                ck_assert_int_eq(fixture_code_of(&f, &answer), 0);
        }
        ck_assert_int_eq(fixture_label(&f, answer.id, "label"), 0); /* once the limits were applied */
        ck_assert_uint_le(n_waits() - n, 3 * N);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), 2);
        end();
}
END_TEST

CHECK_MAIN("store_group", puts_that_wait_together_wait_for_the_disk_once,
           one_users_failures_cost_others_no_wait_of_their_own,
           one_that_fails_half_way_leaves_nothing_in_the_transaction_of_the_others,
           where_their_transaction_fails_each_is_done_alone,
           what_was_just_answered_is_not_deleted_for_what_waited_beside_it,
           store_that_gives_up_acknowledges_what_it_commits_and_refuses_the_rest,
           store_that_gives_up_does_not_finish_a_large_snapshot, store_that_gives_up_does_not_wait_for_another_program,
           for_another_programs_lock_those_that_wait_together_wait_once,
           a_put_does_not_wait_for_all_of_a_large_delete_and_nobody_sees_the_rest_of_it,
           a_put_does_not_wait_for_all_of_what_is_beyond_the_limits,
           what_is_half_deleted_when_the_store_is_closed_goes_when_it_is_opened_again,
           a_delete_that_fails_half_way_is_not_tried_again_and_again,
           each_put_beyond_the_limit_waits_for_the_disk_three_times_at_most)
