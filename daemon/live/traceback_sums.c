/* SPDX-License-Identifier: Apache-2.0 */

/* Sums per traceback node, and cuts of them. Runs on the ingest worker that owns the image; called by image.c and
 * image_snapshot.c. */

#include "daemon/live/traceback_sums.h"

#include "daemon/live/trace_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NODES_MIN    64 /* one page; memory of small processes is what counts */
#define OVERFLOW_MIN 64

static size_t slots_bytes(uint32_t capacity) {
        return capacity * sizeof(struct node_sums);
}

/* Zeroed memory that grows by moving pages, not bytes. */
static bool slots_grow(struct traceback_sums *s, struct node_sums **slotsp, uint32_t *capacityp, uint32_t capacity) {
        size_t old_bytes = slots_bytes(*capacityp), bytes = slots_bytes(capacity);
        if (!charge_take(s->charge, bytes - old_bytes))
                return false;
        void *memory =
                *slotsp ? mremap(*slotsp, old_bytes, bytes, MREMAP_MAYMOVE)
                        : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
                charge_give(s->charge, bytes - old_bytes);
                return false;
        }
        *slotsp = memory;
        *capacityp = capacity;
        return true;
}

int traceback_sums_new(struct charge *charge, struct traceback_sums **sumsp) {
        struct traceback_sums *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->charge = charge;
        if (!slots_grow(s, &s->nodes, &s->nodes_capacity, NODES_MIN)) {
                free(s);
                return -ENOMEM;
        }
        charge_ref(charge);
        s->refs = 1;
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
        munmap(s->nodes, slots_bytes(s->nodes_capacity));
        if (s->overflow)
                munmap(s->overflow, slots_bytes(s->overflow_capacity));
        charge_give(s->charge, slots_bytes(s->nodes_capacity) + slots_bytes(s->overflow_capacity));
        charge_unref(s->charge);
        free(s);
        return NULL;
}

static struct sums_row row_of(const struct node_sums *slot, uint32_t node, uint64_t peak_epoch) {
        bool since_peak = slot->epoch == peak_epoch;
        return (struct sums_row){.node = node,
                                 .domain = slot->domain_plus_1 - 1,
                                 .live_size = slot->live_size,
                                 .live_count = slot->live_count,
                                 .allocated_size = slot->allocated_size,
                                 .allocated_count = slot->allocated_count,
                                 .peak_size = since_peak ? slot->peak_size : slot->live_size,
                                 .peak_count = since_peak ? slot->peak_count : slot->live_count};
}

/* All slots of a node that are in use. [at most 256] */
static size_t node_rows(const struct traceback_sums *s, uint32_t node, uint64_t peak_epoch, struct sums_row *rows) {
        const struct node_sums *slot = &s->nodes[node];
        if (!slot->domain_plus_1)
                return 0;
        size_t n = 0;
        rows[n++] = row_of(slot, node, peak_epoch);
        for (uint32_t next = slot->next; next; next = slot->next) {
                slot = &s->overflow[next];
                rows[n++] = row_of(slot, node, peak_epoch);
        }
        return n;
}

static void save_node(struct sums_cut *cut, uint32_t node) {
        struct sums_row rows[SUMS_CUT_READ_MIN];
        size_t n = node_rows(cut->sums, node, cut->peak_epoch, rows);
        if (cut->n_saved + n > cut->saved_capacity) {
                size_t capacity = 2 * cut->saved_capacity + SUMS_CUT_READ_MIN;
                struct sums_row *saved = realloc(cut->saved, capacity * sizeof *saved);
                if (!saved) {
                        cut->broken = true;
                        return;
                }
                cut->saved = saved;
                cut->saved_capacity = capacity;
        }
        if (n)
                memcpy(cut->saved + cut->n_saved, rows, n * sizeof *rows);
        cut->n_saved += n;
        cut->saved_nodes[node / 64] |= UINT64_C(1) << node % 64;
}

static void save_for_cuts(struct traceback_sums *s, uint32_t node) {
        for (struct sums_cut *cut = s->cuts; cut; cut = cut->next) {
                if (node >= cut->cursor && node < cut->n_nodes && !cut->broken &&
                    !(cut->saved_nodes[node / 64] >> node % 64 & 1))
                        save_node(cut, node);
        }
}

static struct node_sums *new_overflow(struct traceback_sums *s, uint32_t *indexp) {
        if (s->n_overflow == s->overflow_capacity &&
            !slots_grow(s, &s->overflow, &s->overflow_capacity,
                        s->overflow_capacity ? 2 * s->overflow_capacity : OVERFLOW_MIN))
                return NULL;
        if (s->n_overflow == 0)
                s->n_overflow = 1;
        *indexp = s->n_overflow++;
        return &s->overflow[*indexp];
}

struct node_sums *traceback_sums_slot_slow(struct traceback_sums *s, uint32_t node, unsigned domain) {
        if (node >= s->nodes_capacity) {
                uint32_t capacity = s->nodes_capacity;
                while (capacity <= node)
                        capacity *= 2;
                if (!slots_grow(s, &s->nodes, &s->nodes_capacity, capacity))
                        return NULL;
        }
        if (node >= s->n_nodes)
                s->n_nodes = node + 1;
        save_for_cuts(s, node);
        struct node_sums *slot = &s->nodes[node];
        if (!slot->domain_plus_1)
                slot->domain_plus_1 = domain + 1;
        while (slot->domain_plus_1 != domain + 1) {
                if (slot->next) {
                        slot = &s->overflow[slot->next];
                        continue;
                }
                /* the overflow array may move: remember the slot by its place */
                uint32_t index, from = slot == &s->nodes[node] ? 0 : (uint32_t)(slot - s->overflow);
                struct node_sums *made = new_overflow(s, &index);
                if (!made)
                        return NULL;
                (from ? &s->overflow[from] : slot)->next = index;
                made->domain_plus_1 = domain + 1;
                slot = made;
        }
        return slot;
}

void traceback_sums_reset_peak(struct traceback_sums *s) {
        s->peak_epoch++;
        s->total.peak_size = s->total.live_size;
        for (size_t i = 0; i < 256; i++)
                s->domains[i].peak_size = s->domains[i].live_size;
}

void traceback_sums_check(const struct traceback_sums *s) {
        struct sums_total total = {}, domains[256] = {};
        for (uint32_t node = 0; node < s->n_nodes; node++) {
                struct sums_row rows[SUMS_CUT_READ_MIN];
                size_t n = node_rows(s, node, s->peak_epoch, rows);
                for (size_t i = 0; i < n; i++) {
                        total.live_size += rows[i].live_size;
                        total.live_count += rows[i].live_count;
                        total.peak_size += rows[i].peak_size;
                        domains[rows[i].domain].live_size += rows[i].live_size;
                        domains[rows[i].domain].live_count += rows[i].live_count;
                }
        }
        assert(total.live_size == s->total.live_size && total.live_count == s->total.live_count);
        assert(total.peak_size == s->total.peak_size);
        for (size_t i = 0; i < 256; i++) {
                assert(domains[i].live_size == s->domains[i].live_size);
                assert(domains[i].live_count == s->domains[i].live_count);
                assert(s->domains[i].peak_size >= s->domains[i].live_size);
        }
}

int sums_cut_open(struct sums_cut *cut, struct traceback_sums *sums) {
        uint64_t *bitmap = calloc(sums->n_nodes / 64 + 1, sizeof *bitmap);
        if (!bitmap)
                return -ENOMEM;
        *cut = (struct sums_cut){.sums = traceback_sums_ref(sums),
                                 .next = sums->cuts,
                                 .peak_epoch = sums->peak_epoch,
                                 .n_nodes = sums->n_nodes,
                                 .saved_nodes = bitmap};
        sums->cuts = cut;
        return 0;
}

int sums_cut_read(struct sums_cut *cut, struct sums_row *rows, size_t capacity, size_t *np) {
        assert(capacity >= SUMS_CUT_READ_MIN);
        if (cut->broken)
                return SUMS_CUT_E_BROKEN;
        size_t n = 0;
        for (size_t seen = 0; cut->cursor < cut->n_nodes && seen < 4 * capacity; cut->cursor++, seen++) {
                if (capacity - n < SUMS_CUT_READ_MIN && n > 0)
                        break; /* the next node may have that many domains */
                if (!(cut->saved_nodes[cut->cursor / 64] >> cut->cursor % 64 & 1))
                        n += node_rows(cut->sums, cut->cursor, cut->peak_epoch, rows + n);
        }
        *np = n;
        if (cut->cursor < cut->n_nodes || n > 0)
                return 0;
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

void sums_cut_close(struct sums_cut *cut) {
        if (!cut->sums)
                return;
        struct sums_cut **link = &cut->sums->cuts;
        while (*link != cut)
                link = &(*link)->next;
        *link = cut->next;
        free(cut->saved_nodes);
        free(cut->saved);
        traceback_sums_unref(cut->sums);
        *cut = (struct sums_cut){};
}
