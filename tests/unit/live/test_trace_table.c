/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/cut.h"
#include "daemon/live/trace_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/live/model_random.h"
#include "tests/support/check_main.h"

static struct charge *charge;
static struct trace_table *table;

static void open_table(void) {
        charge = charge_new(UINT64_MAX);
        ck_assert_int_eq(trace_table_new(charge, NULL, &table), 0);
}

static void close_table(void) {
        table = trace_table_unref(table);
        ck_assert_uint_eq(charge->used, 0);
        charge_unref(charge);
}

static int insert(unsigned domain, uint64_t address, uint64_t size, uint32_t node, struct trace_cell *replacedp) {
        return trace_table_insert(table, trace_table_hash(table, domain, address), domain, address, size, node,
                                  replacedp);
}

static int take(unsigned domain, uint64_t address, struct trace_cell *removedp) {
        return trace_table_remove(table, trace_table_hash(table, domain, address), domain, address, removedp);
}

static const struct trace_cell *find(unsigned domain, uint64_t address) {
        return trace_table_find(table, trace_table_hash(table, domain, address), domain, address);
}

START_TEST(block_is_found_with_what_it_was_inserted_with)
{
        struct trace_cell cell;
        ck_assert_int_eq(insert(0, 0x7f0000001000, 48, 7, &cell), 0);
        const struct trace_cell *found = find(0, 0x7f0000001000);
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(found->size, 48);
        ck_assert_uint_eq(trace_cell_node(found), 7);
        ck_assert_uint_eq(trace_cell_domain(found), 0);
        ck_assert_uint_eq(trace_cell_address(found), 0x7f0000001000);
}
END_TEST

START_TEST(malloc_and_python_share_addresses_and_others_do_not)
{
        struct trace_cell cell;
        ck_assert_int_eq(insert(1, 0x1000, 1, 1, &cell), 0);
        ck_assert_int_eq(insert(2, 0x1000, 2, 2, &cell), 0);
        ck_assert_int_eq(insert(3, 0x1000, 3, 3, &cell), 0);
        ck_assert_int_eq(insert(0, 0x1000, 4, 4, &cell), TRACE_TABLE_REPLACED);
        ck_assert_uint_eq(cell.size, 1);
        ck_assert_uint_eq(trace_cell_domain(&cell), 1);
        ck_assert_int_eq(take(1, 0x1000, &cell), 0);
        ck_assert_uint_eq(cell.size, 4);
        ck_assert_int_eq(take(0, 0x1000, &cell), TRACE_TABLE_E_UNKNOWN);
        ck_assert_uint_eq(table->count, 2);
}
END_TEST

START_TEST(address_zero_and_the_largest_address_are_keys)
{
        struct trace_cell cell;
        ck_assert_int_eq(insert(5, 0, 1, 0, &cell), 0);
        ck_assert_int_eq(insert(5, INT64_MAX, 2, (1 << TRACE_NODE_BITS) - 1, &cell), 0);
        ck_assert_int_eq(take(5, INT64_MAX, &cell), 0);
        ck_assert_uint_eq(trace_cell_node(&cell), (1 << TRACE_NODE_BITS) - 1);
        ck_assert_int_eq(take(5, 0, &cell), 0);
}
END_TEST

START_TEST(full_charge_refuses_new_blocks_and_keeps_the_old_ones)
{
        struct trace_cell cell;
        charge->limit = charge->used;
        uint64_t n = 0;
        while (insert(0, 16 * n, n, 0, &cell) == 0)
                n++;
        trace_table_check(table);
        ck_assert_uint_eq(n, table->count);
        ck_assert_uint_ge(n, (1 << TRACE_TABLE_LOG2_MIN) * 25 / 32);
        ck_assert_int_eq(insert(0, 16 * n, 1, 0, &cell), TRACE_TABLE_E_FULL);
        ck_assert_int_eq(insert(0, 0, 77, 0, &cell), TRACE_TABLE_REPLACED);
        for (uint64_t i = 1; i < n; i++)
                ck_assert_uint_eq(find(0, 16 * i)->size, i);
        charge->limit = UINT64_MAX;
        ck_assert_int_eq(insert(0, 16 * n, 1, 0, &cell), 0);
}
END_TEST

START_TEST(at_its_fullest_a_block_costs_32_bytes)
{
        struct trace_cell cell;
        const uint64_t n = 25 << 15; /* 25/32 of 2**20 */
        for (uint64_t i = 0; i < n; i++)
                ck_assert_int_eq(insert(0, 0x7f0000000000 + 32 * i, 8, 1, &cell), 0);
        while (trace_table_migrate(table, 4096))
                ;
        ck_assert_uint_eq(table->current.n_homes, 1 << 20);
        ck_assert_uint_le(charge->used, 32 * n);
}
END_TEST

START_TEST(emptied_table_gives_its_memory_back)
{
        struct trace_cell cell;
        uint64_t small = charge->used;
        for (uint64_t i = 0; i < 100000; i++)
                ck_assert_int_eq(insert(0, 16 * i, 8, 1, &cell), 0);
        for (uint64_t i = 0; i < 100000; i++)
                ck_assert_int_eq(take(0, 16 * i, &cell), 0);
        while (trace_table_migrate(table, 4096))
                ;
        trace_table_check(table);
        ck_assert_uint_le(charge->used, 4 * small);
}
END_TEST

/* ---- model ---- */

#define UNIVERSE 6000
#define N_SPACES 3
#define N_CUTS   4

struct model_block {
        uint64_t size; /* 0: absent; sizes are serial numbers, so each block ever is another one */
        uint32_t node;
        uint8_t domain;
};

static struct model_block model[N_SPACES][UNIVERSE];
static uint64_t serial;

struct model_cut {
        bool open;
        struct cut cut;
        struct model_block expected[N_SPACES][UNIVERSE];
        uint64_t n_expected, n_read;
};

static struct model_cut cuts[N_CUTS];
static const uint8_t domains_of_space[N_SPACES][2] = {{0, 1}, {2, 2}, {9, 9}};

static uint64_t address_of(uint64_t i) {
        return 0x555500000000 + 16 * i;
}

static void step_block(unsigned percent_inserts) {
        unsigned space = (unsigned)model_below(N_SPACES);
        uint64_t i = model_below(UNIVERSE);
        struct model_block *block = &model[space][i];
        unsigned domain = domains_of_space[space][model_below(2)];
        struct trace_cell cell;
        if (model_below(100) < percent_inserts) {
                struct model_block made = {.size = ++serial,
                                           .node = (uint32_t)model_below(1 << TRACE_NODE_BITS),
                                           .domain = (uint8_t)domain};
                int r = insert(domain, address_of(i), made.size, made.node, &cell);
                ck_assert_int_eq(r, block->size ? TRACE_TABLE_REPLACED : 0);
                if (r)
                        ck_assert_uint_eq(cell.size, block->size);
                *block = made;
        } else {
                int r = take(domain, address_of(i), &cell);
                ck_assert_int_eq(r, block->size ? 0 : TRACE_TABLE_E_UNKNOWN);
                if (r == 0)
                        ck_assert_uint_eq(cell.size, block->size);
                *block = (struct model_block){};
        }
}

static void open_cut(struct model_cut *cut) {
        ck_assert_int_eq(cut_open(&cut->cut, table), 0);
        memcpy(cut->expected, model, sizeof model);
        cut->open = true;
        cut->n_expected = table->count;
        cut->n_read = 0;
}

static void expect_cell(struct model_cut *cut, const struct trace_cell *cell) {
        unsigned domain = trace_cell_domain(cell), space = domain < 2 ? 0 : domain == 2 ? 1 : 2;
        uint64_t i = (trace_cell_address(cell) - address_of(0)) / 16;
        ck_assert_uint_lt(i, UNIVERSE);
        struct model_block *block = &cut->expected[space][i];
        ck_assert_uint_eq(block->size, cell->size);
        ck_assert_uint_eq(block->node, trace_cell_node(cell));
        ck_assert_uint_eq(block->domain, domain);
        block->size = 0; /* each comes once */
        cut->n_read++;
}

static void step_cut(struct model_cut *cut) {
        if (!cut->open) {
                open_cut(cut);
                return;
        }
        struct trace_cell cells[2 * CUT_READ_MIN];
        size_t n, capacity = CUT_READ_MIN + model_below(CUT_READ_MIN);
        int r = cut_read(&cut->cut, cells, capacity, &n);
        if (r == CUT_END || model_below(64) == 0) {
                if (r == CUT_END)
                        ck_assert_uint_eq(cut->n_read, cut->n_expected);
                cut_close(&cut->cut);
                cut->open = false;
                return;
        }
        ck_assert_int_eq(r, 0);
        for (size_t i = 0; i < n; i++)
                expect_cell(cut, &cells[i]);
}

START_TEST(table_and_cuts_agree_with_a_naive_model)
{
        model_seed("table_and_cuts_agree_with_a_naive_model");
        unsigned percent_inserts = 80;
        for (unsigned step = 0; step < 40000; step++) {
                if (step % 8192 == 0)
                        percent_inserts = model_below(2) ? 85 : 6;
                step_block(percent_inserts);
                if (model_below(16) == 0)
                        step_cut(&cuts[model_below(N_CUTS)]);
                if (model_below(4096) == 0)
                        trace_table_migrate(table, model_below(2000));
                if (step < 2000 || step % 256 == 0)
                        trace_table_check(table);
        }
        for (unsigned i = 0; i < N_CUTS; i++) {
                while (cuts[i].open)
                        step_cut(&cuts[i]);
        }
        uint64_t n = 0;
        for (unsigned space = 0; space < N_SPACES; space++) {
                for (uint64_t i = 0; i < UNIVERSE; i++) {
                        const struct trace_cell *cell = find(domains_of_space[space][0], address_of(i));
                        ck_assert_uint_eq(cell ? cell->size : 0, model[space][i].size);
                        n += cell != NULL;
                }
        }
        ck_assert_uint_eq(n, table->count);
}
END_TEST

START_TEST(cut_outlives_the_table_of_its_image)
{
        struct trace_cell cell, cells[CUT_READ_MIN];
        struct cut cut;
        ck_assert_int_eq(insert(0, 16, 1, 1, &cell), 0);
        ck_assert_int_eq(cut_open(&cut, table), 0);
        struct trace_table *old = table;
        ck_assert_int_eq(trace_table_new(charge, NULL, &table), 0);
        trace_table_unref(old);
        size_t n = 0, total = 0;
        while (cut_read(&cut, cells, CUT_READ_MIN, &n) == 0)
                total += n;
        ck_assert_uint_eq(total, 1);
        cut_close(&cut);
}
END_TEST

START_TEST(cut_without_memory_for_its_side_list_breaks_and_the_table_lives)
{
        struct trace_cell cell, cells[CUT_READ_MIN];
        struct cut cut;
        for (uint64_t i = 0; i < 200; i++)
                ck_assert_int_eq(insert(0, 16 * i, 1, 1, &cell), 0);
        ck_assert_int_eq(cut_open(&cut, table), 0);
        charge->limit = charge->used;
        ck_assert_int_eq(take(0, 16, &cell), 0);
        size_t n;
        ck_assert_int_eq(cut_read(&cut, cells, CUT_READ_MIN, &n), CUT_E_BROKEN);
        cut_close(&cut);
        trace_table_check(table);
}
END_TEST

START_TEST(more_cuts_than_births_can_count_are_refused)
{
        struct cut cut;
        table->epoch = UINT32_MAX;
        ck_assert_int_eq(cut_open(&cut, table), CUT_E_FULL);
}
END_TEST

START_TEST(no_charge_for_even_the_first_cells_is_refused)
{
        struct charge *small = charge_new(1000);
        struct trace_table *other;
        ck_assert_int_eq(trace_table_new(small, NULL, &other), TRACE_TABLE_E_FULL);
        ck_assert_uint_eq(small->used, 0);
        charge_unref(small);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("live/trace_table");
        TCase *tcase = check_case("trace_table");
        tcase_add_checked_fixture(tcase, open_table, close_table);
        tcase_add_test(tcase, block_is_found_with_what_it_was_inserted_with);
        tcase_add_test(tcase, malloc_and_python_share_addresses_and_others_do_not);
        tcase_add_test(tcase, address_zero_and_the_largest_address_are_keys);
        tcase_add_test(tcase, full_charge_refuses_new_blocks_and_keeps_the_old_ones);
        tcase_add_test(tcase, at_its_fullest_a_block_costs_32_bytes);
        tcase_add_test(tcase, emptied_table_gives_its_memory_back);
        tcase_add_test(tcase, table_and_cuts_agree_with_a_naive_model);
        tcase_add_test(tcase, cut_outlives_the_table_of_its_image);
        tcase_add_test(tcase, cut_without_memory_for_its_side_list_breaks_and_the_table_lives);
        tcase_add_test(tcase, more_cuts_than_births_can_count_are_refused);
        tcase_add_test(tcase, no_charge_for_even_the_first_cells_is_refused);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
