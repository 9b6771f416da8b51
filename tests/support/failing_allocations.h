/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Allocations that fail when a test says so. Included by one file of a program that is linked with
 * failing_allocations_link_args (tests/support/meson.build): the linker sends all allocations of its objects and static
 * libraries here.
 */

#include <stdbool.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

static long fail_at = -1; /* allocations until the one that fails; -1: none does */

static inline bool allocation_fails(void) {
        return fail_at >= 0 && fail_at-- == 0;
}

void *__wrap_malloc(size_t size) {
        return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
        return allocation_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size) {
        return allocation_fails() ? NULL : __real_reallocarray(old, n, size);
}
