/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/trie.h"
#include "tests/support/check_main.h"

#include <pthread.h>
#include <stdlib.h>

static uint64_t next_random(uint64_t *state) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return *state >> 33;
}

START_TEST(what_was_inserted_is_found)
{
        struct trie trie;
        ck_assert_int_eq(trie_init(&trie), 0);
        ck_assert_uint_eq(trie_find(&trie, 0, 0x1000), 0);
        trie_insert(&trie, 0, 0x1000, 1);
        trie_insert(&trie, 1, 0x1000, 2);
        trie_insert(&trie, 1, TRIE_KEY_DEPTH | 70, 3);
        ck_assert_uint_eq(trie_find(&trie, 0, 0x1000), 1);
        ck_assert_uint_eq(trie_find(&trie, 1, 0x1000), 2);
        ck_assert_uint_eq(trie_find(&trie, 1, TRIE_KEY_DEPTH | 70), 3);
        ck_assert_uint_eq(trie_find(&trie, 2, 0x1000), 0);
}
END_TEST

/* Node n is (parent n / 3, key of n): never found under another number. Lost entries are allowed, many are not. */
START_TEST(growth_keeps_entries)
{
        const uint32_t n = 200000;
        struct trie trie;
        uint32_t lost = 0;
        ck_assert_int_eq(trie_init(&trie), 0);
        for (uint32_t i = 1; i <= n; i++)
                trie_insert(&trie, i / 3, 0x400000 + (uint64_t)i * 7, i);
        for (uint32_t i = 1; i <= n; i++) {
                uint32_t found = trie_find(&trie, i / 3, 0x400000 + (uint64_t)i * 7);
                ck_assert(found == i || found == 0);
                lost += found == 0;
        }
        ck_assert_uint_le(lost, n / 1000);
}
END_TEST

START_TEST(forgotten_range_is_gone_and_the_rest_stays)
{
        struct trie trie;
        ck_assert_int_eq(trie_init(&trie), 0);
        for (uint32_t i = 1; i <= 3000; i++)
                trie_insert(&trie, 0, 0x10000 + i, i);
        uint32_t version = trie_version(&trie);
        trie_forget(&trie, 0x10000 + 1000, 0x10000 + 2000);
        ck_assert_uint_ne(trie_version(&trie), version);
        for (uint32_t i = 1; i <= 3000; i++)
                ck_assert_uint_eq(trie_find(&trie, 0, 0x10000 + i), i >= 1000 && i < 2000 ? 0 : i);
        trie_insert(&trie, 0, 0x10000 + 1500, 9999);
        ck_assert_uint_eq(trie_find(&trie, 0, 0x10000 + 1500), 9999);
}
END_TEST

START_TEST(a_shared_trie_goes_its_own_way_only_in_its_versions)
{
        struct trie parent, child;
        ck_assert_int_eq(trie_init(&parent), 0);
        trie_insert(&parent, 0, 0x1000, 1);
        trie_share(&child, &parent);
        ck_assert_uint_eq(trie_find(&child, 0, 0x1000), 1);
        ck_assert_uint_ne(trie_version(&child), trie_version(&parent));
}
END_TEST

struct worker {
        struct trie *trie;
        uint64_t seed;
        _Atomic uint32_t *n_nodes;
        uint64_t *keys_of; /* by node */
        uint32_t *parents_of;
        uint32_t capacity;
};

static void *intern_random(void *data) {
        struct worker *worker = data;
        uint64_t state = worker->seed;
        for (int i = 0; i < 100000; i++) {
                uint32_t parent = 0;
                for (int depth = 0; depth < 4; depth++) {
                        uint64_t key = 0x1000 + next_random(&state) % (40u << depth);
                        uint32_t node = trie_find(worker->trie, parent, key);
                        if (!node) {
                                node = atomic_fetch_add(worker->n_nodes, 1);
                                if (node >= worker->capacity)
                                        return NULL;
                                worker->keys_of[node] = key;
                                worker->parents_of[node] = parent;
                                trie_insert(worker->trie, parent, key, node);
                        } else if (worker->keys_of[node] != key || worker->parents_of[node] != parent) {
                                return worker; /* another's node */
                        }
                        parent = node;
                }
                if (i % 20000 == 0)
                        trie_forget(worker->trie, 0x1000, 0x1004);
        }
        return NULL;
}

/* Threads intern at once, forget at once: nobody ever gets a node of another path. */
START_TEST(concurrent_interning_never_gives_anothers_node)
{
        enum { N = 4 };
        struct trie trie;
        _Atomic uint32_t n_nodes = 1;
        const uint32_t capacity = 4000000;
        struct worker workers[N];
        pthread_t threads[N];
        uint64_t *keys = calloc(capacity, sizeof *keys);
        uint32_t *parents = calloc(capacity, sizeof *parents);

        ck_assert_int_eq(trie_init(&trie), 0);
        for (int i = 0; i < N; i++) {
                workers[i] = (struct worker){&trie, (uint64_t)i + 1, &n_nodes, keys, parents, capacity};
                ck_assert_int_eq(pthread_create(&threads[i], NULL, intern_random, &workers[i]), 0);
        }
        for (int i = 0; i < N; i++) {
                void *failed;
                pthread_join(threads[i], &failed);
                ck_assert_ptr_null(failed);
        }
        ck_assert_uint_lt(n_nodes, capacity);
        free(keys);
        free(parents);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("trie");
        TCase *tcase = check_case("trie");
        tcase_add_test(tcase, what_was_inserted_is_found);
        tcase_add_test(tcase, growth_keeps_entries);
        tcase_add_test(tcase, forgotten_range_is_gone_and_the_rest_stays);
        tcase_add_test(tcase, a_shared_trie_goes_its_own_way_only_in_its_versions);
        tcase_add_test(tcase, concurrent_interning_never_gives_anothers_node);
        suite_add_tcase(suite, tcase);
        return check_run(suite);
}
