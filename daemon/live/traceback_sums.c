/* SPDX-License-Identifier: Apache-2.0 */

/* Sums per traceback node, and cuts of them. Runs on the ingest worker that owns the image; called by image.c and
 * image_snapshot.c. */

#include "daemon/live/traceback_sums.h"

#include "daemon/live/trace_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAVED_MIN 256
#define INDEX_MIN 512 /* half a page each: memory of small processes is what counts */
#define SLOTS_MIN 32
#define SLOTS_MAX (UINT32_C(1) << TRACE_NODE_BITS)

_Static_assert(SUMS_NODE_BITS == TRACE_NODE_BITS, "one layout of node_domain");

/* Charged as it is reserved for use; what was never touched costs no memory. */
static bool grow(struct traceback_sums *s, struct region *region, size_t old_bytes, size_t bytes) {
        if (!charge_take(s->charge, bytes - old_bytes))
                return false;
        if (region_grow(region, bytes) == 0)
                return true;
        charge_give(s->charge, bytes - old_bytes);
        return false;
}

static uint32_t n_uncut(const struct traceback_sums *s) {
        return s->cuts ? 0 : s->index_capacity;
}

static void set_uncut(struct traceback_sums *s) {
        s->n_uncut = n_uncut(s);
}

static bool index_grow(struct traceback_sums *s, uint32_t capacity) {
        if (!grow(s, &s->index_region, s->index_capacity * sizeof *s->index, capacity * sizeof *s->index))
                return false;
        s->index_capacity = capacity;
        set_uncut(s);
        return true;
}

static bool slots_grow(struct traceback_sums *s, uint32_t capacity) {
        if (!grow(s, &s->slots_region, s->slots_capacity * sizeof *s->slots, capacity * sizeof *s->slots))
                return false;
        s->slots_capacity = capacity;
        return true;
}

static uint64_t charged_bytes(const struct traceback_sums *s) {
        return s->index_capacity * sizeof *s->index + s->slots_capacity * sizeof *s->slots;
}

static void free_sums(struct traceback_sums *s) {
        region_close(&s->index_region);
        region_close(&s->slots_region);
        charge_give(s->charge, charged_bytes(s));
        charge_unref(s->charge);
        free(s);
}

int traceback_sums_new(struct charge *charge, struct keep *keep, struct traceback_sums **sumsp) {
        struct traceback_sums *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->charge = charge_ref(charge);
        s->refs = 1;
        s->n_slots = 1;
        if (region_open(&s->index_region, keep, (size_t)SLOTS_MAX * sizeof *s->index, 0) ||
            region_open(&s->slots_region, keep, (size_t)SLOTS_MAX * sizeof *s->slots, 0) || !index_grow(s, INDEX_MIN) ||
            !slots_grow(s, SLOTS_MIN)) {
                free_sums(s);
                return -ENOMEM;
        }
        s->index = (uint32_t *)(void *)s->index_region.memory;
        s->slots = (struct node_sums *)(void *)s->slots_region.memory;
        *sumsp = s;
        return 0;
}

void traceback_sums_keep(const struct traceback_sums *s, struct kept_sums *kept) {
        *kept = (struct kept_sums){.index_offset = s->index_region.offset,
                                   .slots_offset = s->slots_region.offset,
                                   .peak_epoch = s->peak_epoch,
                                   .index_capacity = s->index_capacity,
                                   .n_slots = s->n_slots,
                                   .slots_capacity = s->slots_capacity,
                                   .n_domains = s->n_domains,
                                   .total = s->total};
}

int traceback_sums_adopt(struct charge *charge, struct keep *keep, const struct kept_sums *kept,
                         const struct sums_total *domains, struct traceback_sums **sumsp) {
        if (kept->n_slots == 0 || kept->n_slots > kept->slots_capacity || kept->slots_capacity > SLOTS_MAX ||
            kept->index_capacity > SLOTS_MAX || kept->n_domains > 256)
                return 1;
        struct traceback_sums *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        *s = (struct traceback_sums){.peak_epoch = kept->peak_epoch,
                                     .index_capacity = kept->index_capacity,
                                     .n_slots = kept->n_slots,
                                     .slots_capacity = kept->slots_capacity,
                                     .n_domains = kept->n_domains,
                                     .total = kept->total,
                                     .refs = 1,
                                     .charge = charge_ref(charge)};
        memcpy(s->domains, domains, kept->n_domains * sizeof *domains);
        charge_force(charge, charged_bytes(s));
        int r = region_adopt(&s->index_region, keep, kept->index_offset, (size_t)SLOTS_MAX * sizeof *s->index,
                             s->index_capacity * sizeof *s->index);
        if (r == 0)
                r = region_adopt(&s->slots_region, keep, kept->slots_offset, (size_t)SLOTS_MAX * sizeof *s->slots,
                                 s->slots_capacity * sizeof *s->slots);
        if (r) {
                free_sums(s);
                return r;
        }
        s->index = (uint32_t *)(void *)s->index_region.memory;
        s->slots = (struct node_sums *)(void *)s->slots_region.memory;
        set_uncut(s);
        *sumsp = s;
        return 0;
}

struct traceback_sums *traceback_sums_ref(struct traceback_sums *s) {
        s->refs++;
        return s;
}

struct traceback_sums *traceback_sums_unref(struct traceback_sums *s) {
        if (!s || --s->refs > 0)
                return NULL;
        assert(!s->cuts);
        free_sums(s);
        return NULL;
}

static struct sums_row row_of(const struct traceback_sums *s, uint32_t index, uint64_t peak_epoch) {
        const struct node_sums *slot = &s->slots[index];
        bool since_peak = slot->epoch == peak_epoch;
        return (struct sums_row){.node = slot->node_domain & ((UINT32_C(1) << TRACE_NODE_BITS) - 1),
                                 .domain = node_sums_domain(slot),
                                 .slot = index,
                                 .live_size = slot->live_size,
                                 .live_count = slot->live_count,
                                 .allocated_size = slot->allocated_size,
                                 .allocated_count = slot->allocated_count,
                                 .peak_size = since_peak ? slot->peak_size : slot->live_size,
                                 .peak_count = since_peak ? slot->peak_count : slot->live_count};
}

static void save_slot(struct sums_cut *cut, uint32_t index) {
        if (cut->n_saved == cut->saved_capacity) {
                size_t capacity = 2 * cut->saved_capacity + SAVED_MIN;
                struct sums_row *saved = realloc(cut->saved, capacity * sizeof *saved);
                if (!saved) {
                        cut->broken = true;
                        return;
                }
                cut->saved = saved;
                cut->saved_capacity = capacity;
        }
        cut->saved[cut->n_saved++] = row_of(cut->sums, index, cut->peak_epoch);
        cut->saved_slots[index / 64] |= UINT64_C(1) << index % 64;
}

static void save_for_cuts(struct traceback_sums *s, uint32_t index) {
        for (struct sums_cut *cut = s->cuts; cut; cut = cut->next) {
                if ((cut->twice || index >= cut->cursor) && index < cut->n_slots && !cut->broken &&
                    !(cut->saved_slots[index / 64] >> index % 64 & 1))
                        save_slot(cut, index);
        }
}

/* At the end of the node's chain. Return: 0 without memory. */
static uint32_t new_slot(struct traceback_sums *s, uint32_t node, uint32_t node_domain, uint32_t last) {
        if (s->n_slots == s->slots_capacity && !slots_grow(s, 2 * s->slots_capacity))
                return 0;
        uint32_t index = s->n_slots++;
        region_expect(&s->slots_region, s->n_slots * sizeof *s->slots);
        uint32_t *link = last ? &s->slots[last].next : &s->index[node];
        region_save(last ? &s->slots_region : &s->index_region, link, sizeof *link);
        *link = index;
        /* what is behind the committed number of slots need not be zero: somebody may have died here */
        s->slots[index] = (struct node_sums){.node_domain = node_domain};
        if (node_domain >> TRACE_NODE_BITS >= s->n_domains)
                s->n_domains = (node_domain >> TRACE_NODE_BITS) + 1;
        return index;
}

/* Return: the slot; 0: there is none, and *lastp is the last of the node's chain. */
static uint32_t find_slot(const struct traceback_sums *s, uint32_t node, uint32_t node_domain, uint32_t *lastp) {
        uint32_t index = s->index[node];
        *lastp = 0;
        while (index && s->slots[index].node_domain != node_domain) {
                *lastp = index;
                index = s->slots[index].next;
        }
        return index;
}

uint32_t traceback_sums_find_slow(const struct traceback_sums *s, uint32_t node, unsigned domain) {
        uint32_t last;
        return find_slot(s, node, node | domain << TRACE_NODE_BITS, &last);
}

struct node_sums *traceback_sums_slot_slow(struct traceback_sums *s, uint32_t node, unsigned domain) {
        uint32_t node_domain = node | domain << TRACE_NODE_BITS;
        if (node >= s->index_capacity) {
                uint32_t capacity = s->index_capacity;
                while (capacity <= node)
                        capacity *= 2;
                if (!index_grow(s, capacity))
                        return NULL;
        }
        region_expect(&s->index_region, (node + (size_t)1) * sizeof *s->index); /* numbers of nodes ascend */
        uint32_t last, index = find_slot(s, node, node_domain, &last);
        if (!index)
                index = new_slot(s, node, node_domain, last);
        if (!index)
                return NULL;
        save_for_cuts(s, index);
        region_save_line(&s->slots_region, &s->slots[index]);
        return &s->slots[index];
}

void traceback_sums_reset_peak(struct traceback_sums *s) {
        s->peak_epoch++;
        s->total.peak_size = s->total.live_size;
        for (size_t i = 0; i < 256; i++)
                s->domains[i].peak_size = s->domains[i].live_size;
}

static bool slot_is_linked(const struct traceback_sums *s, const struct node_sums *slot, uint32_t node) {
        return node < s->index_capacity && s->index[node] != 0 && s->index[node] < s->n_slots &&
               slot->next < s->n_slots && node_sums_domain(slot) < s->n_domains;
}

bool traceback_sums_is_sound(const struct traceback_sums *s) {
        struct sums_total total = {}, domains[256] = {};
        for (uint32_t index = 1; index < s->n_slots; index++) {
                struct sums_row row = row_of(s, index, s->peak_epoch);
                if (!slot_is_linked(s, &s->slots[index], row.node))
                        return false;
                total.live_size += row.live_size;
                total.live_count += row.live_count;
                total.peak_size += row.peak_size;
                domains[row.domain].live_size += row.live_size;
                domains[row.domain].live_count += row.live_count;
        }
        for (size_t i = 0; i < 256; i++) {
                if (domains[i].live_size != s->domains[i].live_size ||
                    domains[i].live_count != s->domains[i].live_count ||
                    s->domains[i].peak_size < s->domains[i].live_size)
                        return false;
        }
        return total.live_size == s->total.live_size && total.live_count == s->total.live_count &&
               total.peak_size == s->total.peak_size;
}

void traceback_sums_check(const struct traceback_sums *s) {
        assert(traceback_sums_is_sound(s));
        assert(s->n_uncut == n_uncut(s));
}

int sums_cut_open(struct sums_cut *cut, struct traceback_sums *sums) {
        uint64_t *bitmap = calloc(sums->n_slots / 64 + 1, sizeof *bitmap);
        if (!bitmap)
                return -ENOMEM;
        *cut = (struct sums_cut){.sums = traceback_sums_ref(sums),
                                 .next = sums->cuts,
                                 .peak_epoch = sums->peak_epoch,
                                 .n_slots = sums->n_slots,
                                 .cursor = 1,
                                 .twice = true,
                                 .saved_slots = bitmap};
        sums->cuts = cut;
        set_uncut(sums);
        return 0;
}

int sums_cut_read(struct sums_cut *cut, struct sums_row *rows, size_t capacity, size_t *np) {
        if (cut->broken)
                return SUMS_CUT_E_BROKEN;
        size_t n = 0;
        if (cut->cursor < cut->n_slots) {
                for (; cut->cursor < cut->n_slots && n < capacity; cut->cursor++) {
                        if (!(cut->saved_slots[cut->cursor / 64] >> cut->cursor % 64 & 1))
                                rows[n++] = row_of(cut->sums, cut->cursor, cut->peak_epoch);
                }
                *np = n;
                return 0;
        }
        n = cut->n_saved - cut->n_saved_read;
        if (n == 0)
                return SUMS_CUT_END;
        if (n > capacity)
                n = capacity;
        memcpy(rows, cut->saved + cut->n_saved_read, n * sizeof *rows);
        cut->n_saved_read += n;
        *np = n;
        return 0;
}

void sums_cut_rewind(struct sums_cut *cut) {
        cut->cursor = 1;
        cut->n_saved_read = 0;
        cut->twice = false;
}

void sums_cut_close(struct sums_cut *cut) {
        if (!cut->sums)
                return;
        struct sums_cut **link = &cut->sums->cuts;
        while (*link != cut)
                link = &(*link)->next;
        *link = cut->next;
        set_uncut(cut->sums);
        free(cut->saved_slots);
        free(cut->saved);
        traceback_sums_unref(cut->sums);
        *cut = (struct sums_cut){};
}
