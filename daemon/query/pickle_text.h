/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Python's str in a pickle: UTF-8 in which surrogates may stand alone ("surrogatepass"). */

#include <stdbool.h>
#include <stddef.h>

/** pickle_text_valid() - is it such UTF-8? O(length) */
bool pickle_text_valid(const char *bytes, size_t length);

/** pickle_text_name() - the bytes that the operating system has for a file name
 * @text: [length], valid
 * @name: [length], set to: surrogateescape undone where that loses nothing, else @text as it is
 * O(length). Return: length of the name. */
size_t pickle_text_name(const char *text, size_t length, char *name);
