/* SPDX-License-Identifier: Apache-2.0 */

/* A small table of users; a linear search, since a machine has few users at one time. */

#include "daemon/base/uid_count.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct uid_entry {
        uid_t uid;
        uint32_t count;
};

void uid_count_init(struct uid_count *c) {
        *c = (struct uid_count){0};
}

void uid_count_deinit(struct uid_count *c) {
        free(c->entries);
        uid_count_init(c);
}

static struct uid_entry *find(struct uid_count *c, uid_t uid) {
        for (size_t i = 0; i < c->n_entries; i++) {
                if (c->entries[i].uid == uid)
                        return &c->entries[i];
        }
        return NULL;
}

static struct uid_entry *add(struct uid_count *c, uid_t uid) {
        if (c->n_entries == c->size) {
                size_t size = c->size ? c->size * 2 : 16;
                struct uid_entry *entries = reallocarray(c->entries, size, sizeof *entries);
                if (!entries)
                        return NULL;
                c->entries = entries;
                c->size = size;
        }
        c->entries[c->n_entries] = (struct uid_entry){.uid = uid};
        return &c->entries[c->n_entries++];
}

int uid_count_charge(struct uid_count *c, uid_t uid, uint32_t limit) {
        struct uid_entry *e = find(c, uid);
        if (uid != 0 && (e ? e->count : 0) >= limit)
                return UID_COUNT_E_QUOTA;
        if (!e)
                e = add(c, uid);
        if (!e)
                return -ENOMEM;
        e->count++;
        return 0;
}

void uid_count_release(struct uid_count *c, uid_t uid) {
        struct uid_entry *e = find(c, uid);
        assert(e && e->count > 0);
        if (--e->count == 0)
                *e = c->entries[--c->n_entries];
}
