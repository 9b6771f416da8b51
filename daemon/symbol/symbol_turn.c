/* SPDX-License-Identifier: Apache-2.0 */

/* Users' turns for threads that wait. Used by symbolizer.c. */

#include "daemon/symbol/symbol_turn.h"

#include <errno.h>

int symbol_turn_init(struct symbol_turn *turn) {
        *turn = (struct symbol_turn){0};
        if (pthread_mutex_init(&turn->mutex, NULL) != 0)
                return -ENOMEM;
        if (pthread_cond_init(&turn->changed, NULL) == 0)
                return 0;
        pthread_mutex_destroy(&turn->mutex);
        return -ENOMEM;
}

void symbol_turn_deinit(struct symbol_turn *turn) {
        pthread_cond_destroy(&turn->changed);
        pthread_mutex_destroy(&turn->mutex);
}

void symbol_turn_take(struct symbol_turn *turn, uid_t uid, struct user_turn *waiter) {
        pthread_mutex_lock(&turn->mutex);
        user_turns_add(&turn->turns, waiter, uid);
        while (user_turns_next(&turn->turns, 1, 1) != waiter)
                pthread_cond_wait(&turn->changed, &turn->mutex);
        user_turns_serve(&turn->turns, waiter);
        pthread_mutex_unlock(&turn->mutex);
}

void symbol_turn_give(struct symbol_turn *turn, struct user_turn *waiter) {
        pthread_mutex_lock(&turn->mutex);
        user_turns_remove(&turn->turns, waiter);
        pthread_cond_broadcast(&turn->changed);
        pthread_mutex_unlock(&turn->mutex);
}

size_t symbol_turn_count(struct symbol_turn *turn) {
        size_t n = 0;
        pthread_mutex_lock(&turn->mutex);
        for (const struct user_turn *waiter = turn->turns.first; waiter; waiter = waiter->next)
                n++;
        pthread_mutex_unlock(&turn->mutex);
        return n;
}
