/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Lines of source files as the viewer's file system has them: Python's linecache.
 * A file that is not there, not regular, empty, larger than 16 MiB, or changed since
 * the program ran has no lines.
 */

struct source_lines;

/** source_lines_new() - an empty cache; files are read when first asked for and kept */
struct source_lines *source_lines_new(void);

/** source_lines_until() - files that were changed later than this have no lines
 * @until_ns: CLOCK_REALTIME; 0: any time, as at first. For files that are asked for from now on. */
void source_lines_until(struct source_lines *lines, int64_t until_ns);

/** source_lines_free() - NULL is fine. Return: NULL. */
struct source_lines *source_lines_free(struct source_lines *lines);

#define SOURCE_LINES_E_NONE 1

/** source_lines_get() - line @lineno of a file, without the white space around it; a tab in it is a blank
 * @filename: [length] bytes; names in angle brackets ("<string>") are no files
 * @lineno: from 1
 * @textp, @text_lengthp: set on 0; valid until source_lines_free()
 * Return: 0; SOURCE_LINES_E_NONE (no such file or line, or nothing but white space on it). */
int source_lines_get(struct source_lines *lines, const void *filename, size_t length, uint64_t lineno,
                     const char **textp, size_t *text_lengthp);
