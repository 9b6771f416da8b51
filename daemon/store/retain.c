/* SPDX-License-Identifier: Apache-2.0 */

/* Deletes what is beyond the limits, step by step. Called by store.c on the writer thread, after each put and now and
 * then. */

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/store/store_file.h"
#include "daemon/store/store_writer_private.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

static int64_t oldest_allowed_ns(uint64_t age_s) {
        int64_t now_ns = clock_ns(CLOCK_REALTIME);
        if (age_s == 0 || age_s >= (uint64_t)(now_ns / NS_PER_SECOND))
                return INT64_MIN;
        return now_ns - (int64_t)age_s * NS_PER_SECOND;
}

static int64_t count_limit(uint64_t count) {
        return count == 0 || count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

static int list_victims(struct store_writer *writer, const struct retention *limits, int64_t last_kept,
                        struct id_list *ids) {
        sqlite3_stmt *statement = writer->statements[LIST_BEYOND_LIMITS];
        bool row;
        int r;
        sqlite3_bind_int64(statement, 1, count_limit(limits->count));
        sqlite3_bind_int64(statement, 2, count_limit(limits->exit_count));
        sqlite3_bind_int64(statement, 3, oldest_allowed_ns(limits->age_s));
        sqlite3_bind_int64(statement, 4, oldest_allowed_ns(limits->exit_age_s));
        sqlite3_bind_int64(statement, 5, last_kept);
        while ((r = statement_row(statement, &row, writer->error)) == 0 && row) {
                if (id_list_add(ids, sqlite3_column_int64(statement, 0))) {
                        sqlite3_reset(statement);
                        return -ENOMEM;
                }
        }
        return r;
}

/* Bytes of the database that hold something. */
static int used_bytes(struct store_writer *writer, uint64_t *bytesp) {
        int64_t pages = 0, free_pages = 0, page_bytes = 0;
        int r = store_file_integer(writer->db, "PRAGMA page_count", &pages, writer->error);
        if (r == 0)
                r = store_file_integer(writer->db, "PRAGMA freelist_count", &free_pages, writer->error);
        if (r == 0)
                r = store_file_integer(writer->db, "PRAGMA page_size", &page_bytes, writer->error);
        *bytesp = r ? 0 : (uint64_t)(pages - free_pages) * (uint64_t)page_bytes;
        return r;
}

/* What is left of those that were deleted before. */
static int go_on_deleting(struct store_writer *writer, struct store_error *error) {
        bool left;
        return store_writer_delete(writer, NULL, 0, &left, error);
}

static int delete_beyond(struct store_writer *writer, const struct retention *limits, int64_t last_kept, bool *morep,
                         struct store_error *error) {
        struct id_list ids = {0};
        int r = list_victims(writer, limits, last_kept, &ids);
        if (r == 0 && ids.n)
                r = store_writer_delete(writer, ids.ids, ids.n, morep, error);
        if (r == 0 && ids.n)
                log_info("deleted %zu snapshots that were beyond the limits of the configuration", ids.n);
        id_list_deinit(&ids);
        return r;
}

/* One at a time: what it frees is known only when it is gone. */
static int shrink(struct store_writer *writer, uint64_t limit, int64_t last_kept, bool *morep,
                  struct store_error *error) {
        uint64_t bytes;
        int64_t victim = 0;
        bool left;
        int r = used_bytes(writer, &bytes);
        if (r || bytes <= limit)
                return r;
        sqlite3_bind_int64(writer->statements[FIND_LEAST_WANTED], 1, last_kept);
        r = writer_find(writer, FIND_LEAST_WANTED, &victim);
        if (r || victim == 0)
                return r;
        *morep = true;
        r = store_writer_delete(writer, &victim, 1, &left, error);
        if (r == 0)
                log_info("deleted snapshot %" PRId64 ": the database takes more than keep_bytes", victim);
        return r;
}

int store_writer_retain(struct store_writer *writer, const struct retention *limits, const struct pins *pins,
                        int64_t last_kept, bool *morep, struct store_error *error) {
        int64_t deleted;
        writer->error = error;
        /* they may fill half of it, so that the newest stay in any case */
        writer->pins = limits->exit_count >= 2 * PINS_MAX ? pins : NULL;
        errno = 0; /* for store_error_sqlite() */
        *morep = false;
        int r = writer_find(writer, FIND_DELETION, &deleted);
        if (r)
                return r;
        if (deleted) {
                *morep = true;
                return go_on_deleting(writer, error);
        }
        r = delete_beyond(writer, limits, last_kept, morep, error);
        if (r == 0 && !*morep && limits->bytes && last_kept != INT64_MAX)
                r = shrink(writer, limits->bytes, last_kept, morep, error);
        return r;
}
