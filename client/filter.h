/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Python's Filter as users write it: PATTERN[:LINE][,all-frames][,domain=D], read from the right;
 * a final ':' ends a literal pattern.
 */

struct filter {
        bool inclusive;
        bool domain_only; /* a DomainFilter: pattern and lineno mean nothing */
        bool has_lineno;
        bool all_frames;
        uint64_t lineno;
        char *pattern; /* heap, NUL-terminated: it came from the command line */
        char *domain;  /* heap, NULL: any */
};

#define FILTER_E_LINE   1
#define FILTER_E_DOMAIN 2

/** filter_parse() - read @text into @filter
 * Return: 0; FILTER_E_LINE (line number too large); FILTER_E_DOMAIN (nothing behind "domain="): filter is untouched. */
int filter_parse(struct filter *filter, const char *text, bool inclusive);

/** filter_domain() - a DomainFilter. Return: 0; FILTER_E_DOMAIN (empty). */
int filter_domain(struct filter *filter, const char *domain, bool inclusive);

/** filter_deinit() - free what filter_parse() or filter_domain() made */
void filter_deinit(struct filter *filter);
