/* SPDX-License-Identifier: Apache-2.0 */

/* Disjoint ranges in a treap. Runs on the ingest worker that owns the image; called by image_apply.c. */

#include "daemon/live/interval_map.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

#define ENTRIES_MIN 32

struct interval_entry {
        struct interval interval;
        uint32_t left, right;
        uint32_t priority; /* a parent's is the larger one */
};

void interval_map_init(struct interval_map *m, struct charge *charge) {
        *m = (struct interval_map){.charge = charge_ref(charge)};
        if (getrandom(&m->random, sizeof m->random, 0) != sizeof m->random)
                abort(); /* getrandom(2): 8 bytes are never short */
        m->random |= 1;
}

void interval_map_deinit(struct interval_map *m) {
        if (!m->charge)
                return;
        charge_give(m->charge, m->capacity * sizeof *m->entries);
        free(m->entries);
        charge_unref(m->charge);
        *m = (struct interval_map){};
}

/* xorshift64: peers must not know the shape of the tree, more is not asked of it */
static uint32_t next_priority(struct interval_map *m) {
        m->random ^= m->random << 13;
        m->random ^= m->random >> 7;
        m->random ^= m->random << 17;
        return (uint32_t)(m->random >> 32);
}

static uint32_t entry_alloc(struct interval_map *m) {
        if (m->free_list) {
                uint32_t index = m->free_list;
                m->free_list = m->entries[index].left;
                return index;
        }
        if (m->n_entries == m->capacity) {
                uint32_t capacity = m->capacity ? 2 * m->capacity : ENTRIES_MIN;
                size_t more = (capacity - m->capacity) * sizeof *m->entries;
                if (!charge_take(m->charge, more))
                        return 0;
                struct interval_entry *entries = realloc(m->entries, capacity * sizeof *entries);
                if (!entries) {
                        charge_give(m->charge, more);
                        return 0;
                }
                m->entries = entries;
                m->capacity = capacity;
        }
        if (m->n_entries == 0)
                m->n_entries = 1; /* 0 is "none" */
        return m->n_entries++;
}

/* Entries that start below @start go left, the others right. */
static void split(struct interval_map *m, uint32_t tree, uint64_t start, uint32_t *leftp, uint32_t *rightp) {
        while (tree) {
                struct interval_entry *entry = &m->entries[tree];
                if (entry->interval.start < start) {
                        *leftp = tree;
                        leftp = &entry->right;
                        tree = entry->right;
                } else {
                        *rightp = tree;
                        rightp = &entry->left;
                        tree = entry->left;
                }
        }
        *leftp = *rightp = 0;
}

static uint32_t merge(struct interval_map *m, uint32_t left, uint32_t right) {
        uint32_t root, *link = &root;
        while (left && right) {
                struct interval_entry *l = &m->entries[left], *r = &m->entries[right];
                if (l->priority > r->priority) {
                        *link = left;
                        link = &l->right;
                        left = l->right;
                } else {
                        *link = right;
                        link = &r->left;
                        right = r->left;
                }
        }
        *link = left ? left : right;
        return root;
}

int interval_map_insert(struct interval_map *m, const struct interval *interval) {
        uint32_t index = entry_alloc(m);
        if (!index)
                return INTERVAL_MAP_E_FULL;
        m->entries[index] = (struct interval_entry){.interval = *interval, .priority = next_priority(m)};
        uint32_t left, right;
        split(m, m->root, interval->start, &left, &right);
        m->root = merge(m, merge(m, left, index), right);
        return 0;
}

bool interval_map_find(const struct interval_map *m, uint64_t address, struct interval *intervalp) {
        const struct interval_entry *last = NULL; /* that starts at or below it */
        for (uint32_t tree = m->root; tree;) {
                const struct interval_entry *entry = &m->entries[tree];
                if (entry->interval.start <= address)
                        last = entry;
                tree = entry->interval.start <= address ? entry->right : entry->left;
        }
        if (!last || address - last->interval.start >= last->interval.length)
                return false;
        *intervalp = last->interval;
        return true;
}

/* The last entry that starts below @end overlaps, or none that matters before it does: entries are disjoint. */
bool interval_map_take(struct interval_map *m, uint64_t start, uint64_t length, struct interval *intervalp) {
        uint64_t end = length > UINT64_MAX - start ? UINT64_MAX : start + length;
        uint32_t *link = m->n_entries ? &m->root : NULL, *found = NULL;
        while (link && *link) {
                struct interval_entry *entry = &m->entries[*link];
                if (entry->interval.start < end) {
                        found = link;
                        link = &entry->right;
                } else {
                        link = &entry->left;
                }
        }
        if (!found)
                return false;
        uint32_t index = *found;
        struct interval_entry *entry = &m->entries[index];
        if (entry->interval.length <= UINT64_MAX - entry->interval.start &&
            entry->interval.start + entry->interval.length <= start)
                return false;
        *intervalp = entry->interval;
        *found = merge(m, entry->left, entry->right);
        entry->left = m->free_list;
        m->free_list = index;
        return true;
}

static uint64_t tree_check(const struct interval_map *m, uint32_t tree, uint64_t from) {
        if (!tree)
                return from;
        const struct interval_entry *entry = &m->entries[tree];
        from = tree_check(m, entry->left, from);
        assert(entry->interval.length > 0 && entry->interval.start >= from);
        assert(!entry->left || m->entries[entry->left].priority <= entry->priority);
        assert(!entry->right || m->entries[entry->right].priority <= entry->priority);
        return tree_check(m, entry->right, entry->interval.start + entry->interval.length);
}

void interval_map_check(const struct interval_map *m) {
        tree_check(m, m->root, 0);
}
