/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The agent's view of the traceback trie: (parent node, key) -> node, where the
 * key is a program counter or what stands for one. Lock-free; nobody waits for
 * another's insertion. An entry may get lost (two threads at once, growth): then
 * the same traceback has two node numbers, which the daemon merges by content.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Keys with this bit are no program counters: the rest is the depth of a cut traceback. */
#define TRIE_KEY_DEPTH  (UINT64_C(1) << 63)
/* With a program counter: a frame beyond the traceback limit. What it leads to is no node but a name from
 * trie_new_name(). */
#define TRIE_KEY_BEYOND (UINT64_C(1) << 62)
/* With a traceback limit: from such a name to the node of its cut traceback. */
#define TRIE_KEY_CUT    (UINT64_C(1) << 61)
#define TRIE_FORGET_MAX 16

struct trie_table;

struct trie_range {
        _Atomic uint64_t start, end; /* [start, end) of keys to be forgotten; end 0: unused */
};

struct trie {
        struct trie_table *_Atomic table;
        _Atomic uint32_t busy;    /* one thread grows or forgets */
        _Atomic uint32_t version; /* changes when nodes found before may have become wrong */
        _Atomic uint32_t pending; /* there is something to forget */
        _Atomic uint32_t forget_all;
        _Atomic uint32_t n_names; /* handed out */
        struct trie_range forget[TRIE_FORGET_MAX];
};

/** trie_init() - an empty trie in memory of its own
 * Return: 0; -ENOMEM. */
int trie_init(struct trie *trie);

/** trie_deinit() - give its memory back; of one that only the caller knows, or of zeros */
void trie_deinit(struct trie *trie);

/** trie_share() - begin with another's entries; in a child of fork, where the parent's memory is copied on write */
void trie_share(struct trie *trie, const struct trie *parent);

/*
 * Where an entry is looked for is the caller's choice, the same for each pair: with trie_path(), which needs the keys
 * of the outer frames alone and not their nodes, the places of a whole stack's entries are known before
 * the first is found, and can be fetched at once. One pair that is put in two places is found in each.
 */

/** trie_path() - place of an entry; @path: that of @parent's own, 0 for the root */
static inline uint64_t trie_path(uint64_t path, uint64_t key) {
        path = (path ^ key) * UINT64_C(0xd6e8feb86659fd93);
        return path ^ path >> 32;
}

/** trie_fetch() - have an entry's place in the cache soon */
void trie_fetch(const struct trie *trie, uint64_t path);

/** trie_find_at() - Return: the node; 0: not there */
uint32_t trie_find_at(const struct trie *trie, uint64_t path, uint32_t parent, uint64_t key);

/** trie_insert_at() - make @node findable; grows the table. May lose the entry, which only costs a second node later */
void trie_insert_at(struct trie *trie, uint64_t path, uint32_t parent, uint64_t key, uint32_t node);

/** trie_find(), trie_insert() - the same for those who do not keep places */
static inline uint32_t trie_find(const struct trie *trie, uint32_t parent, uint64_t key) {
        return trie_find_at(trie, trie_path(parent * UINT64_C(0x9e3779b97f4a7c15), key), parent, key);
}

static inline void trie_insert(struct trie *trie, uint32_t parent, uint64_t key, uint32_t node) {
        trie_insert_at(trie, trie_path(parent * UINT64_C(0x9e3779b97f4a7c15), key), parent, key, node);
}

/** trie_new_name() - a number that is no node's, for entries that only we use; Return: 0: none left */
uint32_t trie_new_name(struct trie *trie);

/** trie_forget() - forget nodes whose key is in [start, end): their module was unloaded
 * Takes O(table), here or in the thread that is just growing it. */
void trie_forget(struct trie *trie, uint64_t start, uint64_t end);

static inline uint32_t trie_version(const struct trie *trie) {
        return atomic_load_explicit(&trie->version, memory_order_acquire);
}
