/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the values of a snapshot's pickle have become so far. Values are known by
 * number; tuples are recognised as frames, tracebacks and traces when they
 * close. Frames and traces are stored once however often they occur, so that a
 * block costs its place in a list and in the memo, four bytes each.
 */

#include "daemon/query/intern.h"
#include "daemon/query/pickle_reader.h" /* enum pickle_outcome */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKLE_IDS_MAX (UINT32_C(1) << 28) /* of a kind; the memo keeps kind and number in 32 bits */

/* What one may allocate. */
struct pickle_memory {
        uint64_t used, max;
};

/* Kinds of values. What cannot belong to traces is OTHER, whatever it was. */
enum pickle_kind {
        PICKLE_KIND_OTHER,  /* id: enum pickle_flaw */
        PICKLE_KIND_NUMBER, /* number: 0..2^64 - 1 */
        PICKLE_KIND_NONE,
        PICKLE_KIND_TEXT,
        PICKLE_KIND_EMPTY_TUPLE,
        PICKLE_KIND_FRAME,
        PICKLE_KIND_TRACEBACK,
        PICKLE_KIND_TRACE,
        PICKLE_KIND_LIST,
        PICKLE_KIND_DICT,
        PICKLE_KIND_CLASS, /* id: enum pickle_class */
        PICKLE_KIND_OBJECT,
};

struct pickle_value {
        uint32_t kind, id;
        uint64_t number; /* of a NUMBER; else the byte of the file at which it was seen */
};

/* Why an OTHER is no trace, or no part of one. */
enum pickle_flaw {
        PICKLE_FLAW_TYPE,
        PICKLE_FLAW_TUPLE,
        PICKLE_FLAW_TRACE,
        PICKLE_FLAW_NEGATIVE,
        PICKLE_FLAW_LONG,
        PICKLE_FLAW_DOMAIN,
        PICKLE_FLAW_SIZE,
        PICKLE_FLAW_LINENO,
        PICKLE_FLAW_TOTAL_NFRAME,
        PICKLE_FLAW_NO_FRAMES,
};

enum pickle_class {
        PICKLE_CLASS_SNAPSHOT,
        PICKLE_CLASS_TRACES,
};

struct pickle_text {
        char *bytes; /* [length], a text as it came */
        uint32_t length;
        uint32_t string; /* of the snapshot */
};

struct pickle_frame {
        uint32_t text;
        uint32_t lineno;
        uint32_t location; /* of the snapshot */
};

struct pickle_traceback {
        uint64_t first_frame; /* index into frame_ids; most recent first */
        uint32_t n_frames;
        uint32_t node; /* of the snapshot */
};

struct pickle_trace {
        uint64_t size;
        uint64_t count; /* in the list that is the snapshot's */
        uint32_t domain;
        uint32_t traceback;
        uint32_t total_nframe;
};

struct pickle_list {
        uint32_t *traces;
        uint32_t n_traces, size;
        bool flawed;              /* holds something else, too */
        struct pickle_value flaw; /* OTHER: the first such */
};

/* Attributes that mean something to us; a dictionary keeps these, by name. */
enum pickle_key {
        PICKLE_KEY_TRACES,          /* Snapshot.traces */
        PICKLE_KEY_TRACEBACK_LIMIT, /* Snapshot.traceback_limit */
        PICKLE_KEY_LIST,            /* _Traces._traces */
        PICKLE_KEYS,
};

#define PICKLE_FOREIGN_NAMES 3 /* more are only counted */

struct pickle_dict {
        struct pickle_value values[PICKLE_KEYS];
        bool has[PICKLE_KEYS];
        uint32_t foreign_names[PICKLE_FOREIGN_NAMES]; /* texts */
        uint32_t n_foreign_names, n_foreign;
};

struct pickle_object {
        enum pickle_class class;
        uint32_t dict;
        bool built; /* has its attributes */
};

struct pickle_text_chunk;

struct pickle_tables {
        struct pickle_memory memory;
        struct pickle_text_chunk *chunks;
        struct pickle_text *texts;
        struct pickle_frame *frames;
        uint32_t *frame_ids;
        struct pickle_traceback *tracebacks;
        struct pickle_trace *traces;
        struct pickle_list *lists;
        struct pickle_dict *dicts;
        struct pickle_object *objects;
        uint32_t n_texts, n_frames, n_frame_ids, n_tracebacks, n_traces, n_lists, n_dicts, n_objects;
        uint32_t texts_size, frames_size, frame_ids_size, tracebacks_size, traces_size, lists_size, dicts_size,
                objects_size;
        struct intern frame_index, trace_index;
};

/*
 * Of all that return int: 0; PICKLE_E_REFUSED (beyond the bound of memory or of
 * numbers of a kind); -ENOMEM. After a failure only pickle_tables_deinit() makes
 * sense.
 */

/** pickle_memory_take() - account for some bytes. Return: 0; PICKLE_E_REFUSED. */
int pickle_memory_take(struct pickle_memory *m, uint64_t bytes);

/** pickle_memory_grow() - room for one more element of an array */
int pickle_memory_grow(struct pickle_memory *m, void **arrayp, uint32_t *sizep, uint32_t n, size_t element_bytes);

/** pickle_tables_init() - empty; @memory_max: bytes that may be accounted in memory */
void pickle_tables_init(struct pickle_tables *t, uint64_t memory_max);

/** pickle_tables_deinit() - free all */
void pickle_tables_deinit(struct pickle_tables *t);

/** pickle_tables_text() - keep a valid text */
int pickle_tables_text(struct pickle_tables *t, const void *bytes, size_t length, uint32_t *idp);

/** pickle_tables_text_is() - is it that word? */
bool pickle_tables_text_is(const struct pickle_tables *t, uint32_t text, const char *word);

/** pickle_tables_tuple() - what a tuple is
 * @values: [n >= 1]; none of them changes
 * @at: where it closes
 * O(n). */
int pickle_tables_tuple(struct pickle_tables *t, const struct pickle_value *values, uint32_t n, uint64_t at,
                        struct pickle_value *tuplep);

/** pickle_tables_list() - a new empty list */
int pickle_tables_list(struct pickle_tables *t, uint32_t *idp);

/** pickle_tables_append() - @values: [n]; @at: where that happens */
int pickle_tables_append(struct pickle_tables *t, uint32_t list, const struct pickle_value *values, uint32_t n,
                         uint64_t at);

/** pickle_tables_dict() - a new empty dictionary */
int pickle_tables_dict(struct pickle_tables *t, uint32_t *idp);

/** pickle_tables_set() - give a dictionary an item; cannot fail */
void pickle_tables_set(struct pickle_tables *t, uint32_t dict, const struct pickle_value *key,
                       const struct pickle_value *value);

/** pickle_tables_object() - a new object, without attributes */
int pickle_tables_object(struct pickle_tables *t, enum pickle_class class, uint32_t *idp);
