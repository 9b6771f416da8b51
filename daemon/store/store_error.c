/* SPDX-License-Identifier: Apache-2.0 */

/* One line about what went wrong and what to do. Writer, readers, main. */

#include "daemon/store/store_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int store_error_set(struct store_error *error, int code, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(error->message, sizeof error->message, format, ap);
        va_end(ap);
        return code;
}

/* Return: 0 where errno has no outcome of its own */
static int outcome_of_errno(int errnum) {
        switch (errnum) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
                return STORE_E_FULL;
        case EROFS:
        case EACCES:
        case EPERM:
                return STORE_E_READ_ONLY;
        case EIO:
                return STORE_E_IO;
        default:
                return 0;
        }
}

static int outcome_of_sqlite(int rc, int errnum) {
        switch (rc & 0xff) {
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
        case SQLITE_TOOBIG:
                return STORE_E_FULL;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:
                return STORE_E_BUSY;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return STORE_E_READ_ONLY;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_MISMATCH:
                return STORE_E_CORRUPT;
        case SQLITE_CONSTRAINT:
                return STORE_E_INVALID;
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR: {
                int outcome = outcome_of_errno(errnum);
                return outcome ? outcome : STORE_E_IO;
        }
        default:
                return STORE_E_IO;
        }
}

static int describe(struct store_error *error, int outcome, const char *path, const char *detail) {
        switch (outcome) {
        case STORE_E_FULL:
                return store_error_set(error, outcome,
                                       "no space to write %s (%s): free some, or, while a little is left, delete "
                                       "snapshots with tmctl delete",
                                       path, detail);
        case STORE_E_BUSY:
                return store_error_set(error, outcome, "%s is locked by another program (%s): end it and try again",
                                       path, detail);
        case STORE_E_READ_ONLY:
                return store_error_set(error, outcome, "cannot write %s (%s): see who owns it and how it is mounted",
                                       path, detail);
        case STORE_E_CORRUPT:
                return store_error_set(
                        error, outcome,
                        "%s is damaged (%s): with tracemallocd stopped, restore it, or move it away to begin a new one",
                        path, detail);
        default:
                return store_error_set(error, outcome, "%s: %s", path, detail);
        }
}

int store_error_sqlite(struct store_error *error, sqlite3 *db, int rc) {
        int left_errno = errno; /* SQLite keeps it of most calls, but not of the writes of a commit */
        const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
        if (!path || !*path)
                path = STORE_FILE_NAME;
        int errnum = db ? sqlite3_system_errno(db) : 0;
        if (outcome_of_errno(errnum) == 0 && outcome_of_errno(left_errno) != 0)
                errnum = left_errno;
        int primary = rc & 0xff;
        /* the text of the connection is about its last call; errno says more where the system failed */
        const char *detail = db && sqlite3_errcode(db) == primary ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
        if (primary == SQLITE_CANTOPEN && errnum == ENOENT)
                return store_error_moved(error, path);
        if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && errnum)
                detail = strerror(errnum);
        return describe(error, outcome_of_sqlite(rc, errnum), path, detail);
}

int store_error_system(struct store_error *error, const char *path, int errnum) {
        int outcome = outcome_of_errno(errnum);
        return describe(error, outcome ? outcome : -errnum, path, strerror(errnum));
}

int store_error_moved(struct store_error *error, const char *path) {
        return store_error_set(error, STORE_E_IO,
                               "%s was deleted or moved away: restart tracemallocd, which goes on with what is there",
                               path);
}
