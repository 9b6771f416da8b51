/* SPDX-License-Identifier: Apache-2.0 */

/* Environments of programs that tmctl starts. */

#include "client/environment.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(struct environment *e, char *entry) {
        e->entries = memory_grow(e->entries, e->n + 2, sizeof *e->entries);
        e->entries[e->n++] = entry;
        e->entries[e->n] = NULL;
}

void environment_init(struct environment *e) {
        *e = (struct environment){0};
        e->entries = memory_zalloc(sizeof *e->entries);
        for (char **entry = environ; entry && *entry; entry++)
                add(e, memory_copy(*entry, strlen(*entry)));
}

void environment_init_empty(struct environment *e) {
        *e = (struct environment){.entries = memory_zalloc(sizeof *e->entries)};
}

void environment_deinit(struct environment *e) {
        for (size_t i = 0; i < e->n; i++)
                free(e->entries[i]);
        free(e->entries);
        *e = (struct environment){0};
}

static bool is_named(const char *entry, const char *name) {
        size_t length = strlen(name);
        return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

const char *environment_get(const struct environment *e, const char *name) {
        for (size_t i = 0; i < e->n; i++) {
                if (is_named(e->entries[i], name))
                        return e->entries[i] + strlen(name) + 1;
        }
        return NULL;
}

static void drop(struct environment *e, const char *begin) {
        size_t kept = 0;
        for (size_t i = 0; i < e->n; i++) {
                if (strncmp(e->entries[i], begin, strlen(begin)) == 0)
                        free(e->entries[i]);
                else
                        e->entries[kept++] = e->entries[i];
        }
        e->n = kept;
        e->entries[kept] = NULL;
}

void environment_unset(struct environment *e, const char *name) {
        AUTO_FREE char *begin = memory_format("%s=", name);
        drop(e, begin);
}

void environment_unset_prefix(struct environment *e, const char *prefix) {
        drop(e, prefix);
}

void environment_set(struct environment *e, const char *name, const char *value) {
        char *entry = memory_format("%s=%s", name, value); /* before the old value goes: it may be a part */
        environment_unset(e, name);
        add(e, entry);
}
