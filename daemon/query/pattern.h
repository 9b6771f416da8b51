/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * File name patterns as Python's fnmatch understands them, which is not
 * fnmatch(3): '*' crosses '/', a leading dot is nothing special, a backslash is
 * a backslash, '[!...]' negates and '[^...]' does not, a '[' that nothing
 * closes is itself. Characters are code points (daemon/query/text.h). Empty
 * ranges ('[z-a]') match nothing, as in Python 3.10 and later.
 */

#include <stdbool.h>
#include <stddef.h>

enum pattern_kind {
        PATTERN_TEXT,     /* of functions: as it is */
        PATTERN_FILENAME, /* ".pyc" at the end means ".py", in pattern and name alike */
};

struct pattern;

/** pattern_new() - compile
 * @bytes: copied
 * O(length), of what is in brackets O(length * log(length)). Return: 0; -ENOMEM. Every sequence of bytes is a
 * pattern. */
int pattern_new(enum pattern_kind kind, const char *bytes, size_t length, struct pattern **patternp);

/** pattern_free() - NULL is fine. Return: NULL. */
struct pattern *pattern_free(struct pattern *p);

/** pattern_match() - does it match the whole of a name?
 * At worst O(length of pattern * length of name), without recursion; a set counts as log(its length). */
bool pattern_match(const struct pattern *p, const char *bytes, size_t length);
