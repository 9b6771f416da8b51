/* SPDX-License-Identifier: Apache-2.0 */

/* Fair queueing, as in daemon/control/pool_queue.c, for threads that wait. Used by symbolizer.c. */

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

/* One behind the last of the same user, be it here or just gone, and not before the turn that is served. */
static void append(struct symbol_turn *turn, struct symbol_waiter *waiter) {
        struct symbol_waiter **link = &turn->waiters;
        waiter->turn = turn->now;
        if (turn->has_gone && turn->gone_uid == waiter->uid && turn->gone >= waiter->turn)
                waiter->turn = turn->gone + 1;
        for (; *link; link = &(*link)->next) {
                if ((*link)->uid == waiter->uid && (*link)->turn >= waiter->turn)
                        waiter->turn = (*link)->turn + 1;
        }
        waiter->next = NULL;
        *link = waiter;
}

/* Return: who works; where nobody does, who is to: of those with the lowest turn the one that came first. */
static struct symbol_waiter *next_one(const struct symbol_turn *turn) {
        struct symbol_waiter *next = turn->waiters;
        for (struct symbol_waiter *waiter = turn->waiters; waiter; waiter = waiter->next) {
                if (waiter->works)
                        return waiter;
                if (waiter->turn < next->turn)
                        next = waiter;
        }
        return next;
}

void symbol_turn_take(struct symbol_turn *turn, uint32_t uid, struct symbol_waiter *waiter) {
        *waiter = (struct symbol_waiter){.uid = uid};
        pthread_mutex_lock(&turn->mutex);
        append(turn, waiter);
        while (next_one(turn) != waiter)
                pthread_cond_wait(&turn->changed, &turn->mutex);
        waiter->works = true;
        turn->now = waiter->turn;
        pthread_mutex_unlock(&turn->mutex);
}

void symbol_turn_give(struct symbol_turn *turn, struct symbol_waiter *waiter) {
        pthread_mutex_lock(&turn->mutex);
        struct symbol_waiter **link = &turn->waiters;
        while (*link != waiter)
                link = &(*link)->next;
        *link = waiter->next;
        turn->has_gone = true;
        turn->gone_uid = waiter->uid;
        turn->gone = waiter->turn;
        pthread_cond_broadcast(&turn->changed);
        pthread_mutex_unlock(&turn->mutex);
}

size_t symbol_turn_count(struct symbol_turn *turn) {
        size_t n = 0;
        pthread_mutex_lock(&turn->mutex);
        for (const struct symbol_waiter *waiter = turn->waiters; waiter; waiter = waiter->next)
                n++;
        pthread_mutex_unlock(&turn->mutex);
        return n;
}
