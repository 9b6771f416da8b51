/* SPDX-License-Identifier: Apache-2.0 */

/* The database file, before anybody works with it. store_open() calls it on the
 * loop's thread; each reader connects on its own. */

#include "daemon/store/store_file.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES          100 /* https://www.sqlite.org/fileformat2.html, 1.3 */
#define HEADER_MAGIC          "SQLite format 3"
#define HEADER_USER_VERSION   60
#define HEADER_APPLICATION_ID 68

int store_file_execute(sqlite3 *db, const char *sql, struct store_error *error) {
        int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        return rc ? store_error_sqlite(error, db, rc) : 0;
}

/* mkdir -p, mode 0700 as the XDG specification wants of what has to be made */
static int make_directory(const char *path, struct store_error *error) {
        AUTO_FREE char *part = strdup(path);
        if (!part)
                return store_error_system(error, path, ENOMEM);
        for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(part, 0700) < 0 && errno != EEXIST)
                        return store_error_system(error, part, errno);
                *slash = '/';
        }
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
                return store_error_system(error, part, errno);
        return 0;
}

/* One daemon at a time makes, migrates or moves a database. Return: 0. */
static int lock_directory(const char *path, int *fdp, struct store_error *error) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return store_error_system(error, path, errno);
        *fdp = fd_steal(&fd);
        return 0;
}

static uint32_t header_integer(const uint8_t *header, size_t at) {
        return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 | (uint32_t)header[at + 2] << 8 |
               header[at + 3];
}

/* Look at a file without SQLite, which would begin to recover what may be somebody else's. A file of ours carries its
 * application id from its first day on: it gets its name only when it is complete.
 * @existsp: false for an empty file too. Return: 0; STORE_E_NOT_OURS, STORE_E_NEWER. */
static int recognise(const char *path, bool *existsp, struct store_error *error) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        *existsp = false;
        if (fd < 0)
                return errno == ENOENT ? 0 : store_error_system(error, path, errno);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return store_error_system(error, path, errno);
        uint8_t header[HEADER_BYTES];
        ssize_t n = S_ISREG(st.st_mode) ? pread(fd, header, sizeof header, 0) : 1;
        if (n < 0)
                return store_error_system(error, path, errno);
        if (n == 0)
                return 0;
        *existsp = true;
        if (n < HEADER_BYTES || memcmp(header, HEADER_MAGIC, sizeof HEADER_MAGIC) != 0 ||
            header_integer(header, HEADER_APPLICATION_ID) != STORE_APPLICATION_ID)
                return store_error_set(
                        error, STORE_E_NOT_OURS,
                        "%s is not a database of tracemallocd: move it away, or choose another --state-dir", path);
        uint32_t version = header_integer(header, HEADER_USER_VERSION);
        if (version > STORE_SCHEMA_VERSION)
                return store_error_set(
                        error, STORE_E_NEWER,
                        "%s has schema version %u, this tracemallocd knows up to %d: upgrade, or choose another "
                        "--state-dir",
                        path, version, STORE_SCHEMA_VERSION);
        return 0;
}

static int configure(sqlite3 *db, bool writer, struct store_error *error) {
        sqlite3_busy_timeout(db, STORE_BUSY_TIMEOUT_MS);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
        /* FULL: a commit that was acknowledged outlives a power cut. cell_size_check: what is damaged is noticed before
         * it is used; for the same reason no mmap_size. */
        return store_file_execute(
                db,
                writer ? "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; "
                         "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; "
                         "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216; "
                         "PRAGMA cache_size = -8192"
                       : "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; "
                         "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192",
                error);
}

/* A connection that was not opened knows no path. */
static int why_not_opened(sqlite3 *db, const char *path, int rc, struct store_error *error) {
        if ((rc & 0xff) == SQLITE_CANTOPEN && db && sqlite3_system_errno(db) == ENOENT)
                return store_error_moved(error, path);
        return store_error_sqlite(error, db, rc);
}

int store_file_connect(const char *path, bool writer, sqlite3 **dbp, struct store_error *error) {
        sqlite3 *db = NULL;
        int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
        int r = rc ? why_not_opened(db, path, rc, error) : configure(db, writer, error);
        if (r) {
                sqlite3_close(db);
                return r;
        }
        *dbp = db;
        return 0;
}

int store_file_integer(sqlite3 *db, const char *sql, int64_t *valuep, struct store_error *error) {
        sqlite3_stmt *statement;
        int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
        if (rc)
                return store_error_sqlite(error, db, rc);
        rc = sqlite3_step(statement);
        *valuep = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_finalize(statement);
        return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_error_sqlite(error, db, rc);
}

/* Under another name until it is complete, so that whoever dies in between leaves nothing half made. */
static int create(const char *path, int directory_fd, struct store_error *error) {
        char id[64];
        AUTO_FREE char *temporary = NULL, *wal = NULL, *shm = NULL;
        if (asprintf(&temporary, "%s.new", path) < 0 || asprintf(&wal, "%s-wal", path) < 0 ||
            asprintf(&shm, "%s-shm", path) < 0)
                return store_error_system(error, path, ENOMEM);
        unlink(temporary);
        unlink(wal); /* of a database that somebody deleted: it must not be applied to the new one */
        unlink(shm);
        AUTO_CLOSE int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return store_error_system(error, path, errno);
        sqlite3 *db;
        int r = store_file_connect(temporary, true, &db, error);
        if (r)
                return r;
        snprintf(id, sizeof id, "PRAGMA application_id = %d", STORE_APPLICATION_ID);
        r = store_file_execute(db, "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL", error);
        if (r == 0)
                r = store_file_execute(db, id, error);
        if (r == 0)
                r = store_migrate(db, error);
        if (r == 0)
                r = store_file_execute(db, "PRAGMA journal_mode = WAL", error);
        sqlite3_close(db);
        if (r == 0 && (rename(temporary, path) < 0 || fsync(directory_fd) < 0))
                r = store_error_system(error, path, errno);
        if (r)
                unlink(temporary);
        return r;
}

/* A name that no earlier damaged database has. Return: malloc'd; NULL: no memory. */
static char *aside_name(const char *path) {
        char stamp[32], *name;
        time_t now = time(NULL);
        struct tm tm;
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
        if (asprintf(&name, "%s.damaged-%s", path, stamp) < 0)
                return NULL;
        for (unsigned n = 2; access(name, F_OK) == 0; n++) { /* the directory's lock keeps others away */
                free(name);
                if (asprintf(&name, "%s.damaged-%s-%u", path, stamp, n) < 0)
                        return NULL;
        }
        return name;
}

/* @error: why; only a failure of this changes it. Return: 0 when path is free again. */
static int move_aside(const char *path, struct store_error *error) {
        AUTO_FREE char *aside = aside_name(path), *wal = NULL, *wal_aside = NULL;
        if (!aside || asprintf(&wal, "%s-wal", path) < 0 || asprintf(&wal_aside, "%s-wal", aside) < 0)
                return store_error_system(error, path, ENOMEM);
        if (rename(path, aside) < 0)
                return store_error_system(error, path, errno);
        rename(wal, wal_aside); /* there may be none */
        log_warning("%s; it was moved to %s and a new one begun", error->message, aside);
        return 0;
}

/* Return: STORE_E_CORRUPT for what has our mark but not our tables, too. */
static int open_existing(const char *path, sqlite3 **dbp, struct store_error *error) {
        sqlite3 *db = NULL;
        int64_t n_tables;
        int r = store_file_connect(path, true, &db, error);
        if (r)
                return r;
        r = store_migrate(db, error);
        if (r == 0)
                r = store_file_execute(db, "PRAGMA journal_mode = WAL", error);
        if (r == 0) {
                r = store_file_integer(
                        db,
                        "SELECT count(*) FROM sqlite_schema WHERE name IN ('snapshot', 'snapshot_group', "
                        "'traceback', 'frame', 'module', 'symbol', 'string')",
                        &n_tables, error);
                if (r == 0 && n_tables != 7)
                        r = store_error_set(error, STORE_E_CORRUPT, "%s is damaged (tables are missing)", path);
        }
        if (r) {
                sqlite3_close(db);
                return r;
        }
        *dbp = db;
        return 0;
}

int store_file_open(const char *state_dir, sqlite3 **dbp, char **pathp, struct store_error *error) {
        AUTO_FREE char *path = NULL;
        AUTO_CLOSE int directory_fd = -1;
        bool exists;
        errno = 0; /* for store_error_sqlite() */
        if (asprintf(&path, "%s/%s", state_dir, STORE_FILE_NAME) < 0)
                return store_error_system(error, state_dir, ENOMEM);
        int r = make_directory(state_dir, error);
        if (r == 0)
                r = lock_directory(state_dir, &directory_fd, error);
        if (r == 0)
                r = recognise(path, &exists, error);
        if (r == 0 && !exists)
                r = create(path, directory_fd, error);
        if (r)
                return r;
        /* asked first, because SQLite goes on to try other things and forgets why */
        if (access(path, W_OK) < 0 || access(state_dir, W_OK) < 0)
                return store_error_system(error, path, errno);
        r = open_existing(path, dbp, error);
        if (r == STORE_E_CORRUPT) {
                r = move_aside(path, error);
                if (r == 0)
                        r = create(path, directory_fd, error);
                if (r == 0)
                        r = open_existing(path, dbp, error);
        }
        if (r == 0) {
                *pathp = path;
                path = NULL;
        }
        return r;
}
