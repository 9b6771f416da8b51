/* SPDX-License-Identifier: Apache-2.0 */

/* A list and a short memory. Used by control/pool_queue.c on the main loop and by symbol/symbol_turn.c in any thread.
 */

#include "daemon/base/user_turns.h"

static void come_behind(struct user_turn *entry, uint64_t turn) {
        if (entry->turn <= turn)
                entry->turn = turn + 1;
}

void user_turns_add(struct user_turns *turns, struct user_turn *entry, uid_t uid) {
        struct user_turn **link = &turns->first;
        *entry = (struct user_turn){.uid = uid, .turn = turns->now};
        for (size_t i = 0; i < USER_TURNS_GONE && i < turns->n_gone; i++) {
                if (turns->gone[i].uid == uid)
                        come_behind(entry, turns->gone[i].turn);
        }
        for (; *link; link = &(*link)->next) {
                if ((*link)->uid == uid)
                        come_behind(entry, (*link)->turn);
        }
        *link = entry;
}

/* @uid: NULL: everybody's */
static size_t count_served(const struct user_turns *turns, const uid_t *uid) {
        size_t n = 0;
        for (const struct user_turn *entry = turns->first; entry; entry = entry->next)
                n += entry->served && (!uid || entry->uid == *uid);
        return n;
}

struct user_turn *user_turns_next(const struct user_turns *turns, size_t n_max, size_t n_user_max) {
        struct user_turn *next = NULL;
        if (count_served(turns, NULL) >= n_max)
                return NULL;
        for (struct user_turn *entry = turns->first; entry; entry = entry->next) {
                if (!entry->served && (!next || entry->turn < next->turn) &&
                    count_served(turns, &entry->uid) < n_user_max)
                        next = entry;
        }
        return next;
}

void user_turns_serve(struct user_turns *turns, struct user_turn *entry) {
        entry->served = true;
        turns->now = entry->turn;
}

void user_turns_remove(struct user_turns *turns, struct user_turn *entry) {
        struct user_turn **link = &turns->first;
        while (*link != entry)
                link = &(*link)->next;
        *link = entry->next;
        if (!entry->served)
                return;
        size_t i = turns->n_gone++ % USER_TURNS_GONE;
        turns->gone[i].uid = entry->uid;
        turns->gone[i].turn = entry->turn;
}
