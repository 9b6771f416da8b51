/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whose request the symbol helper works on: one at a time, users in turn (daemon/base/user_turns.h), however many
 * threads they have here. Any thread that may block.
 */

#include "daemon/base/user_turns.h"

#include <pthread.h>
#include <stddef.h>

struct symbol_turn {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        struct user_turns turns;
};

/** symbol_turn_init() - nobody's turn yet. Return: 0; -ENOMEM. */
int symbol_turn_init(struct symbol_turn *turn);

/** symbol_turn_deinit() - nobody may be in it */
void symbol_turn_deinit(struct symbol_turn *turn);

/** symbol_turn_take() - wait until it is this thread's turn
 * @waiter: the caller's, on its stack, until symbol_turn_give()
 * O(threads that are here). */
void symbol_turn_take(struct symbol_turn *turn, uid_t uid, struct user_turn *waiter);

/** symbol_turn_give() - the next one's turn */
void symbol_turn_give(struct symbol_turn *turn, struct user_turn *waiter);

/** symbol_turn_count() - threads that wait or work */
size_t symbol_turn_count(struct symbol_turn *turn);
