/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Frames and tracebacks as numbers. Tracebacks are a trie: a node is (parent,
 * frame), the path from node 0 is the traceback, oldest frame first, and a
 * parent's number is below its children's.
 *
 * Frames that Python takes for the same may differ in function and module. So
 * each frame names its `identity`: the frame that stands for all the same ones
 * (itself, or one without what they may differ in), and so does each node.
 * Grouping works on identities; what a row shows is merged from the frames
 * themselves.
 *
 *   identity of a frame with a line, and of Python's     filename, lineno
 *   of a native frame without a line                     filename, function
 *   of a native frame without a line and a function      module, offset
 */

#include "daemon/live/index_table.h"
#include "daemon/query/intern.h"
#include "daemon/query/text.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACEBACK_ROOT UINT32_C(0) /* the empty traceback */
#define MODULE_NONE    UINT32_MAX

struct traceback_frame {
        uint32_t filename; /* text */
        uint32_t lineno;   /* 0: none */
        uint32_t function; /* text, TEXT_NONE: unknown, or merged frames differ */
        uint32_t module;   /* MODULE_NONE: as with function */
        uint64_t offset;   /* in the module, where lineno and function are unknown; else 0 */
        bool native;       /* without a line: the function is a part of the identity */
};

struct traceback_module {
        uint32_t path;           /* text */
        const uint8_t *build_id; /* borrowed */
        uint32_t build_id_length;
};

struct traceback_node {
        uint32_t parent;
        uint32_t frame;
        uint32_t depth; /* frames */
        uint32_t identity;
};

struct traceback_table {
        struct text_table texts;
        struct traceback_module *modules;
        struct traceback_frame *frames;
        uint32_t *frame_identities; /* [n_frames] */
        struct traceback_node *nodes;
        uint32_t n_modules, n_frames, n_nodes;
        uint32_t modules_size, frames_size, nodes_size;
        struct intern module_index, frame_index;
        struct index_table node_index; /* of a large snapshot it would be the half of it all, were it a struct intern */
};

/* All of these: 0; -ENOMEM; -EOVERFLOW (more than 2^32 - 2 of a kind). The table stays usable. */

/** traceback_table_init() - nothing but the root */
int traceback_table_init(struct traceback_table *t);

/** traceback_table_deinit() - free all; zero memory, and one whose init failed, are fine */
void traceback_table_deinit(struct traceback_table *t);

/** traceback_table_reserve() - that about so many are to come, so that the indexes need not grow step by step
 * @n_nodes: many of which may be there already, as of the other side of a comparison */
int traceback_table_reserve(struct traceback_table *t, uint32_t n_frames, uint32_t n_nodes);

/** traceback_table_module() - intern by (path, build id); @build_id is borrowed */
int traceback_table_module(struct traceback_table *t, uint32_t path, const uint8_t *build_id, uint32_t build_id_length,
                           uint32_t *idp);

/** traceback_table_frame() - intern by all fields */
int traceback_table_frame(struct traceback_table *t, const struct traceback_frame *frame, uint32_t *idp);

/** traceback_table_node() - intern by (parent, frame) */
int traceback_table_node(struct traceback_table *t, uint32_t parent, uint32_t frame, uint32_t *idp);

/** traceback_table_merge() - the traceback that shows what two have in common
 * @a, @b: nodes of one identity
 * Functions and modules in which they differ are unknown in it. O(depth). */
int traceback_table_merge(struct traceback_table *t, uint32_t a, uint32_t b, uint32_t *idp);

/** traceback_frame_merge() - the same for frames: @frame keeps what it shares with @other */
void traceback_frame_merge(struct traceback_frame *frame, const struct traceback_frame *other);

/** traceback_table_compare_frames() - Python's order of frames: filename, lineno; without a line the filename is
 * that of an export (frame_name.h), and build ids come last
 * Return: <0, >0; 0 for one identity. */
int traceback_table_compare_frames(const struct traceback_table *t, const struct traceback_frame *a,
                                   const struct traceback_frame *b);

/** traceback_table_compare() - Python's order of tracebacks: frame by frame from the oldest, shorter first
 * O(depth). Return: <0, >0; 0 for one identity. */
int traceback_table_compare(const struct traceback_table *t, uint32_t a, uint32_t b);
