/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whose request the symbol helper works on: one at a time, users in turn. Who has one request waits for one of each
 * other user, however many threads these have here and however much they ask. Any thread that may block.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One thread that waits or works; lives on its stack. */
struct symbol_waiter {
        struct symbol_waiter *next;
        uint32_t uid;
        uint64_t turn;
        bool works;
};

struct symbol_turn {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        struct symbol_waiter *waiters; /* and the one whose turn it is, in the order in which they came */
        uint64_t now;                  /* the turn that is served */
        bool has_gone;                 /* somebody has: */
        uint32_t gone_uid;             /* whose turn it was last: who comes again is not new */
        uint64_t gone;                 /* which turn */
};

/** symbol_turn_init() - nobody's turn yet. Return: 0; -ENOMEM. */
int symbol_turn_init(struct symbol_turn *turn);

/** symbol_turn_deinit() - nobody may be in it */
void symbol_turn_deinit(struct symbol_turn *turn);

/** symbol_turn_take() - wait until it is this thread's turn
 * @waiter: the caller's, until symbol_turn_give()
 * O(threads that are here). */
void symbol_turn_take(struct symbol_turn *turn, uint32_t uid, struct symbol_waiter *waiter);

/** symbol_turn_give() - the next one's turn */
void symbol_turn_give(struct symbol_turn *turn, struct symbol_waiter *waiter);

/** symbol_turn_count() - threads that wait or work */
size_t symbol_turn_count(struct symbol_turn *turn);
