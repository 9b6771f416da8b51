/* SPDX-License-Identifier: Apache-2.0 */

/* Words that are no command but nearly one. Called by main.c. */

#include "client/command_guess.h"

#include "client/command.h"

#include <stddef.h>
#include <string.h>

#define NAME_MAX_BYTES 16 /* of what is compared; the longest command has 10 */
#define DISTANCE_MAX   2  /* letters that are wrong, missing or too many */

/* heaptrack's, memray's, git's and systemctl's words */
static const char *const synonyms[][2] = {
        {"diff", "compare"},  {"flamegraph", "export"}, {"info", "show"},         {"record", "run"},
        {"remove", "delete"}, {"report", "stats"},      {"reset", "clear"},       {"rm", "delete"},
        {"status", "ps"},     {"summary", "stats"},     {"top", "stats"},         {"trace", "run"},
        {"tree", "traces"},   {"service", "unit"},      {"version", "--version"},
};

static size_t least(size_t a, size_t b, size_t c) {
        size_t ab = a < b ? a : b;
        return ab < c ? ab : c;
}

/* Levenshtein's */
static size_t distance(const char *a, const char *b) {
        size_t row[NAME_MAX_BYTES + 1], n = strlen(b);
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];
                row[0] = i + 1;
                for (size_t j = 0; j < n; j++) {
                        size_t substituted = diagonal + (a[i] != b[j]);
                        diagonal = row[j + 1];
                        row[j + 1] = least(row[j] + 1, diagonal + 1, substituted);
                }
        }
        return row[n];
}

const char *command_guess(const char *name) {
        for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
                if (strcmp(synonyms[i][0], name) == 0)
                        return synonyms[i][1];
        }
        const char *best = NULL;
        size_t closest = DISTANCE_MAX + 1, length = strlen(name);
        const struct command *c;
        for (size_t i = 0; length <= NAME_MAX_BYTES && (c = command_at(i)); i++) {
                size_t d = distance(name, c->name);
                if (d < closest && d < strlen(c->name) / 2 + 1 && d < length) {
                        closest = d;
                        best = c->name;
                }
        }
        return best;
}
