/* SPDX-License-Identifier: Apache-2.0 */

/* Snapshot references as users write them; see reference.h. Any thread. */

#include "daemon/query/reference.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PID_MAX INT32_MAX /* pid_t */

/* A part of the text that is still to be read. */
struct cursor {
        const char *at, *end;
};

static bool take(struct cursor *c, const char *word) {
        size_t length = strlen(word);
        if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
                return false;
        c->at += length;
        return true;
}

static bool take_number(struct cursor *c, int64_t max, int64_t *numberp) {
        int64_t number = 0;
        const char *start = c->at;
        for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
                int digit = *c->at - '0';
                if (number > (max - digit) / 10)
                        return false;
                number = number * 10 + digit;
        }
        *numberp = number;
        return c->at > start;
}

static bool take_kind(struct cursor *c, int *kindp) {
        for (int kind = 0; kind < SNAPSHOT_LIVE; kind++) {
                if (take(c, snapshot_kind_name((uint32_t)kind))) {
                        *kindp = kind;
                        return true;
                }
        }
        return false;
}

static bool parse_last(struct cursor *c, struct reference_item *item) {
        item->kind = REFERENCE_LAST;
        if (take(c, ":") && !take_kind(c, &item->snapshot_kind))
                return false;
        return !take(c, "~") || take_number(c, INT64_MAX, &item->number);
}

static bool parse_item(struct cursor c, struct reference_item *item) {
        int64_t max = INT64_MAX;
        *item = (struct reference_item){.snapshot_kind = REFERENCE_ANY_KIND};
        if (take(&c, "last"))
                return parse_last(&c, item) && c.at == c.end;
        if (take(&c, "@")) {
                item->kind = REFERENCE_LIVE;
                max = PID_MAX;
        } else if (take(&c, "%")) {
                item->kind = REFERENCE_FILE;
        } else if (take(&c, "s")) {
                item->kind = REFERENCE_SET;
        } else {
                item->kind = REFERENCE_ID;
        }
        return take_number(&c, max, &item->number) && c.at == c.end && item->number >= 1;
}

static int usage(const char *text, char **messagep) {
        return asprintf(messagep,
                        "'%.100s' is no snapshot: expected an id (17), a set (s3), a list (17,18), last, last~1, "
                        "last:exit, last:peak or @PID",
                        text) < 0
                       ? -ENOMEM
                       : QUERY_E_USAGE;
}

int reference_parse(const char *text, struct reference **referencep, char **messagep) {
        struct reference *reference;
        size_t n = 1;
        for (const char *p = text; *p; p++)
                n += *p == ',';
        if (n > REFERENCE_ITEMS_MAX)
                return asprintf(messagep, "a list of snapshots has at most %d members; this one has %zu",
                                REFERENCE_ITEMS_MAX, n) < 0
                               ? -ENOMEM
                               : QUERY_E_USAGE;
        reference = calloc(1, sizeof *reference + n * sizeof reference->items[0]);
        if (!reference)
                return -ENOMEM;
        for (const char *p = text; reference->n_items < n; reference->n_items++) {
                const char *end = strchrnul(p, ',');
                if (!parse_item((struct cursor){p, end}, &reference->items[reference->n_items])) {
                        free(reference);
                        return usage(text, messagep);
                }
                p = end + 1;
        }
        *referencep = reference;
        return 0;
}
