/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a frame is called where there are only a filename and a line, as in Python's snapshots: "PATH (function)" or
 * "PATH+0x10" without a line, else its filename. Exports write these names, and order goes by them, so that rows with
 * equal numbers stand in the same order in a table, in the store, in a file, and in Python.
 */

#include "daemon/query/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct traceback_frame;

struct frame_name {
        struct {
                const char *bytes; /* of the table's texts, or below */
                size_t length;
        } pieces[4];
        size_t n_pieces;
        char offset[24];
};

/** frame_name_init() - @frame: without a line (native), or any other. @name must not move. */
void frame_name_init(struct frame_name *name, const struct text_table *texts, const struct traceback_frame *frame);

/** frame_name_length() - bytes of all pieces */
size_t frame_name_length(const struct frame_name *name);

/** frame_name_copy() - @bytes: [frame_name_length()] of it */
void frame_name_copy(const struct frame_name *name, char *bytes);

/** frame_name_compare() - by code point. Return: <0, 0, >0. */
int frame_name_compare(const struct frame_name *a, const struct frame_name *b);
