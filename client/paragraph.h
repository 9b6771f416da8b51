/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/** paragraph_format() - break a sentence between its words so that it fits
 * @text: one line; what stands in single quotes, a pattern or a command to copy, stays on one line
 * @width: columns; 0: no limit, and the text comes back as it is
 * @indent: spaces in front of the lines below the first
 * Return: without a newline at its end, the caller frees. */
char *paragraph_format(const char *text, size_t width, size_t indent);

/** paragraph_fields() - join @fields by ", ", and break only behind a comma
 * @width: columns; 0: no limit. A field that is wider has a line to itself, and goes beyond.
 * @column: how much of the first line is taken; @indent: spaces in front of the lines below it
 * Return: without a newline at its end, the caller frees. */
char *paragraph_fields(char *const *fields, size_t n, size_t width, size_t column, size_t indent);
