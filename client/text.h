/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/text_buffer.h"

#include <stddef.h>

/*
 * Bytes from traced processes as text. They are usually UTF-8; what is not, is
 * written as Python does with errors='surrogateescape': byte 0xNN becomes U+DCNN.
 */

struct json_object;

/** text_json() - a json-c string of these bytes that serialises with "\udcNN" for what is not UTF-8
 * Return: a new reference. */
struct json_object *text_json(const void *bytes, size_t length);

/** text_json_append() - the same, serialised at once, with its quotes */
void text_json_append(struct text_buffer *out, const void *bytes, size_t length);

/** text_display() - for eyes: control characters and what is not UTF-8 become \xNN, so that no
 * name drives the terminal
 * Return: NUL-terminated, the caller frees. */
char *text_display(const void *bytes, size_t length);

/** text_display_append() - the same behind what is there */
void text_display_append(struct text_buffer *out, const void *bytes, size_t length);

/** text_width() - columns of a terminal that UTF-8 text takes: wcwidth(3), whose locale main.c chooses */
size_t text_width(const char *text);

/** text_cut() - leave the end away, in place, so that @width columns suffice */
void text_cut(char *text, size_t width);

/** text_shorten() - cut out of the middle so that @width columns suffice: "/usr/lib/...libfoo.so.1"
 * @width: under 8 counts as 8
 * Return: NUL-terminated, the caller frees. */
char *text_shorten(const char *text, size_t width);

/** text_shorten_path() - the same, but the file name stays whole for as long as it fits: "/us.../libfoo.so.1" */
char *text_shorten_path(const char *path, size_t width);
