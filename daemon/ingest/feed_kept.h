/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A feed from one daemon to the next. This one puts its descriptors into a
 * store; the next makes a feed of them, links it to its parent and starts it.
 * Main loop; the rules of feed.h hold.
 */

#include "daemon/ingest/feed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Descriptors of a kept feed, for the store: with all four another daemon can go on. */
struct feed_fds {
        int ring, definitions, control, table;
};

/** feed_fds() - borrowed until feed_fds_stored(); of a feed that is not kept: all -1 */
struct feed_fds feed_fds(const struct feed *feed);

/** feed_fds_stored() - somebody else holds them now: close what is not needed any more */
void feed_fds_stored(struct feed *feed);

/** feed_set_identity() - bytes for the next daemon's feed_adopt_identity(). Return: 0; -ENOMEM. */
int feed_set_identity(struct feed *feed, const void *bytes, size_t length);

/** feed_adopt() - what another daemon left, up to the point where it reads: feed_adopt_link() and feed_adopt_start()
 * follow
 * @fds: taken, also on failure
 * @options: mode, traceback_limit, domains, stall_limit_us and parent do not matter: they are what they were
 * Return: 0; FEED_E_REFUSED with @reasonp; -errno. */
int feed_adopt(struct worker *worker, const struct feed_fds *fds, const struct feed_options *options,
               struct feed **feedp, const char **reasonp);

/** feed_adopt_identity() - what feed_set_identity() left. Return: [*lengthp], borrowed until its next call; NULL:
 * nothing.
 */
const void *feed_adopt_identity(const struct feed *feed, size_t *lengthp);

/** feed_adopt_pool() - with whom it shares its memory; what it has is taken whatever the limit. Before
 * feed_adopt_link(). @pool: referenced; NULL is fine */
void feed_adopt_pool(struct feed *feed, struct charge_pool *pool);

/** feed_adopt_parent() - whose fork it is. Return: options.id of the parent; 0: nobody's. */
uint64_t feed_adopt_parent(const struct feed *feed);

/** feed_adopt_forks() - fork tables that wait for their children: tokens and pids of the FORK_DONE records
 * @tokens, @pids: [FEED_FORKS_MAX]. Return: how many. */
size_t feed_adopt_forks(const struct feed *feed, uint32_t *tokens, uint32_t *pids);

/** feed_adopt_phase() - what the program said last that it is doing. Return: borrowed until feed_adopt_start(). */
const struct image_phase *feed_adopt_phase(const struct feed *feed);

/** feed_adopt_waits() - whether it waits for its parent's table; before feed_adopt_start() */
bool feed_adopt_waits(const struct feed *feed);

/** feed_adopt_link() - all adopted feeds are linked before the first one is started
 * @parent: with feed_adopt_parent(), of the same worker; NULL: it is not there */
void feed_adopt_link(struct feed *feed, struct feed *parent);

/** feed_adopt_start() - hand it to its worker */
void feed_adopt_start(struct feed *feed);

/** feed_adopt_worker() - another worker than that of feed_adopt(), before it is linked */
void feed_adopt_worker(struct feed *feed, struct worker *worker);

/** feed_abandon() - free one that was adopted and not started. NULL is fine. */
void feed_abandon(struct feed *feed);

/** feed_dismiss() - the descriptors can't be adopted: tell the agent to greet anew. @fds: borrowed. */
void feed_dismiss(const struct feed_fds *fds);
