/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Hash index over somebody else's array: finds the number of an equal element.
 * The owner numbers its elements from 0 and says what equal means.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERN_NONE UINT32_MAX

struct intern_slot {
        uint32_t next_id; /* id + 1; 0: free */
        uint32_t hash;
};

struct intern {
        struct intern_slot *slots;
        uint32_t mask, n; /* mask 0: no slots yet */
};

typedef bool (*intern_equal_fn)(const void *owner, uint32_t id, const void *key);

/** intern_init() - empty, without memory */
void intern_init(struct intern *index);

/** intern_deinit() - free the slots; it is empty again */
void intern_deinit(struct intern *index);

/** intern_find() - look up; O(1)
 * @equal: is element @id of @owner equal to @key?
 * Return: id, or INTERN_NONE. */
uint32_t intern_find(const struct intern *index, uint32_t hash, intern_equal_fn equal, const void *owner,
                     const void *key);

/** intern_reserve() - make room for @n more. Return: 0; -ENOMEM (index unchanged). */
int intern_reserve(struct intern *index, uint32_t n);

/** intern_add() - add what intern_find() did not find, after intern_reserve() */
void intern_add(struct intern *index, uint32_t hash, uint32_t id);

/** intern_hash_bytes(), intern_hash_words() - to feed the above */
uint32_t intern_hash_bytes(const void *bytes, size_t length);
uint32_t intern_hash_words(const uint64_t *words, size_t n);
