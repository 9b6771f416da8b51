/* SPDX-License-Identifier: Apache-2.0 */

/* Open addressing, linear probing. */

#include "tests/support/oracle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NO_POSITION UINT64_MAX

struct oracle *oracle_new(void) {
        struct oracle *oracle = calloc(1, sizeof *oracle);
        oracle->capacity = 1024;
        oracle->blocks = calloc(oracle->capacity, sizeof *oracle->blocks);
        for (size_t i = 0; i < sizeof oracle->moves / sizeof *oracle->moves; i++)
                oracle->moves[i].position = NO_POSITION;
        return oracle;
}

struct oracle *oracle_copy(const struct oracle *oracle) {
        struct oracle *copy = malloc(sizeof *copy);
        *copy = *oracle;
        copy->blocks = malloc(copy->capacity * sizeof *copy->blocks);
        memcpy(copy->blocks, oracle->blocks, copy->capacity * sizeof *copy->blocks);
        return copy;
}

void oracle_free(struct oracle *oracle) {
        free(oracle->blocks);
        free(oracle);
}

/* Return: the block's slot, or where it would go: the first slot on its way that holds nothing. */
static struct oracle_block *find(const struct oracle *oracle, uint64_t address) {
        size_t i = (address >> 4) * UINT64_C(0x9e3779b97f4a7c15) % oracle->capacity;
        struct oracle_block *removed = NULL;
        for (; oracle->blocks[i].address != 0; i = (i + 1) % oracle->capacity) {
                if (oracle->blocks[i].address == address)
                        return &oracle->blocks[i];
                if (oracle->blocks[i].address == 1 && !removed)
                        removed = &oracle->blocks[i];
        }
        return removed ? removed : &oracle->blocks[i];
}

static void grow(struct oracle *oracle) {
        struct oracle_block *old = oracle->blocks;
        size_t n = oracle->capacity;
        oracle->capacity *= 2;
        oracle->blocks = calloc(oracle->capacity, sizeof *oracle->blocks);
        oracle->n_used = 0;
        for (size_t i = 0; i < n; i++)
                if (old[i].address > 1) {
                        *find(oracle, old[i].address) = old[i];
                        oracle->n_used++;
                }
        free(old);
}

bool oracle_add(struct oracle *oracle, uint64_t address, uint64_t size) {
        if (oracle->n_used * 2 > oracle->capacity)
                grow(oracle);
        struct oracle_block *block = find(oracle, address);
        bool replaced = block->address == address;
        if (replaced) {
                oracle->live_bytes -= block->size;
        } else {
                oracle->n_used += block->address == 0;
                oracle->n_live++;
        }
        *block = (struct oracle_block){.address = address, .size = size};
        oracle->live_bytes += size;
        return replaced;
}

bool oracle_remove(struct oracle *oracle, uint64_t address) {
        struct oracle_block *block = find(oracle, address);
        if (block->address != address)
                return false;
        oracle->n_live--;
        oracle->live_bytes -= block->size;
        block->address = 1;
        return true;
}

static struct oracle_move *find_move(struct oracle *oracle, uint64_t position) {
        for (size_t i = 0; i < sizeof oracle->moves / sizeof *oracle->moves; i++)
                if (oracle->moves[i].position == position)
                        return &oracle->moves[i];
        return NULL;
}

bool oracle_move_out(struct oracle *oracle, uint64_t address, uint64_t position) {
        struct oracle_block *block = find(oracle, address);
        struct oracle_move *move = find_move(oracle, NO_POSITION);
        bool known = block->address == address;
        assert(move);
        *move = (struct oracle_move){.position = position, .block = {.address = address}};
        if (known) {
                move->block.size = block->size;
                block->address = 1;
        }
        oracle->n_moving++;
        if (!known)
                oracle->n_live++; /* keeps the count simple: it is taken off again when the move ends */
        return known;
}

static bool end_move(struct oracle *oracle, uint64_t position, struct oracle_block *blockp) {
        struct oracle_move *move = find_move(oracle, position);
        if (!move)
                return false;
        *blockp = move->block;
        move->position = NO_POSITION;
        oracle->n_moving--;
        oracle->n_live--;
        oracle->live_bytes -= move->block.size;
        return true;
}

bool oracle_move_in(struct oracle *oracle, uint64_t address, uint64_t size, uint64_t position, uint64_t *replacedp) {
        struct oracle_block block;
        bool known = end_move(oracle, position, &block);
        *replacedp += oracle_add(oracle, address, size);
        return known;
}

bool oracle_move_back(struct oracle *oracle, uint64_t position) {
        struct oracle_block block;
        if (!end_move(oracle, position, &block))
                return false;
        oracle_add(oracle, block.address, block.size);
        return true;
}
