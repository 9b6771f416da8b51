/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A table as it was when the cut was opened, read out later in slices while the
 * table goes on changing. A block born before the cut that goes ahead of the
 * reading position is kept in the cut's side list; blocks born after it are
 * passed over. Costs nothing for blocks born after the newest cut. Any number
 * may be open at once. A fork's table is one that waits for the child.
 */

#include "daemon/live/trace_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        CUT_END = 1,      /* read: that was all */
        CUT_E_BROKEN = 2, /* read: there was no memory for the side list; the rest is lost */
        CUT_E_FULL = 3,   /* open: 2**32 cuts were made of this table */
};

struct cut {
        struct trace_table *table; /* referenced; NULL: not open */
        struct cut *next;          /* the table's list */
        uint32_t number;
        bool broken;
        bool scanned;    /* nothing is left in the table itself */
        uint64_t cursor; /* hashes below have been read */
        struct trace_block *side;
        size_t n_side, side_capacity, n_side_read;
        struct region side_region; /* open: the side list lies there */
};

/** cut_open() - a cut of the table at this moment; O(1)
 * @cut: caller's memory, must not move until cut_close()
 * Return: 0; CUT_E_FULL. */
int cut_open(struct cut *cut, struct trace_table *table);

/** cut_open_kept() - the same, one that the next daemon shall find (in a table with a keep)
 * @n_more: blocks that cut_add() will bring. Return: as cut_open(); -ENOMEM. */
int cut_open_kept(struct cut *cut, struct trace_table *table, size_t n_more);

/* What a record says about such a cut. */
struct kept_cut {
        uint64_t side_offset, n_side, side_max;
        uint32_t number, broken;
};

/** cut_keep_record() - for the record. @kept: set. */
void cut_keep_record(const struct cut *cut, struct kept_cut *kept);

/** cut_adopt() - again from its beginning; the oldest of a table first
 * Return: 0; above 0: the record can't be true; -ENOMEM. */
int cut_adopt(struct cut *cut, struct trace_table *table, const struct kept_cut *kept);

/** cut_add() - put a block on the side list by hand (one that was out of the table when the cut was made)
 * The block's birth does not matter. A cut without memory for it breaks. */
void cut_add(struct cut *cut, const struct trace_block *block);

/** cut_read() - the next slice
 * @blocks: [capacity], at least CUT_READ_MIN
 * @np: number of blocks set; on 0 only, may be 0
 * Return: 0; CUT_END; CUT_E_BROKEN. */
int cut_read(struct cut *cut, struct trace_block *blocks, size_t capacity, size_t *np);
#define CUT_READ_MIN 256

/** cut_close() - drop the view; not open is fine */
void cut_close(struct cut *cut);

/** cut_keep() - the table's: a block is about to go, born before the newest open cut */
void cut_keep(struct trace_table *table, const struct trace_block *block, uint64_t hash);
