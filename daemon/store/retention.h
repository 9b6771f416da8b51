/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which snapshots are deleted without being asked to. Exit and peak snapshots,
 * which come by themselves, have limits of their own: they never push out what
 * somebody asked for.
 */

#include <stdint.h>

/* 0 is "no limit" for each. */
struct retention {
        uint64_t count, age_s;           /* requested and imported snapshots; count is one user's */
        uint64_t exit_count, exit_age_s; /* exit and peak snapshots; count is one user's */
        /* of the database: snapshots of the user who has stored most go, exit and peak snapshots first, the oldest
         * first */
        uint64_t bytes;
};
