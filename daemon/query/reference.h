/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a user writes for a snapshot, taken apart:
 *
 *   17         a snapshot            s3         the members of a set
 *   last       the newest            last~1     the one before it
 *   last:exit  the newest of a kind  last:exit~1
 *   @1234      the live table of a process
 *   %1         a file that came over this connection; tmctl writes it, no user
 *
 * and lists of these, by comma: their sum. Which snapshots these are, and
 * whether the asker may see them, is not known here.
 */

#include "daemon/live/snapshot.h"
#include "daemon/query/view.h" /* enum query_outcome */

#include <stddef.h>
#include <stdint.h>

#define REFERENCE_ITEMS_MAX 1024 /* of a list; more is no command line */

enum reference_kind {
        REFERENCE_ID,   /* number: of the snapshot, >= 1 */
        REFERENCE_SET,  /* number: of the set, >= 1 */
        REFERENCE_LAST, /* number: 0 is the newest; snapshot_kind: of these, or REFERENCE_ANY_KIND */
        REFERENCE_LIVE, /* number: pid, 1..INT32_MAX */
        REFERENCE_FILE, /* number: which of the connection's, >= 1 */
};

#define REFERENCE_ANY_KIND (-1)

struct reference_item {
        enum reference_kind kind;
        int snapshot_kind; /* enum snapshot_kind or REFERENCE_ANY_KIND */
        int64_t number;
};

struct reference {
        size_t n_items; /* >= 1 */
        struct reference_item items[];
};

/** reference_parse() - take a reference apart
 * @text: from a peer, anything goes
 * @referencep: set on 0, for free()
 * Return: 0; QUERY_E_USAGE, @messagep set, for free(); -ENOMEM. */
int reference_parse(const char *text, struct reference **referencep, char **messagep);
