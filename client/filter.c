/* SPDX-License-Identifier: Apache-2.0 */

/* Filters from the command line. */

#include "client/filter.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX_ALL_FRAMES ",all-frames"
#define SUFFIX_DOMAIN     ",domain="

static bool cut_all_frames(char *text, struct filter *filter) {
        size_t length = strlen(text), suffix = strlen(SUFFIX_ALL_FRAMES);
        if (length < suffix || strcmp(text + length - suffix, SUFFIX_ALL_FRAMES) != 0)
                return false;
        text[length - suffix] = '\0';
        filter->all_frames = true;
        return true;
}

/* The last comma begins the suffix, so a domain's name has none. */
static bool cut_domain(char *text, char **domainp) {
        char *comma = strrchr(text, ',');
        if (!comma || strncmp(comma, SUFFIX_DOMAIN, strlen(SUFFIX_DOMAIN)) != 0 || *domainp)
                return false;
        const char *value = comma + strlen(SUFFIX_DOMAIN);
        if (value[strlen(value) - (value[0] ? 1 : 0)] == ':')
                return false; /* "...,domain=x:" is a literal pattern */
        *domainp = memory_copy(value, strlen(value));
        *comma = '\0';
        return true;
}

static int cut_lineno(char *text, struct filter *filter) {
        char *colon = strrchr(text, ':');
        if (!colon)
                return 0;
        if (!colon[1]) {
                *colon = '\0';
                return 0;
        }
        if (strspn(colon + 1, "0123456789") != strlen(colon + 1))
                return 0;
        errno = 0;
        filter->lineno = strtoull(colon + 1, NULL, 10);
        if (errno != 0)
                return FILTER_E_LINE;
        filter->has_lineno = true;
        *colon = '\0';
        return 0;
}

int filter_parse(struct filter *filter, const char *text, bool inclusive) {
        struct filter parsed = {.inclusive = inclusive};
        AUTO_FREE char *rest = memory_copy(text, strlen(text));
        AUTO_FREE char *domain = NULL;
        while (cut_all_frames(rest, &parsed) || cut_domain(rest, &domain))
                ;
        if (domain && !domain[0])
                return FILTER_E_DOMAIN;
        int r = cut_lineno(rest, &parsed);
        if (r != 0)
                return r;
        parsed.pattern = rest;
        parsed.domain = domain;
        rest = domain = NULL;
        *filter = parsed;
        return 0;
}

int filter_domain(struct filter *filter, const char *domain, bool inclusive) {
        if (!domain[0])
                return FILTER_E_DOMAIN;
        *filter = (struct filter){.inclusive = inclusive,
                                  .domain_only = true,
                                  .pattern = memory_copy("", 0),
                                  .domain = memory_copy(domain, strlen(domain))};
        return 0;
}

void filter_deinit(struct filter *filter) {
        free(filter->pattern);
        free(filter->domain);
        *filter = (struct filter){0};
}
