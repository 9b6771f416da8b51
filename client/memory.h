/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Heap of a short-lived program: without memory tmctl says so and exits with 1,
 * so no caller has to check. Free with free(3).
 */

/** memory_zalloc() - zeroed */
void *memory_zalloc(size_t size);

/** memory_grow() - realloc(3) to @n elements of @size bytes */
void *memory_grow(void *pointer, size_t n, size_t size);

/** memory_copy() - @length bytes and a NUL behind them */
char *memory_copy(const void *bytes, size_t length);

/** memory_format() - asprintf(3) */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
