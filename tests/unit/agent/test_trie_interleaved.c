/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The traceback trie and the nodes that it names, agent/trie and agent/definitions_writer as they are, in every order
 * that the scheduler of tests/support/interleave.h finds: threads that intern stacks, so that tables of four entries
 * grow several times, while another forgets a module, and threads and processes that stop at any access. In each
 * schedule:
 *
 *   - what is found is the node of that parent and that key, and it was written before;
 *   - each thread comes to its end whatever the others do, also where they stop for ever;
 *   - what was forgotten is not found any more, once all have come to their ends;
 *   - a child of fork, which has the parent's memory and none of its threads, interns on like that.
 *
 * That these can fail is seen by mistakes that are planted, one of which we once made.
 */

#include "agent/definitions_writer.h"
#include "agent/trie.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>

#define N_NODES      512
#define N_KEYS       6
#define TABLES_MAX   64
#define TABLE_HEADER 64 /* of struct trie_table: what lies before its entries */
#define OUTER        UINT64_C(0x1000)
#define INNER        UINT64_C(0x5000)
#define MODULE       UINT64_C(0x9000)
#define MODULE_KEYS  3

static struct trie trie, child;
static struct definitions definitions;
static _Alignas(4096) char memory[DEFINITIONS_HEADER_BYTES + N_NODES * sizeof(struct node_def) + 64];
static struct {
        void *memory;
        size_t length;
} tables[TABLES_MAX];
static unsigned n_tables;
static struct worker { unsigned id, n_stacks; } workers[3];
static bool forgot, is_fork_test, forked, gives_back_old_tables;

void *interleave_memory(size_t length) {
        if (n_tables == TABLES_MAX)
                return NULL;
        tables[n_tables].length = length;
        return tables[n_tables++].memory = calloc(1, length);
}

/* ---- threads ---- */

static void check_node(uint32_t node, uint32_t parent, uint64_t key) {
        struct node_def def = *(volatile struct node_def *)&definitions.nodes[node];
        if (def.value == 0)
                interleave_fail("node %u was found before it was written", node);
        else if (def.parent != parent || def.value != key)
                interleave_fail("node %u of (%u, %llx) was found for (%u, %llx)", node, def.parent,
                                (unsigned long long)def.value, parent, (unsigned long long)key);
}

static uint32_t intern(struct trie *t, uint32_t parent, uint64_t key) {
        uint32_t node = trie_find(t, parent, key);
        if (node) {
                check_node(node, parent, key);
                return node;
        }
        node = definitions_add_node(&definitions, parent, 0, key);
        if (node == 0)
                interleave_fail("more nodes than stacks");
        trie_insert(t, parent, key, node);
        return node;
}

static void intern_stacks(struct trie *t, const struct worker *self) {
        for (unsigned i = 0; i < self->n_stacks; i++) {
                uint32_t outer = intern(t, 0, OUTER + (self->id + i) % N_KEYS);
                intern(t, outer, INNER + i % N_KEYS);
        }
}

static void work(void *argument) {
        intern_stacks(&trie, argument);
}

static void work_in_child(void *argument) {
        intern_stacks(&child, argument);
}

static void forget_module(void *argument) {
        trie_forget(&trie, MODULE, MODULE + MODULE_KEYS);
        forgot = true;
}

/* ---- a schedule ---- */

static void free_tables(void) {
        while (n_tables > 0)
                free(tables[--n_tables].memory);
}

/* @apart: each thread is killed alone */
static void set_up(unsigned n_workers, unsigned n_stacks, bool forgets, bool apart) {
        free_tables();
        memset(memory, 0, sizeof memory);
        definitions_init(&definitions, memory, N_NODES, 64);
        forgot = forked = false;
        if (trie_init(&trie) != 0)
                interleave_fail("no memory");
        for (unsigned i = 0; forgets && i < MODULE_KEYS; i++)
                intern(&trie, 0, MODULE + i);
        for (unsigned i = 0; i < n_workers; i++) {
                workers[i] = (struct worker){.id = i, .n_stacks = n_stacks};
                interleave_spawn(work, &workers[i], apart ? i : 0);
        }
        if (forgets)
                interleave_spawn(forget_module, NULL, apart ? n_workers : 0);
}

/* What a child of fork finds: the parent's memory as it was when its threads stopped. */
static void on_kill(unsigned group) {
        if (!is_fork_test || forked)
                return;
        forked = true;
        trie_share(&child, &trie);
        for (unsigned i = 0; i < 2; i++) {
                workers[i] = (struct worker){.id = i, .n_stacks = workers[0].n_stacks};
                interleave_spawn(work_in_child, &workers[i], 1);
        }
}

static void check_forgotten(struct trie *t) {
        for (unsigned i = 0; i < MODULE_KEYS; i++)
                if (trie_find(t, 0, MODULE + i) != 0)
                        interleave_fail("a forgotten key is found");
}

/* What is in the end found is right, too. */
static void check_all(struct trie *t) {
        for (uint32_t outer = 0; outer < N_NODES; outer++) {
                for (unsigned i = 0; i < N_KEYS; i++) {
                        uint64_t key = (outer == 0 ? OUTER : INNER) + i;
                        uint32_t node = trie_find(t, outer, key);
                        if (node)
                                check_node(node, outer, key);
                }
        }
}

/* A mistake of ours, once: the pages of the old table given back while others may have it. */
static void on_store(volatile void *address, uint64_t old) {
        if (!gives_back_old_tables || address != (volatile void *)&trie.table)
                return;
        for (unsigned i = 0; i < n_tables; i++)
                if ((uint64_t)(uintptr_t)tables[i].memory == old)
                        memset((char *)tables[i].memory + TABLE_HEADER, 0, tables[i].length - TABLE_HEADER);
}

static void run(struct interleave_search *search, unsigned n_workers, unsigned n_stacks, bool forgets) {
        bool apart = !is_fork_test;
        search->killed = on_kill;
        search->stored = on_store;
        while (interleave_next(search)) {
                set_up(n_workers, n_stacks, forgets, apart);
                interleave_run(search);
                check_all(&trie);
                if (search->kills == 0 && forgets)
                        check_forgotten(&trie);
                if (forked) {
                        check_all(&child);
                        if (forgot)
                                check_forgotten(&child);
                }
        }
        free_tables();
}

static void expect_none(struct interleave_search *search, unsigned n_workers, unsigned n_stacks, bool forgets) {
        run(search, n_workers, n_stacks, forgets);
        ck_assert_msg(!search->failure[0], "%s", search->failure);
        ck_assert(!search->exhaustive || search->complete);
        printf("# %llu schedules\n", (unsigned long long)search->n_done);
}

static void expect_found(struct interleave_search *search, unsigned n_workers, unsigned n_stacks) {
        run(search, n_workers, n_stacks, false);
        ck_assert_msg(search->failure[0], "not found in %llu schedules", (unsigned long long)search->n_done);
        printf("# found: %s\n", search->failure);
}

/* ---- tests ---- */

#define N_RANDOM 5000

START_TEST(two_threads_in_every_order_of_two_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2, .delays = 1};
        expect_none(&search, 2, 1, false);
}
END_TEST

START_TEST(tables_grow_in_every_order_of_two_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2};
        expect_none(&search, 2, 2, false);
}
END_TEST

START_TEST(a_module_is_forgotten_in_every_order_of_two_switches)
{
        struct interleave_search search = {.exhaustive = true, .switches = 2};
        expect_none(&search, 1, 2, true);
}
END_TEST

START_TEST(a_thread_stops_for_ever_at_every_step)
{
        struct interleave_search search = {.exhaustive = true, .switches = 1, .killable = 3, .kills = 1};
        expect_none(&search, 2, 2, false);
}
END_TEST

START_TEST(a_process_forks_at_every_step)
{
        struct interleave_search search = {.exhaustive = true, .switches = 1, .killable = 1, .kills = 1};
        is_fork_test = true;
        expect_none(&search, 1, 1, true);
}
END_TEST

START_TEST(three_threads_and_one_that_forgets_in_thousands_of_orders)
{
        struct interleave_search search = {.seed = 1, .n_schedules = N_RANDOM};
        expect_none(&search, 3, 8, true);
}
END_TEST

START_TEST(threads_stop_for_ever_in_thousands_of_orders)
{
        struct interleave_search search = {.seed = 1, .n_schedules = N_RANDOM, .killable = 7, .kills = 2};
        expect_none(&search, 3, 8, true);
}
END_TEST

START_TEST(processes_fork_in_thousands_of_orders)
{
        struct interleave_search search = {.seed = 1, .n_schedules = N_RANDOM, .killable = 1, .kills = 1};
        is_fork_test = true;
        expect_none(&search, 3, 8, true);
}
END_TEST

START_TEST(an_old_table_that_is_given_back_is_found)
{
        struct interleave_search search = {.seed = 1, .n_schedules = 40 * N_RANDOM};
        gives_back_old_tables = true;
        expect_found(&search, 3, 12);
}
END_TEST

START_TEST(a_slot_that_is_claimed_by_two_is_found)
{
        struct interleave_search search = {.seed = 1, .n_schedules = N_RANDOM, .plant = INTERLEAVE_PLANT_CAS};
        expect_found(&search, 3, 8);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("trie_interleaved");
        TCase *all = check_long_case(suite, "all"), *some = check_long_case(suite, "some"),
              *planted = check_long_case(suite, "planted");
        tcase_add_test(all, two_threads_in_every_order_of_two_switches);
        tcase_add_test(all, tables_grow_in_every_order_of_two_switches);
        tcase_add_test(all, a_module_is_forgotten_in_every_order_of_two_switches);
        tcase_add_test(all, a_thread_stops_for_ever_at_every_step);
        tcase_add_test(all, a_process_forks_at_every_step);
        tcase_add_test(some, three_threads_and_one_that_forgets_in_thousands_of_orders);
        tcase_add_test(some, threads_stop_for_ever_in_thousands_of_orders);
        tcase_add_test(some, processes_fork_in_thousands_of_orders);
        tcase_add_test(planted, an_old_table_that_is_given_back_is_found);
        tcase_add_test(planted, a_slot_that_is_claimed_by_two_is_found);
        return check_run(suite);
}
