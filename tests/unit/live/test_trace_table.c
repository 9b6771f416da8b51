/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/live/cut.h"
#include "daemon/live/trace_table.h"
#include "tests/support/check_main.h"
#include "tests/unit/live/model_random.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

static int insert(unsigned domain, uint64_t address, uint64_t size, uint32_t node, struct trace_block *replacedp) {
        return trace_table_insert(table, trace_table_hash(table, domain, address), domain, address, size, node,
                                  replacedp);
}

static int take(unsigned domain, uint64_t address, struct trace_block *removedp) {
        return trace_table_remove(table, trace_table_hash(table, domain, address), domain, address, removedp);
}

/* Return: valid until the next call. */
static const struct trace_block *find(unsigned domain, uint64_t address) {
        static struct trace_block block;
        const struct trace_cell *cell =
                trace_table_find(table, trace_table_hash(table, domain, address), domain, address);
        if (cell)
                block = trace_table_block(table, cell);
        return cell ? &block : NULL;
}

START_TEST(block_is_found_with_what_it_was_inserted_with)
{
        struct trace_block block;
        ck_assert_int_eq(insert(0, 0x7f0000001000, 48, 7, &block), 0);
        const struct trace_block *found = find(0, 0x7f0000001000);
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(found->size, 48);
        ck_assert_uint_eq(trace_block_node(found), 7);
        ck_assert_uint_eq(trace_block_domain(found), 0);
        ck_assert_uint_eq(found->address, 0x7f0000001000);
}
END_TEST

START_TEST(malloc_and_python_share_addresses_and_others_do_not)
{
        struct trace_block block;
        ck_assert_int_eq(insert(1, 0x1000, 1, 1, &block), 0);
        ck_assert_int_eq(insert(2, 0x1000, 2, 2, &block), 0);
        ck_assert_int_eq(insert(3, 0x1000, 3, 3, &block), 0);
        ck_assert_int_eq(insert(0, 0x1000, 4, 4, &block), TRACE_TABLE_REPLACED);
        ck_assert_uint_eq(block.size, 1);
        ck_assert_uint_eq(trace_block_domain(&block), 1);
        ck_assert_int_eq(take(1, 0x1000, &block), 0);
        ck_assert_uint_eq(block.size, 4);
        ck_assert_int_eq(take(0, 0x1000, &block), TRACE_TABLE_E_UNKNOWN);
        ck_assert_uint_eq(table->count, 2);
}
END_TEST

START_TEST(address_zero_and_the_largest_address_are_keys)
{
        struct trace_block block;
        ck_assert_int_eq(insert(5, 0, 1, 0, &block), 0);
        ck_assert_int_eq(insert(5, INT64_MAX, 2, (1 << TRACE_NODE_BITS) - 1, &block), 0);
        ck_assert_int_eq(take(5, INT64_MAX, &block), 0);
        ck_assert_uint_eq(trace_block_node(&block), (1 << TRACE_NODE_BITS) - 1);
        ck_assert_int_eq(take(5, 0, &block), 0);
}
END_TEST

START_TEST(wide_blocks_change_places_with_narrow_ones)
{
        const uint64_t narrow = TRACE_SIZE_WIDE - 1, wide = TRACE_SIZE_WIDE, huge = INT64_MAX;
        const uint64_t sizes[] = {narrow, wide, huge, narrow, huge, wide, narrow};
        struct trace_block block;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                ck_assert_int_eq(insert(0, 4096, sizes[i], (uint32_t)i, &block), i ? TRACE_TABLE_REPLACED : 0);
                if (i)
                        ck_assert_uint_eq(block.size, sizes[i - 1]);
                ck_assert_uint_eq(find(1, 4096)->size, sizes[i]);
                ck_assert_uint_eq(trace_block_node(find(0, 4096)), i);
                ck_assert_uint_eq(table->wide.n_used, sizes[i] >= wide);
                trace_table_check(table);
        }
        ck_assert_uint_eq(table->wide.n, 2); /* one slot, again and again */
}
END_TEST

START_TEST(addresses_that_differ_above_user_space_are_different_keys)
{
        struct trace_block block;
        const uint64_t low = 0x1000, high = low | UINT64_C(1) << TRACE_ADDRESS_BITS;
        ck_assert_int_eq(insert(3, high, 1, 1, &block), 0);
        ck_assert_ptr_null(find(3, low));
        ck_assert_int_eq(insert(3, low, 2, 2, &block), 0);
        ck_assert_int_eq(insert(3, low, TRACE_SIZE_WIDE, 3, &block), TRACE_TABLE_REPLACED);
        ck_assert_uint_eq(block.size, 2);
        ck_assert_uint_eq(find(3, high)->size, 1);
        ck_assert_int_eq(take(3, high, &block), 0);
        ck_assert_uint_eq(block.address, high);
        ck_assert_uint_eq(find(3, low)->size, TRACE_SIZE_WIDE);
}
END_TEST

START_TEST(full_charge_refuses_a_wide_block_and_takes_a_narrow_one)
{
        struct trace_block block;
        charge->limit = charge->used;
        ck_assert_int_eq(insert(0, 4096, TRACE_SIZE_WIDE, 1, &block), TRACE_TABLE_E_FULL);
        ck_assert_ptr_null(find(0, 4096));
        ck_assert_int_eq(insert(0, 4096, 1, 1, &block), 0);
        ck_assert_int_eq(insert(0, 4096, TRACE_SIZE_WIDE, 1, &block), TRACE_TABLE_E_FULL);
        ck_assert_uint_eq(find(0, 4096)->size, 1);
        charge->limit = UINT64_MAX;
        uint64_t n = 0, last = 0;
        for (; n < 1000 && insert(0, 8192 + n, TRACE_SIZE_WIDE + n, 1, &block) == 0; n++) {
                if (n == 200)
                        charge->limit = charge->used; /* until the slots that there are have gone */
                last = 8192 + n;
        }
        ck_assert_uint_eq(n, table->wide.capacity - 1);
        ck_assert_uint_eq(find(0, last)->size, TRACE_SIZE_WIDE + n - 1);
        trace_table_check(table);
}
END_TEST

START_TEST(full_charge_refuses_new_blocks_and_keeps_the_old_ones)
{
        struct trace_block block;
        ck_assert_int_eq(insert(0, 0, 0, 0, &block), 0); /* a wide one: that has its slot before */
        charge->limit = charge->used;
        uint64_t n = 1;
        while (insert(0, 16 * n, n, 0, &block) == 0)
                n++;
        trace_table_check(table);
        ck_assert_uint_eq(n, table->count);
        ck_assert_uint_ge(n, (1 << TRACE_TABLE_LOG2_MIN) * 25 / 32); /* beyond 17/32 */
        ck_assert_int_eq(insert(0, 16 * n, 1, 0, &block), TRACE_TABLE_E_FULL);
        ck_assert_int_eq(insert(0, 0, 77, 0, &block), TRACE_TABLE_REPLACED);
        for (uint64_t i = 1; i < n; i++)
                ck_assert_uint_eq(find(0, 16 * i)->size, i);
        charge->limit = UINT64_MAX;
        ck_assert_int_eq(insert(0, 16 * n, 1, 0, &block), 0);
}
END_TEST

START_TEST(at_its_fullest_a_block_costs_32_bytes)
{
        struct trace_block block;
        const uint64_t n = 17 << 15; /* 17/32 of 2**20 */
        for (uint64_t i = 0; i < n; i++)
                ck_assert_int_eq(insert(0, 0x7f0000000000 + 32 * i, 8, 1, &block), 0);
        while (trace_table_migrate(table, 4096))
                ;
        ck_assert_uint_eq(table->current.n_homes, 1 << 20);
        ck_assert_uint_le(charge->used, 32 * n);
}
END_TEST

START_TEST(emptied_table_gives_its_memory_back)
{
        struct trace_block block;
        uint64_t small = charge->used;
        for (uint64_t i = 0; i < 100000; i++)
                ck_assert_int_eq(insert(0, 16 * i, 8, 1, &block), 0);
        for (uint64_t i = 0; i < 100000; i++)
                ck_assert_int_eq(take(0, 16 * i, &block), 0);
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
        uint64_t size; /* 0: absent; sizes are serial numbers, so that hardly two blocks are the same */
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

/* The second half lies where no cell has room for it, at the same low bits. */
static uint64_t address_of(uint64_t i) {
        return i < UNIVERSE / 2 ? 0x555500000000 + 16 * i
                                : address_of(i - UNIVERSE / 2) | UINT64_C(1) << TRACE_ADDRESS_BITS;
}

static uint64_t index_of(uint64_t address) {
        uint64_t high = address >> TRACE_ADDRESS_BITS;
        return ((address & ~(high << TRACE_ADDRESS_BITS)) - address_of(0)) / 16 + high * UNIVERSE / 2;
}

/* Around the border of what a cell has room for. */
static uint64_t next_size(void) {
        serial++;
        return model_below(2) ? serial : TRACE_SIZE_WIDE - 5000 + serial;
}

static void step_block(unsigned percent_inserts) {
        unsigned space = (unsigned)model_below(N_SPACES);
        uint64_t i = model_below(UNIVERSE);
        struct model_block *block = &model[space][i];
        unsigned domain = domains_of_space[space][model_below(2)];
        struct trace_block had;
        if (model_below(100) < percent_inserts) {
                struct model_block made = {.size = next_size(),
                                           .node = (uint32_t)model_below(1 << TRACE_NODE_BITS),
                                           .domain = (uint8_t)domain};
                int r = insert(domain, address_of(i), made.size, made.node, &had);
                ck_assert_int_eq(r, block->size ? TRACE_TABLE_REPLACED : 0);
                if (r)
                        ck_assert_uint_eq(had.size, block->size);
                *block = made;
        } else {
                int r = take(domain, address_of(i), &had);
                ck_assert_int_eq(r, block->size ? 0 : TRACE_TABLE_E_UNKNOWN);
                if (r == 0)
                        ck_assert_uint_eq(had.size, block->size);
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

static void expect_block(struct model_cut *cut, const struct trace_block *block) {
        unsigned domain = trace_block_domain(block), space = domain < 2 ? 0 : domain == 2 ? 1 : 2;
        uint64_t i = index_of(block->address);
        ck_assert_uint_lt(i, UNIVERSE);
        struct model_block *expected = &cut->expected[space][i];
        ck_assert_uint_eq(expected->size, block->size);
        ck_assert_uint_eq(expected->node, trace_block_node(block));
        ck_assert_uint_eq(expected->domain, domain);
        expected->size = 0; /* each comes once */
        cut->n_read++;
}

static void step_cut(struct model_cut *cut) {
        if (!cut->open) {
                open_cut(cut);
                return;
        }
        struct trace_block blocks[2 * CUT_READ_MIN];
        size_t n, capacity = CUT_READ_MIN + model_below(CUT_READ_MIN);
        int r = cut_read(&cut->cut, blocks, capacity, &n);
        if (r == CUT_END || model_below(64) == 0) {
                if (r == CUT_END)
                        ck_assert_uint_eq(cut->n_read, cut->n_expected);
                cut_close(&cut->cut);
                cut->open = false;
                return;
        }
        ck_assert_int_eq(r, 0);
        for (size_t i = 0; i < n; i++)
                expect_block(cut, &blocks[i]);
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
                        const struct trace_block *block = find(domains_of_space[space][0], address_of(i));
                        ck_assert_uint_eq(block ? block->size : 0, model[space][i].size);
                        n += block != NULL;
                }
        }
        ck_assert_uint_eq(n, table->count);
}
END_TEST

START_TEST(cut_outlives_the_table_of_its_image)
{
        struct trace_block block, blocks[CUT_READ_MIN];
        struct cut cut;
        ck_assert_int_eq(insert(0, 16, 1, 1, &block), 0);
        ck_assert_int_eq(cut_open(&cut, table), 0);
        struct trace_table *old = table;
        ck_assert_int_eq(trace_table_new(charge, NULL, &table), 0);
        trace_table_unref(old);
        size_t n = 0, total = 0;
        while (cut_read(&cut, blocks, CUT_READ_MIN, &n) == 0)
                total += n;
        ck_assert_uint_eq(total, 1);
        cut_close(&cut);
}
END_TEST

START_TEST(cut_without_memory_for_its_side_list_breaks_and_the_table_lives)
{
        struct trace_block block, blocks[CUT_READ_MIN];
        struct cut cut;
        for (uint64_t i = 0; i < 200; i++)
                ck_assert_int_eq(insert(0, 16 * i, 1, 1, &block), 0);
        ck_assert_int_eq(cut_open(&cut, table), 0);
        charge->limit = charge->used;
        ck_assert_int_eq(take(0, 16, &block), 0);
        size_t n;
        ck_assert_int_eq(cut_read(&cut, blocks, CUT_READ_MIN, &n), CUT_E_BROKEN);
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
        tcase_add_test(tcase, wide_blocks_change_places_with_narrow_ones);
        tcase_add_test(tcase, addresses_that_differ_above_user_space_are_different_keys);
        tcase_add_test(tcase, full_charge_refuses_a_wide_block_and_takes_a_narrow_one);
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
