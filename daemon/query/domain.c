/* SPDX-License-Identifier: Apache-2.0 */

/* Names of domains; see domain.h. Any thread. */

#include "daemon/query/domain.h"

#include "proto/record.h"

#include <string.h>

static const struct {
        uint32_t number;
        const char *name;
} fixed_domains[] = {
        {DOMAIN_PYTHON, "python"},
        {DOMAIN_MALLOC, "malloc"},
        {DOMAIN_MMAP, "mmap"},
};

#define N_FIXED_DOMAINS (sizeof fixed_domains / sizeof fixed_domains[0])

static bool is_fixed(uint32_t number) {
        for (size_t i = 0; i < N_FIXED_DOMAINS; i++)
                if (fixed_domains[i].number == number)
                        return true;
        return false;
}

struct snapshot_string domain_name(uint32_t number, const struct model_source *sources, size_t n_sources) {
        for (size_t i = 0; i < N_FIXED_DOMAINS; i++)
                if (fixed_domains[i].number == number)
                        return (struct snapshot_string){fixed_domains[i].name, strlen(fixed_domains[i].name)};
        for (size_t i = 0; i < n_sources; i++) {
                const struct snapshot *s = sources[i].snapshot;
                for (uint32_t j = 0; j < s->n_domains; j++)
                        if (s->domains[j].number == number)
                                return s->strings[s->domains[j].name];
        }
        return (struct snapshot_string){"", 0};
}

static bool parse_number(const char *text, uint32_t *numberp) {
        uint64_t number = 0;
        if (!*text)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                number = number * 10 + (uint64_t)(*text - '0');
                if (number > UINT32_MAX)
                        return false;
        }
        *numberp = (uint32_t)number;
        return true;
}

bool domain_parse(const char *text, const struct model_source *sources, size_t n_sources, uint32_t *numberp) {
        size_t length = strlen(text);
        if (parse_number(text, numberp))
                return true;
        for (size_t i = 0; i < N_FIXED_DOMAINS; i++)
                if (strcmp(fixed_domains[i].name, text) == 0) {
                        *numberp = fixed_domains[i].number;
                        return true;
                }
        for (size_t i = 0; i < n_sources; i++) {
                const struct snapshot *s = sources[i].snapshot;
                for (uint32_t j = 0; j < s->n_domains; j++) {
                        const struct snapshot_string *name = &s->strings[s->domains[j].name];
                        if (length > 0 && name->length == length && memcmp(name->bytes, text, length) == 0) {
                                *numberp = s->domains[j].number;
                                return true;
                        }
                }
        }
        return false;
}

static bool contains(const uint32_t *numbers, size_t n, uint32_t number) {
        for (size_t i = 0; i < n; i++)
                if (numbers[i] == number)
                        return true;
        return false;
}

size_t domain_beside_malloc(const struct model *m, uint32_t numbers[static DOMAIN_BESIDE_MALLOC_MAX]) {
        bool has_malloc = false;
        size_t n = 0;
        for (size_t i = 0; i < m->n_traces; i++) {
                const struct model_trace *trace = &m->traces[i];
                if (trace->size == 0)
                        continue;
                if (trace->domain == DOMAIN_MALLOC)
                        has_malloc = true;
                else if (n < DOMAIN_BESIDE_MALLOC_MAX && !is_fixed(trace->domain) &&
                         !contains(numbers, n, trace->domain))
                        numbers[n++] = trace->domain;
        }
        return has_malloc ? n : 0;
}
