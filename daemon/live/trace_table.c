/* SPDX-License-Identifier: Apache-2.0 */

/* The table of live blocks. Runs on the ingest worker that owns the image; called by image.c and cut.c. */

#include "daemon/live/trace_table.h"

#include "daemon/live/cut.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define RELEASE_BYTES (UINT64_C(2) << 20) /* of the old array are given back at once: less would split huge pages */

/* Of what somebody else left, too: a wide cell without a slot has no size, and the address that its key says. */
struct trace_block trace_table_wide_block(const struct trace_table *t, const struct trace_cell *cell) {
        const struct wide_block *wide = wide_blocks_at(&t->wide, trace_cell_node(cell));
        return (struct trace_block){.address = wide ? wide->address : cell->key >> TRACE_SIZE_BITS,
                                    .size = wide ? wide->size : 0,
                                    .node_domain = (wide ? wide->node : 0) | trace_cell_domain(cell) << TRACE_NODE_BITS,
                                    .birth = cell->birth};
}

/* Of each cell that is probed or may move up: calls cost more than what they do. */
#define HOT __attribute__((always_inline)) static inline

HOT uint64_t cell_address(const struct trace_table *t, const struct trace_cell *cell) {
        return __builtin_expect(trace_cell_is_wide(cell), 0) ? trace_table_wide_block(t, cell).address
                                                             : cell->key >> TRACE_SIZE_BITS;
}

HOT uint64_t cell_hash(const struct trace_table *t, const struct trace_cell *cell) {
        return trace_table_hash(t, trace_cell_domain(cell), cell_address(t, cell));
}

/* Same address, same key space: the one place that says when two keys are the same. Mostly the first comparison, of the
 * low bits of the address, says that they are not. */
HOT bool cell_is(const struct trace_table *t, const struct trace_cell *cell, unsigned domain, uint64_t address) {
        return ((cell->key ^ address << TRACE_SIZE_BITS) & ~TRACE_SIZE_WIDE) == 0 &&
               trace_key_space(trace_cell_domain(cell)) == trace_key_space(domain) && cell_address(t, cell) == address;
}

static size_t array_bytes(const struct trace_array *a) {
        return a->n_cells * sizeof *a->cells;
}

static struct trace_array array_shape(unsigned log2_homes) {
        struct trace_array a = {.shift = 64 - log2_homes, .n_homes = (size_t)1 << log2_homes};
        a.n_cells = a.n_homes + (a.n_homes < TRACE_TABLE_TAIL ? a.n_homes : TRACE_TABLE_TAIL);
        return a;
}

static int array_open(struct trace_array *a, struct charge *charge, struct keep *keep, unsigned log2_homes) {
        struct trace_array made = array_shape(log2_homes);
        if (!charge_take(charge, array_bytes(&made)))
                return TRACE_TABLE_E_FULL;
        int r = region_open(&made.region, keep, array_bytes(&made), array_bytes(&made));
        if (r) {
                charge_give(charge, array_bytes(&made));
                return r;
        }
        made.cells = (struct trace_cell *)(void *)made.region.memory;
        made.last = &made.cells[made.n_cells - 1];
        *a = made;
        return 0;
}

static void array_close(struct trace_array *a, struct charge *charge) {
        if (!a->cells)
                return;
        region_close(&a->region);
        charge_give(charge, array_bytes(a));
        *a = (struct trace_array){};
}

/* The last cell is never used: probing ends there at the latest, without a look at where it is. */
static bool is_last(const struct trace_array *a, const struct trace_cell *cell) {
        return cell == a->last;
}

#define MINDS_ALL (TRACE_TABLE_MINDS_KEEP | TRACE_TABLE_MINDS_REST)

/* The cell with that key, or the empty one where it belongs: the last one if the run goes as far as that. */
static inline struct trace_cell *array_probe(const struct trace_table *t, const struct trace_array *a, uint64_t hash,
                                             unsigned domain, uint64_t address) {
        struct trace_cell *cell = &a->cells[hash >> a->shift];
        while (cell->key && !cell_is(t, cell, domain, address))
                cell++;
        return cell;
}

/* Backward shift: what follows in the run moves up unless that would bring it before its home.
 * @minds: of the table, a constant here and below: each value has its own code */
HOT void array_erase(const struct trace_table *t, const struct trace_array *a, struct trace_cell *cell,
                     unsigned minds) {
        struct trace_cell *hole = cell;
        for (struct trace_cell *next = hole + 1; next->key; next++) {
                if (&a->cells[cell_hash(t, next) >> a->shift] <= hole) {
                        if (minds & TRACE_TABLE_MINDS_KEEP)
                                region_save(&a->region, hole, sizeof *hole);
                        *hole = *next;
                        hole = next;
                }
        }
        if (minds & TRACE_TABLE_MINDS_KEEP)
                region_save(&a->region, hole, sizeof *hole); /* all of it: place_new() relies on that */
        hole->key = 0;
}

static void set_thresholds(struct trace_table *t) {
        size_t n_homes = t->current.n_homes;
        t->grow_at = n_homes / 32 * 17; /* 16 bytes * 32/17 leave some of the 32 a block for all else */
        t->shrink_at = n_homes > (size_t)1 << TRACE_TABLE_LOG2_MIN ? n_homes / 8 : 0;
}

int trace_table_new(struct charge *charge, struct keep *keep, struct trace_table **tablep) {
        struct trace_table *t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        /* a short read can't be: 16 bytes are below the limit of getrandom(2) */
        if (getrandom(t->seed, sizeof t->seed, 0) != sizeof t->seed) {
                free(t);
                return -ENOMEM;
        }
        t->seed[1] |= 1;
        int r = array_open(&t->current, charge, keep, TRACE_TABLE_LOG2_MIN);
        if (r) {
                free(t);
                return r;
        }
        set_thresholds(t);
        t->epoch = 1;
        t->refs = 1;
        t->charge = charge_ref(charge);
        t->keep = keep;
        trace_table_set_minds(t);
        *tablep = t;
        return 0;
}

static struct kept_array array_keep(const struct trace_array *a) {
        return (struct kept_array){.offset = a->region.offset, .n_homes = a->cells ? a->n_homes : 0};
}

void trace_table_keep(const struct trace_table *t, struct kept_table *kept) {
        *kept = (struct kept_table){.current = array_keep(&t->current),
                                    .old = array_keep(&t->old),
                                    .migrated = t->migrated,
                                    .seed = {t->seed[0], t->seed[1]},
                                    .count = t->count,
                                    .grow_at = t->grow_at,
                                    .shrink_at = t->shrink_at,
                                    .epoch = t->epoch};
        wide_blocks_keep(&t->wide, &kept->wide);
}

static int array_adopt(struct trace_array *a, struct charge *charge, struct keep *keep, const struct kept_array *kept) {
        unsigned log2_homes = (unsigned)__builtin_ctzll(kept->n_homes);
        struct trace_array made = array_shape(log2_homes);
        if (kept->n_homes & (kept->n_homes - 1) || log2_homes < TRACE_TABLE_LOG2_MIN || log2_homes > 40)
                return TRACE_TABLE_E_UNKNOWN;
        int r = region_adopt(&made.region, keep, kept->offset, array_bytes(&made), array_bytes(&made));
        if (r)
                return r;
        charge_force(charge, array_bytes(&made));
        made.cells = (struct trace_cell *)(void *)made.region.memory;
        made.last = &made.cells[made.n_cells - 1];
        *a = made;
        return 0;
}

/* Copies of a migration that did not come to count. The undo log has brought back all else, and where such a copy lies
 * the record's table has an empty cell. */
static void take_out_copies(struct trace_table *t) {
        for (size_t i = 0; i < t->current.n_cells; i++) {
                struct trace_cell *cell = &t->current.cells[i];
                if (cell->key && cell_hash(t, cell) >= t->migrated) {
                        KEEP_BARRIER();
                        cell->key = 0;
                }
        }
}

int trace_table_adopt(struct charge *charge, struct keep *keep, const struct kept_table *kept,
                      struct trace_table **tablep) {
        struct trace_table *t = kept->current.n_homes ? calloc(1, sizeof *t) : NULL;
        if (!t)
                return kept->current.n_homes ? -ENOMEM : TRACE_TABLE_E_UNKNOWN;
        *t = (struct trace_table){.migrated = kept->migrated,
                                  .seed = {kept->seed[0], kept->seed[1]},
                                  .count = kept->count,
                                  .grow_at = kept->grow_at,
                                  .shrink_at = kept->shrink_at,
                                  .epoch = kept->epoch,
                                  .refs = 1,
                                  .charge = charge_ref(charge),
                                  .keep = keep};
        int r = array_adopt(&t->current, charge, keep, &kept->current);
        if (r == 0 && kept->old.n_homes)
                r = array_adopt(&t->old, charge, keep, &kept->old);
        if (r == 0)
                r = wide_blocks_adopt(&t->wide, charge, keep, &kept->wide);
        if (r) {
                trace_table_unref(t);
                return r;
        }
        if (t->old.cells)
                take_out_copies(t);
        trace_table_set_minds(t);
        *tablep = t;
        return 0;
}

struct trace_table *trace_table_ref(struct trace_table *t) {
        t->refs++;
        return t;
}

struct trace_table *trace_table_unref(struct trace_table *t) {
        if (!t || --t->refs > 0)
                return NULL;
        assert(!t->cuts); /* each holds a reference */
        array_close(&t->current, t->charge);
        array_close(&t->old, t->charge);
        wide_blocks_deinit(&t->wide, t->charge);
        charge_unref(t->charge);
        free(t);
        return NULL;
}

static unsigned minds_of(const struct trace_table *t) {
        return (t->keep ? TRACE_TABLE_MINDS_KEEP : 0) | (t->old.cells || t->cuts ? TRACE_TABLE_MINDS_REST : 0);
}

void trace_table_set_minds(struct trace_table *t) {
        t->minds = minds_of(t);
}

/* Begin to move into an array of another size. What is there stays where it is: all hashes are "not migrated". */
static int start_migration(struct trace_table *t, unsigned log2_homes) {
        struct trace_array array;
        int r = array_open(&array, t->charge, t->keep, log2_homes);
        if (r)
                return r;
        t->old = t->current;
        t->current = array;
        t->migrated = 0;
        t->released = 0;
        set_thresholds(t);
        trace_table_set_minds(t);
        return 0;
}

static void release_behind(struct trace_table *t, size_t index) {
        size_t to = index * sizeof(struct trace_cell) / RELEASE_BYTES * RELEASE_BYTES;
        if (to <= t->released)
                return;
        region_discard(&t->old.region, t->released, to);
        t->released = to;
}

/* Cells of the old array behind the border are copies of what is in the current one. */
static size_t first_in_old(const struct trace_table *t) {
        return t->migrated >> t->old.shift;
}

/* What comes next goes to the cells of the current array behind those that have come; no other is written there. */
static void expect_cells(struct trace_table *t, size_t first_old, size_t n_old) {
        size_t last_old = first_old + n_old < t->old.n_homes ? first_old + n_old : t->old.n_homes - 1;
        size_t last = ((uint64_t)last_old << t->old.shift) >> t->current.shift;
        region_expect(&t->current.region, (last + TRACE_TABLE_TAIL) * sizeof *t->current.cells);
}

/* Stops only at an empty cell: then no run crosses the border, and every key with a home before it is behind it. */
bool trace_table_migrate(struct trace_table *t, size_t n_cells) {
        if (!t->old.cells)
                return false;
        size_t first = first_in_old(t), i = first;
        expect_cells(t, first, n_cells);
        for (; i < t->old.n_cells; i++) {
                struct trace_cell *cell = &t->old.cells[i];
                if (cell->key) {
                        struct trace_cell *to = array_probe(t, &t->current, cell_hash(t, cell), trace_cell_domain(cell),
                                                            cell_address(t, cell));
                        assert(!to->key && !is_last(&t->current, to)); /* half full: no run is as long as the tail */
                        /* Not saved: a copy that no commit made count is behind the border of the record, and
                         * trace_table_adopt() takes it out. The original stays: nobody looks behind the border. Of a
                         * wide one that can't be seen when its slot is another's again. */
                        if (__builtin_expect(trace_cell_is_wide(cell), 0))
                                region_save(&t->current.region, to, sizeof *to);
                        *to = *cell;
                        KEEP_BARRIER();
                } else if (i - first >= n_cells && i + 1 < t->old.n_homes) {
                        t->migrated = (uint64_t)(i + 1) << t->old.shift;
                        release_behind(t, i);
                        return true;
                }
        }
        array_close(&t->old, t->charge);
        trace_table_set_minds(t);
        return false;
}

/* Room for one block more. Without charge or memory the array may fill beyond 3/4 in small steps, each of which tries
 * again. */
static bool make_room(struct trace_table *t) {
        if (t->count < t->grow_at || t->old.cells)
                return true;
        if (start_migration(t, 64 - t->current.shift + 1) == 0)
                return true;
        size_t n_homes = t->current.n_homes;
        if (t->grow_at + n_homes / 64 > n_homes - n_homes / 8)
                return false;
        t->grow_at += n_homes / 64;
        return true;
}

static void maybe_shrink(struct trace_table *t) {
        if (t->count >= t->shrink_at || t->old.cells)
                return;
        /* to a half: then it is a quarter full, far from growing again */
        if (start_migration(t, 64 - t->current.shift - 1))
                t->shrink_at /= 2; /* no memory now: try again when there is more to win */
}

/* Of an empty cell the undo log needs to know no more than that: either it was empty at the last commit, and what else
 * is in it means nothing, or array_erase() has made it empty since, and saved all of what it was. */
HOT struct trace_cell *place_new(struct trace_table *t, const struct trace_array *a, struct trace_cell *cell,
                                 uint64_t address, unsigned minds) {
        if (__builtin_expect(is_last(a, cell), 0))
                return NULL;
        if (minds & TRACE_TABLE_MINDS_KEEP)
                region_save(&a->region, cell, sizeof cell->key); /* before growth makes another array the current one */
        /* growth leaves what is there in place: cell stays the right one */
        if (__builtin_expect(t->count >= t->grow_at, 0) && !make_room(t))
                return NULL;
        cell->key = address << TRACE_SIZE_BITS;
        cell->birth = 0;
        t->count++;
        return cell;
}

void trace_table_fill_wide(struct trace_table *t, struct trace_cell *cell, unsigned domain, uint64_t address,
                           uint64_t size, uint32_t node) {
        bool fits = trace_cell_has_room(address, size);
        if (trace_cell_is_wide(cell)) {
                uint32_t index = trace_cell_node(cell);
                if (fits)
                        wide_blocks_put(&t->wide, index);
                else
                        wide_blocks_set(&t->wide, index, address, size, node);
                node = fits ? node : index;
        } else {
                node = wide_blocks_take(&t->wide, address, size, node);
        }
        cell->key = address << TRACE_SIZE_BITS | (fits ? size : TRACE_SIZE_WIDE);
        cell->node_domain = node | domain << TRACE_NODE_BITS;
        cell->birth = t->epoch;
}

static void keep_for_cuts(struct trace_table *t, const struct trace_cell *cell, uint64_t hash) {
        struct trace_block block = trace_table_block(t, cell);
        cut_keep(t, &block, hash);
}

HOT struct trace_cell *place(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address, uint64_t size,
                             unsigned minds) {
        if (minds & TRACE_TABLE_MINDS_REST && __builtin_expect(t->old.cells != NULL, 0))
                trace_table_migrate(t, TRACE_TABLE_STEP);
        if (__builtin_expect(!trace_cell_has_room(address, size), 0) &&
            !wide_blocks_reserve(&t->wide, t->charge, t->keep))
                return NULL;
        const struct trace_array *a = minds & TRACE_TABLE_MINDS_REST ? trace_table_array(t, hash) : &t->current;
        struct trace_cell *cell = array_probe(t, a, hash, domain, address);
        if (!cell->key)
                return place_new(t, a, cell, address, minds);
        if (minds & TRACE_TABLE_MINDS_KEEP)
                region_save(&a->region, cell, sizeof *cell);
        if (minds & TRACE_TABLE_MINDS_REST && cell->birth <= t->newest_cut)
                keep_for_cuts(t, cell, hash);
        return cell;
}

static __attribute__((noinline)) struct trace_cell *place_kept(struct trace_table *t, uint64_t hash, unsigned domain,
                                                               uint64_t address, uint64_t size) {
        return place(t, hash, domain, address, size, TRACE_TABLE_MINDS_KEEP);
}

static __attribute__((noinline)) struct trace_cell *place_changing(struct trace_table *t, uint64_t hash,
                                                                   unsigned domain, uint64_t address, uint64_t size) {
        return place(t, hash, domain, address, size, MINDS_ALL);
}

struct trace_cell *trace_table_place(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address,
                                     uint64_t size) {
        if (t->minds == 0)
                return place(t, hash, domain, address, size, 0);
        if (t->minds == TRACE_TABLE_MINDS_KEEP)
                return place_kept(t, hash, domain, address, size);
        return place_changing(t, hash, domain, address, size);
}

int trace_table_insert(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address, uint64_t size,
                       uint32_t node, struct trace_block *replacedp) {
        struct trace_cell *cell = trace_table_place(t, hash, domain, address, size);
        if (!cell)
                return TRACE_TABLE_E_FULL;
        bool is_new = trace_cell_is_new(cell);
        if (!is_new)
                *replacedp = trace_table_block(t, cell);
        trace_table_fill(t, cell, domain, address, size, node);
        return is_new ? 0 : TRACE_TABLE_REPLACED;
}

HOT void erase(struct trace_table *t, uint64_t hash, const struct trace_cell *cell, unsigned minds) {
        const struct trace_array *a = minds & TRACE_TABLE_MINDS_REST ? trace_table_array(t, hash) : &t->current;
        if (minds & TRACE_TABLE_MINDS_REST && cell->birth <= t->newest_cut)
                keep_for_cuts(t, cell, hash);
        if (__builtin_expect(trace_cell_is_wide(cell), 0))
                wide_blocks_put(&t->wide, trace_cell_node(cell));
        array_erase(t, a, (struct trace_cell *)cell, minds);
        t->count--;
        if (minds & TRACE_TABLE_MINDS_REST && __builtin_expect(t->old.cells != NULL, 0))
                trace_table_migrate(t, TRACE_TABLE_STEP);
        if (__builtin_expect(t->count < t->shrink_at, 0))
                maybe_shrink(t);
}

static __attribute__((noinline)) void erase_kept(struct trace_table *t, uint64_t hash, const struct trace_cell *cell) {
        erase(t, hash, cell, TRACE_TABLE_MINDS_KEEP);
}

static __attribute__((noinline)) void erase_changing(struct trace_table *t, uint64_t hash,
                                                     const struct trace_cell *cell) {
        erase(t, hash, cell, MINDS_ALL);
}

void trace_table_erase(struct trace_table *t, uint64_t hash, const struct trace_cell *cell) {
        if (t->minds == 0)
                erase(t, hash, cell, 0);
        else if (t->minds == TRACE_TABLE_MINDS_KEEP)
                erase_kept(t, hash, cell);
        else
                erase_changing(t, hash, cell);
}

int trace_table_remove(struct trace_table *t, uint64_t hash, unsigned domain, uint64_t address,
                       struct trace_block *removedp) {
        const struct trace_cell *cell = trace_table_find(t, hash, domain, address);
        if (!cell)
                return TRACE_TABLE_E_UNKNOWN;
        *removedp = trace_table_block(t, cell);
        trace_table_erase(t, hash, cell);
        return 0;
}

const struct trace_cell *trace_table_find(const struct trace_table *t, uint64_t hash, unsigned domain,
                                          uint64_t address) {
        const struct trace_cell *cell = array_probe(t, trace_table_array(t, hash), hash, domain, address);
        return cell->key ? cell : NULL;
}

/* Cells with hashes in [from, last] lie from the home of the first to the end of the run that the last home is in. */
static size_t array_scan(const struct trace_table *t, const struct trace_array *a, uint64_t from, uint64_t last,
                         uint32_t birth_max, struct trace_block *blocks, size_t capacity) {
        size_t n = 0, last_home = last >> a->shift;
        for (size_t i = from >> a->shift; i < a->n_cells; i++) {
                const struct trace_cell *cell = &a->cells[i];
                if (!cell->key) {
                        if (i >= last_home)
                                break;
                        continue;
                }
                if (cell->birth > birth_max)
                        continue;
                uint64_t hash = cell_hash(t, cell);
                if (hash < from || hash > last)
                        continue;
                if (n == capacity)
                        return SIZE_MAX;
                blocks[n++] = trace_table_block(t, cell);
        }
        return n;
}

size_t trace_table_scan(const struct trace_table *t, uint64_t from, uint64_t last, uint32_t birth_max,
                        struct trace_block *blocks, size_t capacity) {
        if (!t->old.cells)
                return array_scan(t, &t->current, from, last, birth_max, blocks, capacity);
        size_t n = 0;
        if (from < t->migrated) {
                uint64_t to = last < t->migrated ? last : t->migrated - 1;
                n = array_scan(t, &t->current, from, to, birth_max, blocks, capacity);
                if (n == SIZE_MAX)
                        return n;
        }
        if (last >= t->migrated) {
                uint64_t start = from < t->migrated ? t->migrated : from;
                size_t m = array_scan(t, &t->old, start, last, birth_max, blocks + n, capacity - n);
                if (m == SIZE_MAX)
                        return m;
                n += m;
        }
        return n;
}

/* Of a wide cell: that its slot is that of such a block. */
static bool has_slot(const struct trace_table *t, const struct trace_cell *cell) {
        const struct wide_block *wide = wide_blocks_at(&t->wide, trace_cell_node(cell));
        return wide && wide->address << TRACE_SIZE_BITS == (cell->key & ~TRACE_SIZE_WIDE) &&
               wide->node >> TRACE_NODE_BITS == 0;
}

/* Blocks of an array. @n_widep: wide ones are added. Return: SIZE_MAX: one is where it can't be. */
static size_t array_count(const struct trace_table *t, const struct trace_array *a, size_t *n_widep) {
        size_t n = 0, first = a == &t->old ? first_in_old(t) : 0, run = first; /* run: behind the last empty cell */
        for (size_t i = first; i < a->n_cells; i++) {
                const struct trace_cell *cell = &a->cells[i];
                if (!cell->key) {
                        run = i + 1;
                        continue;
                }
                uint64_t hash = cell_hash(t, cell);
                size_t home = hash >> a->shift;
                if (trace_table_array(t, hash) != a || home < run || home > i || cell->birth < 1 ||
                    cell->birth > t->epoch || is_last(a, cell))
                        return SIZE_MAX;
                if (trace_cell_is_wide(cell)) {
                        if (!has_slot(t, cell))
                                return SIZE_MAX;
                        (*n_widep)++;
                }
                n++;
        }
        return n;
}

bool trace_table_is_sound(const struct trace_table *t) {
        size_t n_wide = 0, n = array_count(t, &t->current, &n_wide);
        size_t n_old = t->old.cells ? array_count(t, &t->old, &n_wide) : 0;
        return n != SIZE_MAX && n_old != SIZE_MAX && n + n_old == t->count && n_wide == t->wide.n_used &&
               wide_blocks_is_sound(&t->wide);
}

static void check_keys(const struct trace_table *t, const struct trace_array *a) {
        for (size_t i = a == &t->old ? first_in_old(t) : 0; i < a->n_cells; i++) {
                const struct trace_cell *cell = &a->cells[i];
                for (size_t j = cell->key ? cell_hash(t, cell) >> a->shift : i; j < i; j++) /* the first of its key */
                        assert(!cell_is(t, &a->cells[j], trace_cell_domain(cell), cell_address(t, cell)));
        }
}

void trace_table_check(const struct trace_table *t) {
        assert(trace_table_is_sound(t));
        check_keys(t, &t->current);
        if (t->old.cells)
                check_keys(t, &t->old);
        for (const struct cut *cut = t->cuts; cut; cut = cut->next) {
                assert(cut->table == t && cut->number < t->epoch);
                assert(!cut->next || cut->next->number < cut->number);
        }
        assert(t->newest_cut == (t->cuts ? t->cuts->number : 0));
        assert(t->minds == minds_of(t));
}

static int array_each(const struct trace_table *t, const struct trace_array *a, size_t first,
                      int (*cb)(void *data, const struct trace_block *block), void *data) {
        int r = 0;
        for (size_t i = first; r == 0 && i < a->n_cells; i++) {
                struct trace_block block = trace_table_block(t, &a->cells[i]);
                if (a->cells[i].key)
                        r = cb(data, &block);
        }
        return r;
}

int trace_table_each(const struct trace_table *t, int (*cb)(void *data, const struct trace_block *block), void *data) {
        int r = array_each(t, &t->current, 0, cb, data);
        return r == 0 && t->old.cells ? array_each(t, &t->old, first_in_old(t), cb, data) : r;
}
