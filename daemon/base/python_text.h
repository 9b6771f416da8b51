/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Python's str as bytes: UTF-8 in which surrogates may stand alone ("surrogatepass"). Pickles hold it, agents send it.
 * Python decodes names of files by UTF-8 with surrogateescape: a byte that is part of no valid sequence becomes
 * U+DC00 + byte.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PYTHON_TEXT_ESCAPE_BASE 0xdc00 /* surrogateescape, PEP 383 */

/** python_text_decode() - the first code point of some bytes; O(1)
 * @length: >= 1
 * @code_pointp: U+DC80..U+DCFF for a byte of no valid sequence
 * Return: bytes that it took, 1..4. */
size_t python_text_decode(const char *bytes, size_t length, uint32_t *code_pointp);

/** python_text_valid() - is it such UTF-8? O(length) */
bool python_text_valid(const char *bytes, size_t length);

/** python_text_name() - the bytes that the operating system has for a file name
 * @text: [length], valid
 * @name: [length], set to: surrogateescape undone where that loses nothing, else @text as it is
 * O(length). Return: length of the name. */
size_t python_text_name(const char *text, size_t length, char *name);
