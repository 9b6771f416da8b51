/* SPDX-License-Identifier: Apache-2.0 */

/* Steps where the row is near, else a new look from the root. Readers. */

#include "daemon/store/row_cursor.h"

#include "daemon/store/statement.h"

#define STEPS_MAX 4 /* a look costs about seven of them, and rows are not always there for each id */

static int step(struct row_cursor *cursor, struct store_error *error) {
        bool row;
        cursor->at = 0;
        int r = statement_row(cursor->statement, &row, error);
        if (r == 0 && row)
                cursor->at = sqlite3_column_int64(cursor->statement, 0);
        return r;
}

static int look(struct row_cursor *cursor, int64_t id, struct store_error *error) {
        sqlite3_reset(cursor->statement);
        sqlite3_bind_int64(cursor->statement, 1, id);
        return step(cursor, error);
}

/* Rows that are before @id in the cursor's order, and not many */
static bool is_near(const struct row_cursor *cursor, int64_t id) {
        int64_t first = cursor->down ? id : cursor->at, last = cursor->down ? cursor->at : id;
        return cursor->at > 0 && last > first && last - first <= STEPS_MAX;
}

int row_cursor_find(struct row_cursor *cursor, int64_t id, bool *foundp, struct store_error *error) {
        int r = 0;
        if (cursor->at != id && !is_near(cursor, id))
                r = look(cursor, id, error);
        while (r == 0 && is_near(cursor, id))
                r = step(cursor, error);
        *foundp = cursor->at == id;
        return r;
}

void row_cursor_deinit(struct row_cursor *cursor) {
        if (cursor->statement)
                sqlite3_reset(cursor->statement);
        cursor->at = 0;
}
