/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a table's cells of 16 bytes have no room for: blocks of 128 KiB and more, and addresses that no user space has
 * (a program's own domain may). An array of slots, named by their index, which stays; free ones are a list.
 * Nothing is allocated before the first. With a keep it outlives the daemon. One thread.
 */

#include "daemon/live/charge.h"
#include "daemon/live/region.h"

#include <stdbool.h>
#include <stdint.h>

#define WIDE_BLOCKS_MAX (UINT32_C(1) << 24) /* a cell has as many bits for the index */

struct wide_block {
        uint64_t address, size;
        uint32_t node;
        uint32_t next; /* of the free list, 0: none; WIDE_BLOCK_USED: in use */
};
#define WIDE_BLOCK_USED UINT32_MAX

struct wide_blocks {
        struct region region;
        struct wide_block *slots;    /* slot 0 is never used */
        uint32_t n, capacity, first; /* n: slots ever used, with slot 0; first: of the free list */
        uint32_t n_used;
};

/** wide_blocks_deinit() - zeroed memory is fine */
void wide_blocks_deinit(struct wide_blocks *w, struct charge *charge);

/* What a record says about them. */
struct kept_wide_blocks {
        uint64_t offset;
        uint32_t n, capacity, first, n_used;
};

/** wide_blocks_keep() - for the record. @kept: set. */
void wide_blocks_keep(const struct wide_blocks *w, struct kept_wide_blocks *kept);

/** wide_blocks_adopt() - as a record tells; charged whatever the limit. @w: zeroed.
 * Return: 0; 1: can't be true; -ENOMEM. */
int wide_blocks_adopt(struct wide_blocks *w, struct charge *charge, struct keep *keep,
                      const struct kept_wide_blocks *kept);

/** wide_blocks_reserve() - that the next wide_blocks_take() finds one. Return: false: no memory, no charge, or
 * WIDE_BLOCKS_MAX (unchanged). */
bool wide_blocks_reserve(struct wide_blocks *w, struct charge *charge, struct keep *keep);

/** wide_blocks_take() - after wide_blocks_reserve(). Return: index. */
uint32_t wide_blocks_take(struct wide_blocks *w, uint64_t address, uint64_t size, uint32_t node);

/** wide_blocks_set() - another block in a slot that is in use */
void wide_blocks_set(struct wide_blocks *w, uint32_t index, uint64_t address, uint64_t size, uint32_t node);

/** wide_blocks_put() - it is free again */
void wide_blocks_put(struct wide_blocks *w, uint32_t index);

/** wide_blocks_at() - look
 * @index: may be what somebody else left. Return: the slot; NULL: it is none in use. */
static inline const struct wide_block *wide_blocks_at(const struct wide_blocks *w, uint32_t index) {
        return index < w->n && w->slots[index].next == WIDE_BLOCK_USED ? &w->slots[index] : NULL;
}

/** wide_blocks_is_sound() - whether used and free ones are all there are; O(free ones), asserts nothing */
bool wide_blocks_is_sound(const struct wide_blocks *w);
