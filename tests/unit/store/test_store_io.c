/* SPDX-License-Identifier: Apache-2.0 */

/* The system fails to read or write, at each operation in turn: once, or from then on. An SQLite VFS counts what the
 * writer asks of the real one, and fails the n-th. */

#include "tests/support/check_main.h"
#include "tests/support/snapshot_random.h"
#include "tests/unit/store/store_fixture.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS_MAX 2000 /* a put of ours has some hundred operations */

/* ---- the VFS ---- */

static sqlite3_vfs shim, *real;
static atomic_int countdown; /* the operation that fails, counted from 1; 0: none; below 0: it has failed */
static bool for_good;        /* and all after it */

struct shim_file {
        sqlite3_file base;
        sqlite3_file *real;
};

static sqlite3_file *real_of(sqlite3_file *file) {
        return ((struct shim_file *)file)->real;
}

static bool fails(void) {
        int before = atomic_load(&countdown);
        if (before == 0)
                return false;
        if (before < 0)
                return for_good;
        atomic_store(&countdown, before == 1 ? -1 : before - 1);
        return before == 1;
}

static int shim_close(sqlite3_file *file) {
        return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 offset) {
        return fails() ? SQLITE_IOERR_READ : real_of(file)->pMethods->xRead(real_of(file), bytes, n, offset);
}

static int shim_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset) {
        return fails() ? SQLITE_IOERR_WRITE : real_of(file)->pMethods->xWrite(real_of(file), bytes, n, offset);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size) {
        return fails() ? SQLITE_IOERR_TRUNCATE : real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int shim_sync(sqlite3_file *file, int flags) {
        return fails() ? SQLITE_IOERR_FSYNC : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *sizep) {
        return fails() ? SQLITE_IOERR_FSTAT : real_of(file)->pMethods->xFileSize(real_of(file), sizep);
}

static int shim_lock(sqlite3_file *file, int lock) {
        return fails() ? SQLITE_IOERR_LOCK : real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int shim_unlock(sqlite3_file *file, int lock) {
        return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int shim_check_lock(sqlite3_file *file, int *lockedp) {
        return real_of(file)->pMethods->xCheckReservedLock(real_of(file), lockedp);
}

static int shim_control(sqlite3_file *file, int operation, void *argument) {
        return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int shim_sector(sqlite3_file *file) {
        return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_device(sqlite3_file *file) {
        return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **memoryp) {
        return fails() ? SQLITE_IOERR_SHMMAP
                       : real_of(file)->pMethods->xShmMap(real_of(file), page, bytes, extend, memoryp);
}

static int shim_map_lock(sqlite3_file *file, int offset, int n, int flags) {
        return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void shim_barrier(sqlite3_file *file) {
        real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_unmap(sqlite3_file *file, int remove) {
        return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = shim_close,
                                           .xRead = shim_read,
                                           .xWrite = shim_write,
                                           .xTruncate = shim_truncate,
                                           .xSync = shim_sync,
                                           .xFileSize = shim_size,
                                           .xLock = shim_lock,
                                           .xUnlock = shim_unlock,
                                           .xCheckReservedLock = shim_check_lock,
                                           .xFileControl = shim_control,
                                           .xSectorSize = shim_sector,
                                           .xDeviceCharacteristics = shim_device,
                                           .xShmMap = shim_map,
                                           .xShmLock = shim_map_lock,
                                           .xShmBarrier = shim_barrier,
                                           .xShmUnmap = shim_unmap};

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flagsp) {
        struct shim_file *shimmed = (struct shim_file *)file;
        shimmed->real = (sqlite3_file *)(shimmed + 1);
        if (fails())
                return SQLITE_CANTOPEN;
        int rc = real->xOpen(real, name, shimmed->real, flags, flagsp);
        if (rc == SQLITE_OK)
                file->pMethods = &methods;
        return rc;
}

static void register_shim(void) {
        real = sqlite3_vfs_find(NULL);
        shim = *real;
        shim.zName = "failing";
        shim.szOsFile += (int)sizeof(struct shim_file);
        shim.xOpen = shim_open;
        ck_assert_int_eq(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}

static void fail_at(int n, bool ever) {
        for_good = ever;
        atomic_store(&countdown, n);
}

/* Return: whether it came to that. */
static bool heal(void) {
        return atomic_exchange(&countdown, 0) < 0;
}

/* ---- the store on it ---- */

static struct fixture f;
static struct kept {
        int64_t id;
        struct snapshot *snapshot;
} kept[FAULTS_MAX];
static size_t n_kept;

static struct snapshot *make(uint64_t seed) {
        return snapshot_random(
                &(struct snapshot_random_options){.seed = seed, .uid = 1000, .pid = 100, .n_tracebacks = 8});
}

static void check_outcome(int r) {
        ck_assert_msg(r >= 0, "%d: %s", r, f.message);
        ck_assert_msg(r != STORE_E_NOT_FOUND && r != STORE_E_INVALID && r != STORE_E_CORRUPT, "%d: %s", r, f.message);
}

static void keep(int64_t id, struct snapshot *s) {
        kept[n_kept++] = (struct kept){id, s};
}

/* What was acknowledged is there, and nothing else. */
static void check_kept(void) {
        for (size_t i = 0; i < n_kept; i++)
                fixture_load_equal(&f, kept[i].id, kept[i].snapshot);
        ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), (int64_t)n_kept);
        fixture_check(&f);
}

static void begin(void) {
        register_shim();
        fixture_init(&f);
        ck_assert_int_eq(fixture_open(&f), 0);
}

static void end(void) {
        check_kept();
        for (size_t i = 0; i < n_kept; i++)
                snapshot_unref(kept[i].snapshot);
        fixture_deinit(&f);
}

/* The operation of a put that fails is the first one, the second, and so on, until none does. */
static void put_until_none_fails(bool ever) {
        begin();
        for (int n = 1; n < FAULTS_MAX; n++) {
                struct snapshot *s = make((uint64_t)n);
                int64_t id;
                fail_at(n, ever);
                int r = fixture_put(&f, s, 0, &id);
                bool failed = heal();
                check_outcome(r);
                if (r == 0)
                        keep(id, s);
                else
                        snapshot_unref(s);
                ck_assert(r == 0 || failed);
                ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), (int64_t)n_kept);
                if (!failed)
                        break;
        }
        ck_assert_uint_ge(n_kept, 1);
        end();
}

START_TEST(put_whose_nth_operation_fails_leaves_nothing_or_all_of_it)
{ put_until_none_fails(false); }
END_TEST

START_TEST(put_on_a_disk_that_is_gone_from_the_nth_operation_on_fails_and_the_next_one_works)
{ put_until_none_fails(true); }
END_TEST

START_TEST(delete_whose_nth_operation_fails_deletes_all_of_them_or_none)
{
        begin();
        bool failed = true;
        for (int n = 1; failed && n < FAULTS_MAX; n++) {
                int64_t ids[2];
                for (int i = 0; i < 2; i++) {
                        struct snapshot *s = make((uint64_t)(2 * n + i));
                        ck_assert_int_eq(fixture_put(&f, s, 0, &ids[i]), 0);
                        keep(ids[i], s);
                }
                fail_at(n, false);
                int r = fixture_delete(&f, ids, 2);
                failed = heal();
                check_outcome(r);
                ck_assert_int_eq(fixture_count(&f, "SELECT count(*) FROM snapshot"), r == 0 ? 0 : 2);
                if (r != 0)
                        ck_assert_int_eq(fixture_delete(&f, ids, 2), 0);
                while (n_kept > 0)
                        snapshot_unref(kept[--n_kept].snapshot);
        }
        ck_assert(!failed);
        end();
}
END_TEST

/* Neither is the database taken for a damaged one, which is moved aside. */
START_TEST(opening_whose_nth_operation_fails_says_so_and_loses_nothing)
{
        struct snapshot *s = make(1);
        int64_t id;
        begin();
        ck_assert_int_eq(fixture_put(&f, s, 0, &id), 0);
        keep(id, s);
        bool failed = true;
        for (int n = 1; failed && n < FAULTS_MAX; n++) {
                fixture_close(&f);
                fail_at(n, false);
                int r = store_open(&f.loop, f.state_dir, &f.store, f.message);
                failed = heal();
                check_outcome(r);
                if (r == 0)
                        ck_assert_int_eq(store_reader_open(store_path(f.store), &f.reader, f.message), 0);
                else
                        ck_assert_int_eq(fixture_open(&f), 0);
                check_kept();
        }
        ck_assert(!failed);
        end();
}
END_TEST

CHECK_MAIN("store_io", put_whose_nth_operation_fails_leaves_nothing_or_all_of_it,
           put_on_a_disk_that_is_gone_from_the_nth_operation_on_fails_and_the_next_one_works,
           delete_whose_nth_operation_fails_deletes_all_of_them_or_none,
           opening_whose_nth_operation_fails_says_so_and_loses_nothing)
