/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which blocks are alive, in the plainest way: what the records of an agent are held against. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle_block {
        uint64_t address; /* 0: empty, 1: removed */
        uint64_t size;
};

struct oracle_move {
        uint64_t position;
        struct oracle_block block;
};

struct oracle {
        struct oracle_block *blocks;
        size_t capacity, n_used; /* n_used counts removed ones */
        struct oracle_move moves[256];
        uint64_t n_live, live_bytes, n_moving; /* live: blocks on the move too */
};

struct oracle *oracle_new(void);
struct oracle *oracle_copy(const struct oracle *oracle);
void oracle_free(struct oracle *oracle);

/** oracle_add() - Return: whether it replaced a block */
bool oracle_add(struct oracle *oracle, uint64_t address, uint64_t size);

/** oracle_remove() - Return: whether it was there */
bool oracle_remove(struct oracle *oracle, uint64_t address);

/** oracle_move_out() - a realloc begins; Return: whether the block was there (else one of size 0 moves) */
bool oracle_move_out(struct oracle *oracle, uint64_t address, uint64_t position);

/** oracle_move_in() - Return: whether that move had begun */
bool oracle_move_in(struct oracle *oracle, uint64_t address, uint64_t size, uint64_t position, uint64_t *replacedp);

/** oracle_move_back() - Return: whether that move had begun */
bool oracle_move_back(struct oracle *oracle, uint64_t position);
