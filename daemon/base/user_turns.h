/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who is next where users ask for the same thing: fair queueing. A request's turn is one behind the last of the same
 * user, be it here or served just before, and not before the turn that is being served. So who has one request
 * waits for one of each other user's, however many these have brought, and however soon they come again.
 * The caller locks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whose last turns are remembered when they have gone: more users than take turns at one time. */
#define USER_TURNS_GONE 32

/* One request that waits or is served; embed it. */
struct user_turn {
        struct user_turn *next;
        uid_t uid;
        uint64_t turn;
        bool served;
};

/* All zero: nobody is here. */
struct user_turns {
        struct user_turn *first; /* in the order in which they came */
        uint64_t now;            /* the turn that is served */
        struct {
                uid_t uid;
                uint64_t turn;
        } gone[USER_TURNS_GONE];
        size_t n_gone; /* ever: the next one takes the place of the oldest */
};

/** user_turns_add() - wait. @entry: borrowed until user_turns_remove(). O(requests that are here). */
void user_turns_add(struct user_turns *turns, struct user_turn *entry, uid_t uid);

/** user_turns_next() - of those with the lowest turn the one that came first
 * @n_max: so many may be served at once; @n_user_max: of one user
 * Return: NULL: nobody waits, or those who wait have to. O(requests that are here, squared). */
struct user_turn *user_turns_next(const struct user_turns *turns, size_t n_max, size_t n_user_max);

/** user_turns_serve() - begin with it */
void user_turns_serve(struct user_turns *turns, struct user_turn *entry);

/** user_turns_remove() - it is done, or no longer wants to be */
void user_turns_remove(struct user_turns *turns, struct user_turn *entry);
