/* SPDX-License-Identifier: Apache-2.0 */

/* Every number of an image, of its snapshots and of its forks against a model that adds up all blocks each time, step
 * by random step. */

#include "daemon/live/image_fork.h"
#include "tests/support/check_main.h"
#include "tests/support/snapshot_depth.h"
#include "tests/unit/live/image_fixture.h"
#include "tests/unit/live/model_random.h"

#include <stdlib.h>
#include <string.h>

#define N_NODES     40
#define N_ADDRESSES 400
#define N_PAGES     64
#define N_MOVES     6
#define N_DOMAINS   4

static const uint8_t domain_of[N_DOMAINS] = {DOMAIN_INDEX_MALLOC, DOMAIN_INDEX_PYTHON, DOMAIN_INDEX_MMAP, 9};

struct model_block {
        bool alive;
        uint64_t size;
        uint32_t node;
        uint8_t domain; /* place in domain_of */
};

struct model_sums {
        uint64_t size[N_DOMAINS][N_NODES], count[N_DOMAINS][N_NODES];
        uint64_t total;
};

static struct model {
        struct model_block blocks[2][N_ADDRESSES]; /* malloc and python; custom */
        struct model_block moves[N_MOVES];
        uint64_t move_position[N_MOVES];
        uint32_t page_piece[N_PAGES]; /* 0: not mapped; else number of the piece */
        uint32_t page_node[N_PAGES];
        uint32_t n_pieces;
        uint64_t allocated_size[N_DOMAINS][N_NODES], allocated_count[N_DOMAINS][N_NODES];
        struct model_sums peak;
} model;

static void sum_block(struct model_sums *sums, const struct model_block *block) {
        if (!block->alive)
                return;
        sums->size[block->domain][block->node] += block->size;
        sums->count[block->domain][block->node]++;
        sums->total += block->size;
}

static void model_sum(struct model_sums *sums) {
        memset(sums, 0, sizeof *sums);
        for (unsigned space = 0; space < 2; space++)
                for (unsigned i = 0; i < N_ADDRESSES; i++)
                        sum_block(sums, &model.blocks[space][i]);
        for (unsigned i = 0; i < N_MOVES; i++)
                sum_block(sums, &model.moves[i]);
        for (unsigned i = 0; i < N_PAGES; i++) {
                if (!model.page_piece[i])
                        continue;
                sums->size[2][model.page_node[i]] += 4096;
                sums->total += 4096;
                sums->count[2][model.page_node[i]] += i == 0 || model.page_piece[i - 1] != model.page_piece[i];
        }
}

static uint64_t address_at(uint64_t i) {
        return 0x600000000000 + 32 * i;
}

static void model_allocated(const struct model_block *block) {
        model.allocated_size[block->domain][block->node] += block->size;
        model.allocated_count[block->domain][block->node]++;
}

static struct model_block random_block(unsigned space) {
        return (struct model_block){.alive = true,
                                    .size = model_below(4) ? model_below(200) : model_below(20000),
                                    .node = (uint32_t)model_below(N_NODES),
                                    .domain = (uint8_t)(space ? 3 : model_below(2))};
}

static void step_alloc_or_free(unsigned percent_allocs) {
        unsigned space = (unsigned)model_below(2);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[space][i];
        if (model_below(100) < percent_allocs) {
                *block = random_block(space);
                model_allocated(block);
                apply(RECORD_ALLOC, domain_of[block->domain], block->node, address_at(i), block->size, 0);
        } else {
                block->alive = false;
                apply(RECORD_FREE, space ? 9 : (unsigned)model_below(2), 0, address_at(i), 0, 0);
        }
}

static void step_relabel(void) {
        unsigned space = (unsigned)model_below(2), domain = (unsigned)model_below(3);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[space][i];
        uint32_t node = (uint32_t)model_below(N_NODES);
        unsigned told = space ? 9 : domain_of[domain % 2];
        apply(RECORD_RELABEL, told, node, address_at(i), 0, 0);
        if (!block->alive || domain_of[block->domain] != told)
                return;
        block->node = node;
        model_allocated(block);
}

static void step_move(void) {
        unsigned m = (unsigned)model_below(N_MOVES);
        uint64_t i = model_below(N_ADDRESSES);
        struct model_block *block = &model.blocks[0][i];
        if (!model.moves[m].alive) {
                for (unsigned other = 0; other < N_MOVES; other++) {
                        if (model.moves[other].alive && model.move_position[other] >> 40 == i)
                                return; /* a child could have only one of them */
                }
                model.moves[m] = *block;
                block->alive = false;
                model.move_position[m] = apply(RECORD_MOVE_OUT, 0, 0, address_at(i), 0, 0);
                model.move_position[m] |= i << 40; /* the address to go back to */
                return;
        }
        uint64_t out = model.move_position[m] & ((UINT64_C(1) << 40) - 1);
        if (model_below(3) == 0) {
                struct model_block *back = &model.blocks[0][model.move_position[m] >> 40];
                if (back->alive)
                        return; /* in a real process nobody else has the address then */
                *back = model.moves[m];
                apply(RECORD_MOVE_BACK, 0, 0, out, 0, 0);
        } else {
                *block = random_block(0);
                model_allocated(block);
                apply(RECORD_MOVE_IN, domain_of[block->domain], block->node, address_at(i), block->size, out);
        }
        model.moves[m].alive = false;
}

/* Cut out pages; what is right of the cut becomes a piece of its own. */
static void model_unmap(unsigned first, unsigned end) {
        for (unsigned i = end;
             i < N_PAGES && first > 0 && model.page_piece[i] && model.page_piece[i] == model.page_piece[first - 1];
             i++) {
                if (i == end)
                        model.n_pieces++;
                model.page_piece[i] = model.n_pieces | 0x80000000;
        }
        for (unsigned i = end; i < N_PAGES && model.page_piece[i] >> 31; i++)
                model.page_piece[i] &= 0x7fffffff;
        for (unsigned i = first; i < end; i++)
                model.page_piece[i] = 0;
}

static void step_map(void) {
        unsigned first = (unsigned)model_below(N_PAGES), end = first + 1 + (unsigned)model_below(N_PAGES - first);
        uint64_t start = 0x700000000000 + 4096 * (uint64_t)first, length = 4096 * (uint64_t)(end - first);
        uint32_t node = (uint32_t)model_below(N_NODES);
        model_unmap(first, end);
        if (model_below(2)) {
                apply(RECORD_UNMAP, 2, 0, start, length, 0);
                return;
        }
        model.n_pieces++;
        for (unsigned i = first; i < end; i++) {
                model.page_piece[i] = model.n_pieces;
                model.page_node[i] = node;
        }
        model.allocated_size[2][node] += length;
        model.allocated_count[2][node]++;
        apply(RECORD_MAP, 2, node, start, length, 0);
}

/* What a snapshot must show. */
struct expectation {
        bool open, peak;
        struct image_snapshot *reading;
        struct model_sums sums;
        uint64_t allocated_size[N_DOMAINS][N_NODES], allocated_count[N_DOMAINS][N_NODES];
};

static struct node_def model_defs[N_NODES];
static struct fake_nodes model_nodes;

static void begin_snapshot(struct expectation *e) {
        e->peak = model_below(2);
        e->open = true;
        if (e->peak)
                e->sums = model.peak;
        else
                model_sum(&e->sums);
        memcpy(e->allocated_size, model.allocated_size, sizeof e->allocated_size);
        memcpy(e->allocated_count, model.allocated_count, sizeof e->allocated_count);
        ck_assert_int_eq(
                image_snapshot_begin(&image, e->peak ? SNAPSHOT_PEAK : SNAPSHOT_LIVE, &model_nodes.source, &e->reading),
                0);
}

static unsigned place_of_domain(uint32_t number) {
        return number == DOMAIN_MALLOC ? 0 : number == DOMAIN_PYTHON ? 1 : number == DOMAIN_MMAP ? 2 : 3;
}

/* The agent's node: its value is in the offset of the newest frame; node 0 has the frame "<unknown>". */
static uint32_t node_of(const struct snapshot *s, const struct snapshot_group *g) {
        const struct snapshot_location *l = &s->locations[s->nodes[g->node].location];
        return l->kind == LOCATION_SOURCE ? 0 : (uint32_t)l->offset;
}

static void check_sizes(const struct snapshot *s, const struct snapshot_group *g) {
        uint64_t size = 0, count = 0;
        for (uint32_t i = 0; i < g->n_sizes; i++) {
                const struct snapshot_size *z = &s->sizes[g->first_size + i];
                ck_assert(i == 0 || z[-1].size < z->size);
                size += z->size * z->count;
                count += z->count;
        }
        ck_assert_uint_eq(size, g->size);
        ck_assert_uint_eq(count, g->count);
}

static void check_snapshot(struct expectation *e, const struct snapshot *s) {
        ck_assert_uint_eq(s->info.size, e->sums.total);
        ck_assert_int_eq(s->info.exact, true);
        ck_assert_int_eq(s->info.sizes_known, !e->peak);
        for (uint32_t i = 0; i < s->n_groups; i++) {
                const struct snapshot_group *g = &s->groups[i];
                unsigned d = place_of_domain(g->domain);
                uint32_t node = node_of(s, g);
                ck_assert_uint_eq(g->size, e->sums.size[d][node]);
                ck_assert_uint_eq(g->count, e->sums.count[d][node]);
                ck_assert_uint_eq(g->total_nframe, snapshot_depth(s, g->node));
                e->sums.size[d][node] = e->sums.count[d][node] = 0; /* each comes once */
                if (e->peak) {
                        ck_assert_uint_eq(g->n_sizes, 0);
                        continue;
                }
                check_sizes(s, g);
                ck_assert_uint_eq(g->allocated_size, e->allocated_size[d][node]);
                ck_assert_uint_eq(g->allocated_count, e->allocated_count[d][node]);
                e->allocated_count[d][node] = 0;
        }
        for (unsigned d = 0; d < N_DOMAINS; d++) {
                for (unsigned node = 0; node < N_NODES; node++) {
                        ck_assert_uint_eq(e->sums.count[d][node], 0);
                        ck_assert(e->peak || e->allocated_count[d][node] == 0);
                }
        }
}

static void step_snapshot(struct expectation *e) {
        if (!e->open) {
                begin_snapshot(e);
                return;
        }
        if (image_snapshot_step(e->reading, 1) == IMAGE_SNAPSHOT_MORE)
                return;
        struct snapshot *snapshot;
        ck_assert_int_eq(snapshot_builder_finish(image_snapshot_finish(e->reading), &snapshot), 0);
        check_snapshot(e, snapshot);
        snapshot_unref(snapshot);
        e->open = false;
}

static void check_against_model(void) {
        struct model_sums now;
        model_sum(&now);
        if (now.total > model.peak.total)
                model.peak = now;
        ck_assert_uint_eq(image.sums->total.live_size, now.total);
        ck_assert_uint_eq(image.sums->total.peak_size, model.peak.total);
}

/* A fork whose child comes later. */
struct fork_expectation {
        bool open;
        uint32_t token;
        struct model_sums sums;
};

static void step_fork(struct fork_expectation *f) {
        static uint32_t token;
        if (!f->open) {
                f->open = true;
                f->token = ++token;
                model_sum(&f->sums);
                for (unsigned m = 0; m < N_MOVES; m++) {
                        const struct model_block *moved = &model.moves[m];
                        if (!moved->alive || !model.blocks[0][model.move_position[m] >> 40].alive)
                                continue;
                        /* the address is another block's: the child does not have it */
                        f->sums.size[moved->domain][moved->node] -= moved->size;
                        f->sums.count[moved->domain][moved->node]--;
                        f->sums.total -= moved->size;
                }
                apply(RECORD_FORK, 0, f->token, 0, 0, 0);
                return;
        }
        struct image child;
        struct image_fork *fork = image_fork_take(&image, f->token);
        ck_assert_ptr_nonnull(fork);
        ck_assert_int_eq(image_init(&child, NULL, 0), 0);
        ck_assert_int_eq(image_fork_begin(&child, fork), 0);
        while (image_fork_step(&child, fork, 1) == IMAGE_FORK_MORE) {
                step_alloc_or_free(50);
                check_against_model();
        }
        image_fork_free(fork);
        image_check(&child);
        ck_assert_uint_eq(child.sums->total.live_size, f->sums.total);
        for (unsigned d = 0; d < N_DOMAINS; d++) {
                for (uint32_t node = 0; node < N_NODES; node++) {
                        const struct node_sums *slot = traceback_sums_slot(child.sums, node, domain_of[d]);
                        ck_assert_uint_eq(slot->live_size, f->sums.size[d][node]);
                        ck_assert_uint_eq(slot->live_count, f->sums.count[d][node]);
                }
        }
        image_deinit(&child);
        f->open = false;
}

START_TEST(image_agrees_with_brute_force)
{
        model_seed("image_agrees_with_brute_force");
        static struct expectation expectations[3];
        static struct fork_expectation forks[2];
        for (uint32_t node = 1; node < N_NODES; node++)
                model_defs[node] = (struct node_def){.parent = (uint32_t)model_below(node), .unit = 1, .value = node};
        model_nodes = fake_nodes(model_defs, N_NODES);
        unsigned percent_allocs = 50;
        for (unsigned step = 0; step < 8000; step++) {
                if (step % 512 == 0)
                        percent_allocs = 20 + 60 * (unsigned)model_below(2);
                unsigned choice = (unsigned)model_below(22);
                if (choice < 14)
                        step_alloc_or_free(percent_allocs);
                else if (choice < 17)
                        step_move();
                else if (choice < 19)
                        step_relabel();
                else
                        step_map();
                check_against_model();
                image_check(&image);
                if (model_below(4) == 0)
                        step_snapshot(&expectations[model_below(3)]);
                if (model_below(40) == 0)
                        step_fork(&forks[model_below(2)]);
                if (model_below(500) == 0) {
                        image_reset_peak(&image);
                        model_sum(&model.peak);
                }
                if (model_below(3000) == 0) {
                        ck_assert_int_eq(image_clear(&image), 0);
                        memset(&model, 0, sizeof model);
                }
        }
        for (unsigned i = 0; i < 3; i++) {
                if (expectations[i].open)
                        image_snapshot_cancel(expectations[i].reading);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/image_model");
        TCase *tcase = check_case("image_model");
        tcase_add_checked_fixture(tcase, open_image, close_image);
        tcase_add_test(tcase, image_agrees_with_brute_force);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
