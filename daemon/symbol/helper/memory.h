/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory of the helper. It has a hard limit (sandbox.c) and one user's files to
 * read: where memory is out, the helper ends, the daemon sees it and answers for
 * that module (symbolizer.h). So nothing here returns NULL.
 */

#include <stddef.h>

/** memory_new() - n zeroed elements; free() them */
void *memory_new(size_t n, size_t element_bytes);

/** memory_grow() - room for one more element in a heap array that doubles
 * @array: heap or NULL; invalid afterwards
 * @n: elements in use
 * @sizep: elements there is room for, updated
 * Return: the array. */
void *memory_grow(void *array, size_t n, size_t *sizep, size_t element_bytes);

/** memory_string() - a copy of the first @length bytes with a NUL behind */
char *memory_string(const char *bytes, size_t length);
