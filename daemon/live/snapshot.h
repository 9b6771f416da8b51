/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An immutable set of traces of one process at one instant: what a cut of a
 * live table, a row set of the store and an imported file all become, and all
 * that store and query know of a process. Made by one thread (snapshot_builder),
 * then only read, so that any thread may hold a reference.
 *
 * Everything refers by index into the arrays below:
 *
 *   groups -> nodes -> locations -> modules, strings
 *          -> sizes
 *
 * Nothing here is symbolised. A native location is (module, offset); what
 * source line that is, is the business of daemon/symbol.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_NONE                 UINT32_MAX /* no string, no module */
#define SNAPSHOT_TOTAL_NFRAME_UNKNOWN UINT32_MAX /* imported from a file of Python 3.8 or older */

enum snapshot_kind {
        SNAPSHOT_REQUEST = 0,
        SNAPSHOT_EXIT = 1,
        SNAPSHOT_PEAK = 2,
        SNAPSHOT_IMPORT = 3,
        SNAPSHOT_LIVE = 4, /* never stored */
};

/** snapshot_kind_name() - the word that users know it by; "" for a number that is none. Any thread. */
const char *snapshot_kind_name(uint32_t kind);

/* Bytes, not always UTF-8, not NUL-terminated by contract (the builder adds a
 * NUL behind all the same, for printing). */
struct snapshot_string {
        const char *bytes;
        size_t length;
};

struct snapshot_module {
        uint32_t path; /* string */
        uint8_t build_id[32];
        uint8_t build_id_length; /* 0: none known */
};

enum location_kind {
        LOCATION_NATIVE = 0, /* module, offset */
        LOCATION_SOURCE = 1, /* filename, lineno, function: Python frames, imported files */
};

struct snapshot_location {
        uint32_t kind;     /* enum location_kind */
        uint32_t module;   /* NATIVE: index, or SNAPSHOT_NONE for a pc in no module */
        uint64_t offset;   /* NATIVE: return address less load bias; the call is at offset - 1 */
        uint32_t filename; /* SOURCE: string */
        uint32_t function; /* SOURCE: string or SNAPSHOT_NONE */
        uint32_t lineno;   /* SOURCE: 0 unknown */
};

/* Trie of frames. Node 0 is the root: the empty traceback. parent < index. The path from
 * the root is the traceback, oldest frame first. */
struct snapshot_node {
        uint32_t parent;
        uint32_t location;
};

/* All live blocks of one (domain, traceback, total_nframe). */
struct snapshot_group {
        uint32_t domain; /* the number that users see, proto/record.h */
        uint32_t node;
        uint32_t total_nframe;
        uint32_t n_sizes;        /* 0: sizes are not known (peak), or nothing is alive */
        uint32_t first_size;     /* index into sizes */
        uint64_t size;           /* sum in bytes */
        uint64_t count;          /* blocks */
        uint64_t allocated_size; /* everything allocated here since tracing began; 0 where unknown */
        uint64_t allocated_count;
};

/* count blocks of exactly this size; ascending and unique within a group */
struct snapshot_size {
        uint64_t size;
        uint64_t count;
};

struct snapshot_domain {
        uint32_t number;
        uint32_t name; /* string */
};

#define SNAPSHOT_INFO_TEXTS 6

struct snapshot_info {
        int64_t id;  /* 0: not stored */
        int64_t set; /* 0: none */
        uint32_t pid, uid, ppid, image;
        uint32_t kind; /* enum snapshot_kind */
        uint32_t traceback_limit;
        int64_t taken_at_ns;    /* CLOCK_REALTIME */
        int64_t started_at_ns;  /* of the process, CLOCK_REALTIME; IMPORT: when the file was written; 0: unknown */
        uint64_t size, count;   /* totals over all groups */
        uint64_t traces;        /* distinct (domain, traceback, size, total_nframe) */
        uint64_t block_address; /* of the one block that a live table was asked for; else 0 */
        uint64_t lost;          /* events that are missing */
        bool exact;             /* false: events are missing, or blocks from before tracing */
        bool sizes_known;       /* false: peak */
        bool allocated_known;   /* allocated_* of the groups mean something */
        /* heap strings owned by the snapshot, never NULL, "" where unknown; by name, or one after the other as the
         * store's columns are */
        union {
                struct {
                        char *name, *exe, *unit, *cgroup, *label, *ended_by;
                };
                char *texts[SNAPSHOT_INFO_TEXTS];
        };
};

_Static_assert(offsetof(struct snapshot_info, ended_by) ==
                       offsetof(struct snapshot_info, texts[SNAPSHOT_INFO_TEXTS - 1]),
               "each name is one of the texts");

struct snapshot {
        struct snapshot_info info;
        const struct snapshot_string *strings;
        const struct snapshot_module *modules;
        const struct snapshot_location *locations;
        const struct snapshot_node *nodes;
        const struct snapshot_group *groups;
        const struct snapshot_size *sizes;
        const struct snapshot_domain *domains; /* names of the custom ones only */
        uint32_t n_strings, n_modules, n_locations, n_nodes, n_groups, n_domains;
        uint64_t n_sizes;
};

/** snapshot_ref() - share it; any thread
 * Return: @s. */
struct snapshot *snapshot_ref(struct snapshot *s);

/** snapshot_unref() - give a reference back; the last one frees. Any thread; NULL is fine.
 * Return: NULL. */
struct snapshot *snapshot_unref(struct snapshot *s);

/*
 * The builder. One thread; grows geometrically; every *_add() interns where it
 * says so. Errors: -ENOMEM only (builder still valid, can be freed).
 */
struct snapshot_builder;

/** snapshot_builder_new() - start an empty snapshot. Return: 0; -ENOMEM. */
int snapshot_builder_new(struct snapshot_builder **builderp);

/** snapshot_builder_free() - give up; NULL is fine. Return: NULL. */
struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *b);

/** snapshot_builder_info() - the info to fill in; strings in it are taken by the snapshot (malloc'd; NULL becomes "")
 */
struct snapshot_info *snapshot_builder_info(struct snapshot_builder *b);

/** snapshot_builder_string() - intern bytes. @indexp: set on 0. */
int snapshot_builder_string(struct snapshot_builder *b, const void *bytes, size_t length, uint32_t *indexp);

/** snapshot_builder_module() - intern by (path, build id) */
int snapshot_builder_module(struct snapshot_builder *b, const void *path, size_t path_length, const uint8_t *build_id,
                            size_t build_id_length, uint32_t *indexp);

/** snapshot_builder_location() - intern by all fields */
int snapshot_builder_location(struct snapshot_builder *b, const struct snapshot_location *location, uint32_t *indexp);

/** snapshot_builder_node() - intern by (parent, location) */
int snapshot_builder_node(struct snapshot_builder *b, uint32_t parent, uint32_t location, uint32_t *indexp);

/** snapshot_builder_nodes_done() - no more nodes will come: what looks for them, half as much as they take, is freed
 * After it neither snapshot_builder_node() nor snapshot_builder_depth() may be called. */
void snapshot_builder_nodes_done(struct snapshot_builder *b);

/** snapshot_builder_grow_ahead() - make room for more nodes, groups and sizes, piece by piece
 * For whoever adds in slices that are to be short: asked before each slice of some thousand, so that none of them meets
 * an index that is full and has to be made anew. O(1). Return: whether a piece is left: nothing should be added before.
 */
bool snapshot_builder_grow_ahead(struct snapshot_builder *b);

/** snapshot_builder_block() - count blocks of one size into their group
 * (found or made by domain, node, total_nframe); O(1) */
int snapshot_builder_block(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                           uint64_t size, uint64_t count);

/** snapshot_builder_group() - find or make a group, for adding many blocks to it. @groupp: set on 0. */
int snapshot_builder_group(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                           uint32_t *groupp);

/** snapshot_builder_group_block() - as snapshot_builder_block(), to a group that snapshot_builder_group() gave */
int snapshot_builder_group_block(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count);

/** snapshot_builder_group_sizes() - all blocks of a group that has none yet, in one piece
 * @sizes: [n_sizes] ascending, each once, each count above 0; copied. No other block may be added to the group.
 * Without a look-up for each size. */
int snapshot_builder_group_sizes(struct snapshot_builder *b, uint32_t group, const struct snapshot_size *sizes,
                                 uint32_t n_sizes);

/** snapshot_builder_group_sum(), snapshot_builder_group_allocated() - the same for sums; cannot fail */
void snapshot_builder_group_sum(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count);
void snapshot_builder_group_allocated(struct snapshot_builder *b, uint32_t group, uint64_t size, uint64_t count);

/** snapshot_builder_depth() - frames from the root to a node, at most SNAPSHOT_DEPTH_MAX */
uint32_t snapshot_builder_depth(const struct snapshot_builder *b, uint32_t node);
#define SNAPSHOT_DEPTH_MAX UINT16_MAX

/** snapshot_builder_node_location() - what was given for a node that is not the root */
uint32_t snapshot_builder_node_location(const struct snapshot_builder *b, uint32_t node);

/** snapshot_builder_sum() - add sums without sizes (peak) to a group; a group has either blocks or sums */
int snapshot_builder_sum(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                         uint64_t size, uint64_t count);

/** snapshot_builder_allocated() - add to what a group allocated since the start */
int snapshot_builder_allocated(struct snapshot_builder *b, uint32_t domain, uint32_t node, uint32_t total_nframe,
                               uint64_t size, uint64_t count);

/** snapshot_builder_domain() - name a custom domain */
int snapshot_builder_domain(struct snapshot_builder *b, uint32_t number, const void *name, size_t length);

/** snapshot_builder_finish() - compute totals (size, count, traces), sort the sizes, freeze
 * @b: taken on success (do not free it)
 * @snapshotp: one reference. Return: 0; -ENOMEM. */
int snapshot_builder_finish(struct snapshot_builder *b, struct snapshot **snapshotp);
