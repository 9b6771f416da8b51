/* SPDX-License-Identifier: Apache-2.0 */

/* See beside_malloc.h. Called by whatever shows sums to people. */

#include "client/beside_malloc.h"

#include "client/memory.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"
#include "proto/record.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static char *name_of(const Tracemallocd__Control__Domain *domain) {
        return domain->name.len > 0 ? text_display(domain->name.data, domain->name.len)
                                    : memory_format("%" PRIu32, domain->number);
}

void beside_malloc_add(struct beside_malloc *b, const Tracemallocd__Control__Domain *domain) {
        AUTO_FREE char *name = name_of(domain);
        for (size_t i = 0; i < b->n; i++)
                if (strcmp(b->names[i], name) == 0)
                        return;
        b->names = memory_grow(b->names, b->n + 1, sizeof *b->names);
        b->names[b->n++] = name;
        name = NULL;
}

static bool is_a_programs_own(const Tracemallocd__Control__Domain *domain) {
        return domain->number != DOMAIN_PYTHON && domain->number != DOMAIN_MALLOC && domain->number != DOMAIN_MMAP;
}

void beside_malloc_add_process(struct beside_malloc *b, const Tracemallocd__Control__Process *process) {
        bool has_malloc = false;
        for (size_t i = 0; i < process->n_domains; i++)
                has_malloc |= process->domains[i]->number == DOMAIN_MALLOC && process->domains[i]->peak_size > 0;
        for (size_t i = 0; has_malloc && i < process->n_domains; i++)
                if (is_a_programs_own(process->domains[i]) && process->domains[i]->peak_size > 0)
                        beside_malloc_add(b, process->domains[i]);
}

char *beside_malloc_clause(const struct beside_malloc *b) {
        if (b->n == 0)
                return NULL;
        char *list = memory_copy(b->names[0], strlen(b->names[0]));
        for (size_t i = 1; i < b->n; i++) {
                AUTO_FREE char *before = list;
                list = memory_format("%s, %s", before, b->names[i]);
        }
        AUTO_FREE char *names = list;
        return memory_format("what domain%s %s took from malloc is counted %s", b->n == 1 ? "" : "s", names,
                             b->n == 1 ? "in both domains" : "twice");
}

void beside_malloc_deinit(struct beside_malloc *b) {
        for (size_t i = 0; i < b->n; i++)
                free(b->names[i]);
        free(b->names);
        *b = (struct beside_malloc){0};
}
