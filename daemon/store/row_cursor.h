/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rows by their ids, where the next one that is wanted is mostly the next one of the table: what a traceback needs was
 * stored one after the other. A step to a neighbour costs a seventh of looking for a row from the root of its B-tree.
 */

#include "daemon/store/store_error.h"

#include <sqlite3.h>

#include <stdbool.h>
#include <stdint.h>

struct row_cursor {
        sqlite3_stmt *statement; /* borrowed; column 0 is the id, parameter 1 where to begin, in the order of @down */
        bool down;               /* ids descend */
        int64_t at;              /* of the row that the statement stands on; 0: it was reset */
};

/** row_cursor_find() - stand on the row with this id
 * @id: above 0
 * @foundp: set on 0: true: read the columns, valid until the next call
 * Return: 0; enum store_outcome; -ENOMEM. */
int row_cursor_find(struct row_cursor *cursor, int64_t id, bool *foundp, struct store_error *error);

/** row_cursor_deinit() - leave the statement reset */
void row_cursor_deinit(struct row_cursor *cursor);
