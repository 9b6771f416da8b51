/* SPDX-License-Identifier: Apache-2.0 */

/* Names of domains; see domain.h. Any thread. */

#include "daemon/query/domain.h"
#include "proto/record.h"

#include <string.h>

static const struct {
        uint32_t number;
        const char *name;
} own_domains[] = {
        {DOMAIN_PYTHON, "python"},
        {DOMAIN_MALLOC, "malloc"},
        {DOMAIN_MMAP, "mmap"},
};

#define N_OWN_DOMAINS (sizeof(own_domains) / sizeof(own_domains[0]))

struct snapshot_string domain_name(uint32_t number, const struct model_source *sources, size_t n_sources) {
        for (size_t i = 0; i < N_OWN_DOMAINS; i++)
                if (own_domains[i].number == number)
                        return (struct snapshot_string){own_domains[i].name, strlen(own_domains[i].name)};
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
        for (size_t i = 0; i < N_OWN_DOMAINS; i++)
                if (strcmp(own_domains[i].name, text) == 0) {
                        *numberp = own_domains[i].number;
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
