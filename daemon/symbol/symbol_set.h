/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is known of native locations: (module, offset of the return address)
 * -> source frames. The resolver fills it, the store keeps it, the query reads
 * it. A plain value without locks: one thread at a time; to hand results to
 * another thread, make a set of its own and give it away.
 *
 * The set owns all bytes. Strings are interned: within one set, equal strings
 * have equal pointers, and every string and frame pointer stays valid until
 * symbol_set_free().
 *
 * Errors: -ENOMEM only; the set is then as it was before the call.
 */

#include "daemon/live/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOL_SET_NONE         UINT32_MAX /* no such module */
#define SYMBOL_SET_BUILD_ID_MAX 32         /* as struct snapshot_module */
#define SYMBOL_SET_FRAMES_MAX   1024       /* frames of one location; more are cut (the outermost go) */

struct symbol_set;

/* One source frame. bytes NULL: unknown (then length is 0). A NUL lies behind known bytes. */
struct symbol_frame {
        struct snapshot_string function;
        struct snapshot_string filename;
        uint32_t lineno; /* 0: unknown */
};

struct symbol_module {
        struct snapshot_string path;
        uint8_t build_id[SYMBOL_SET_BUILD_ID_MAX];
        uint8_t build_id_length;        /* 0: none known */
        bool examined;                  /* somebody looked at the file: the two below say something */
        bool has_lines;                 /* it has line information */
        struct snapshot_string problem; /* one line where it could not be read; bytes NULL: none */
};

/* Innermost inlined call first. n_frames 0: looked up, nothing is known. */
struct symbol_location {
        uint32_t module;
        uint32_t n_frames;
        uint64_t offset;
        const struct symbol_frame *frames; /* never NULL */
};

/** symbol_set_new() - an empty set. Return: 0; -ENOMEM. */
int symbol_set_new(struct symbol_set **setp);

/** symbol_set_free() - with all its bytes; NULL is fine. Return: NULL. */
struct symbol_set *symbol_set_free(struct symbol_set *set);

/** symbol_set_module() - find or add by (path, build id); O(length)
 * @build_id_length: 0..SYMBOL_SET_BUILD_ID_MAX
 * @modulep: set on 0; counts up from 0 in the order of adding
 * Return: 0; -ENOMEM. */
int symbol_set_module(struct symbol_set *set, const void *path, size_t path_length, const uint8_t *build_id,
                      size_t build_id_length, uint32_t *modulep);

/** symbol_set_find_module() - find, without adding. Return: its number or SYMBOL_SET_NONE. */
uint32_t symbol_set_find_module(const struct symbol_set *set, const void *path, size_t path_length,
                                const uint8_t *build_id, size_t build_id_length);

/** symbol_set_string() - intern bytes for frames to come
 * @bytes: [length], copied; NULL is the unknown string
 * @stringp: set on 0
 * Return: 0; -ENOMEM. */
int symbol_set_string(struct symbol_set *set, const void *bytes, size_t length, struct snapshot_string *stringp);

/** symbol_set_examined() - say what was found out about a module's file, instead of what was said before
 * @problem: NULL where there is none
 * Return: 0; -ENOMEM. */
int symbol_set_examined(struct symbol_set *set, uint32_t module, bool has_lines, const void *problem,
                        size_t problem_length);

/** symbol_set_add() - resolve a location, instead of what was said before
 * @offset: of the return address, as struct snapshot_location
 * @frames: [n_frames], innermost first, copied; 0 frames: nothing is known of it, do not look again
 * O(bytes). Return: 0; -ENOMEM. */
int symbol_set_add(struct symbol_set *set, uint32_t module, uint64_t offset, const struct symbol_frame *frames,
                   size_t n_frames);

/** symbol_set_find() - the frames of a location; O(1)
 * @n_framesp: set unless NULL is returned
 * Return: NULL where the location was never resolved; else n_frames frames, maybe 0. */
const struct symbol_frame *symbol_set_find(const struct symbol_set *set, uint32_t module, uint64_t offset,
                                           uint32_t *n_framesp);

/** symbol_set_merge() - add all modules and locations of another set
 * @from: borrowed; wins where both know something
 * Return: 0; -ENOMEM (@set then holds a part of @from, each location whole). */
int symbol_set_merge(struct symbol_set *set, const struct symbol_set *from);

/** symbol_set_n_modules(), symbol_set_module_at(), symbol_set_n_locations(), symbol_set_location_at() - walk
 * everything in the order of adding. The pointers are valid until the next change. */
uint32_t symbol_set_n_modules(const struct symbol_set *set);
const struct symbol_module *symbol_set_module_at(const struct symbol_set *set, uint32_t module);
uint32_t symbol_set_n_locations(const struct symbol_set *set);
const struct symbol_location *symbol_set_location_at(const struct symbol_set *set, uint32_t index);
