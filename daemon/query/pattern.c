/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Python's fnmatch: a pattern becomes a list of items, one a character or '*'.
 * Any thread may match with a compiled pattern. What Python does inside
 * brackets is a translation to a regular expression, so that is what set_parse()
 * follows, step by step: cut at the hyphens that make ranges, drop empty ranges,
 * then read the rest as a set of that expression.
 */

#include "daemon/query/pattern.h"

#include "daemon/base/python_text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum item_kind {
        ITEM_CHARACTER, /* first */
        ITEM_ANY,
        ITEM_STAR,
        ITEM_SET, /* ranges[first..first + n) */
};

struct pattern_item {
        enum item_kind kind;
        uint32_t first;
        uint32_t n;
        bool negated;
};

struct pattern_range {
        uint32_t low, high;
};

struct pattern {
        enum pattern_kind kind;
        uint32_t n_items, n_ranges;
        struct pattern_range *ranges; /* behind the items */
        struct pattern_item items[];
};

/* A range hyphen in the text of a set while it is parsed; no code point. */
#define RANGE_HYPHEN UINT32_MAX

static size_t strip_pyc(const char *bytes, size_t length) {
        return length >= 4 && memcmp(bytes + length - 4, ".pyc", 4) == 0 ? length - 1 : length;
}

/* Index of the ']' that closes the set whose text begins at i, or n. */
static size_t set_end(const uint32_t *text, size_t i, size_t n) {
        if (i < n && text[i] == '!')
                i++;
        if (i < n && text[i] == ']')
                i++;
        while (i < n && text[i] != ']')
                i++;
        return i;
}

/* Turn each hyphen that makes a range into RANGE_HYPHEN. A range takes its end, and the next one may
 * not begin with that. */
static void set_mark_ranges(uint32_t *text, size_t n) {
        size_t i = n > 0 && text[0] == '!' ? 2 : 1;
        while (i + 1 < n) {
                if (text[i] == '-') {
                        text[i] = RANGE_HYPHEN;
                        i += 3;
                } else {
                        i++;
                }
        }
}

/* Drop ranges whose ends are in the wrong order, ends and all. No two ranges share an end. Return: the new length. */
static size_t set_drop_empty_ranges(uint32_t *text, size_t n) {
        size_t kept = 0;
        for (size_t i = 0; i < n;) {
                if (i + 1 < n && text[i + 1] == RANGE_HYPHEN && text[i] > text[i + 2])
                        i += 3;
                else
                        text[kept++] = text[i++];
        }
        return kept;
}

static int compare_ranges(const void *x, const void *y) {
        const struct pattern_range *a = x, *b = y;
        return (a->low > b->low) - (a->low < b->low);
}

/* Ascending and apart, as set_match() wants them. Return: how many are left. */
static uint32_t set_sort(struct pattern_range *ranges, uint32_t n) {
        uint32_t kept = 0;
        qsort(ranges, n, sizeof *ranges, compare_ranges);
        for (uint32_t i = 0; i < n; i++) {
                if (kept == 0 || ranges[i].low > ranges[kept - 1].high)
                        ranges[kept++] = ranges[i];
                else if (ranges[i].high > ranges[kept - 1].high)
                        ranges[kept - 1].high = ranges[i].high;
        }
        return kept;
}

/* What is between the brackets, now as a regular expression has it. */
static void set_parse(struct pattern *p, struct pattern_item *item, uint32_t *text, size_t n) {
        size_t i = 0;
        set_mark_ranges(text, n);
        n = set_drop_empty_ranges(text, n);
        *item = (struct pattern_item){.kind = ITEM_SET, .first = p->n_ranges};
        if (n > 0 && text[0] == '!') {
                item->negated = true;
                i = 1;
        }
        while (i < n) {
                struct pattern_range *range = &p->ranges[p->n_ranges++];
                range->low = range->high = text[i] == RANGE_HYPHEN ? '-' : text[i];
                i++;
                if (i + 1 < n && text[i] == RANGE_HYPHEN) {
                        range->high = text[i + 1];
                        i += 2;
                }
        }
        item->n = set_sort(p->ranges + item->first, p->n_ranges - item->first);
        p->n_ranges = item->first + item->n;
}

/* Where one '[' is closed by nothing no later one is: each is looked for once. */
static void compile(struct pattern *p, uint32_t *text, size_t n) {
        bool closes = true;
        for (size_t i = 0; i < n; i++) {
                struct pattern_item *item = &p->items[p->n_items];
                size_t end = n;
                if (text[i] == '[' && closes) {
                        end = set_end(text, i + 1, n);
                        closes = end < n;
                }
                if (text[i] == '*') {
                        if (p->n_items > 0 && item[-1].kind == ITEM_STAR)
                                continue;
                        *item = (struct pattern_item){.kind = ITEM_STAR};
                } else if (text[i] == '?') {
                        *item = (struct pattern_item){.kind = ITEM_ANY};
                } else if (end < n) {
                        set_parse(p, item, text + i + 1, end - i - 1);
                        i = end;
                } else {
                        *item = (struct pattern_item){.kind = ITEM_CHARACTER, .first = text[i]};
                }
                p->n_items++;
        }
}

int pattern_new(enum pattern_kind kind, const char *bytes, size_t length, struct pattern **patternp) {
        struct pattern *p;
        uint32_t *text;
        size_t n = 0;
        if (kind == PATTERN_FILENAME)
                length = strip_pyc(bytes, length);
        /* never more items, or ranges, than bytes */
        p = length < UINT32_MAX ? calloc(1, sizeof *p + length * (sizeof *p->items + sizeof *p->ranges)) : NULL;
        text = p ? calloc(length + 1, sizeof *text) : NULL;
        if (!text) {
                free(p);
                return -ENOMEM;
        }
        p->kind = kind;
        p->ranges = (struct pattern_range *)(p->items + length);
        for (size_t i = 0; i < length;)
                i += python_text_decode(bytes + i, length - i, &text[n++]);
        compile(p, text, n);
        free(text);
        *patternp = p;
        return 0;
}

struct pattern *pattern_free(struct pattern *p) {
        free(p);
        return NULL;
}

static int compare_to_range(const void *key, const void *member) {
        const uint32_t *code_point = key;
        const struct pattern_range *range = member;
        return (*code_point > range->high) - (*code_point < range->low);
}

static bool set_match(const struct pattern *p, const struct pattern_item *item, uint32_t code_point) {
        bool found = bsearch(&code_point, p->ranges + item->first, item->n, sizeof *p->ranges, compare_to_range);
        return found != item->negated;
}

static bool item_match(const struct pattern *p, const struct pattern_item *item, uint32_t code_point) {
        if (item->kind == ITEM_ANY)
                return true;
        return item->kind == ITEM_CHARACTER ? item->first == code_point : set_match(p, item, code_point);
}

/* After a mismatch the last '*' takes one character more; earlier ones never need to. */
bool pattern_match(const struct pattern *p, const char *bytes, size_t length) {
        size_t i = 0, retry = 0, taken;
        uint32_t item = 0, after_star = UINT32_MAX, code_point;
        if (p->kind == PATTERN_FILENAME)
                length = strip_pyc(bytes, length);
        for (;;) {
                if (item < p->n_items && p->items[item].kind == ITEM_STAR) {
                        after_star = ++item;
                        retry = i;
                        continue;
                }
                if (i == length && item == p->n_items)
                        return true;
                if (i < length && item < p->n_items) {
                        taken = python_text_decode(bytes + i, length - i, &code_point);
                        if (item_match(p, &p->items[item], code_point)) {
                                i += taken;
                                item++;
                                continue;
                        }
                }
                if (after_star == UINT32_MAX || retry >= length)
                        return false;
                if (after_star == p->n_items)
                        return true;
                retry += python_text_decode(bytes + retry, length - retry, &code_point);
                i = retry;
                item = after_star;
        }
}
