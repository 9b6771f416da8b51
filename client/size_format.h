/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* Sizes as Python's tracemalloc writes them (_format_size), to the letter: "10.0 KiB", "+512 B". */

#define SIZE_FORMAT_MAX 64 /* "%.0f TiB" of the largest 64-bit value has 12 characters */

/** size_format() - write @size, which may be an average, into @text
 * @with_sign: "+" before what is not negative
 * Return: @text. */
const char *size_format(char text[SIZE_FORMAT_MAX], double size, bool with_sign);
