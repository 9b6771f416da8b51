/* SPDX-License-Identifier: Apache-2.0 */

/* Rows into a snapshot: each group's traceback is followed up to where it is known already, then built downwards.
 * Nothing read is trusted to be in range. Called on the thread of the reader. */

#include "daemon/store/frame_loader.h"
#include "daemon/store/id_list.h"
#include "daemon/store/id_map.h"
#include "daemon/store/row_cursor.h"
#include "daemon/store/sizes.h"
#include "daemon/store/store_reader_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct load {
        struct store_reader *reader;
        struct snapshot_builder *builder;
        enum store_load what;
        enum reader_statement list_groups;
        uint32_t n_groups;
        struct snapshot_size *sizes; /* of one group */
        uint32_t sizes_room;
        struct frame_loader frames;
        struct row_cursor tracebacks;
        struct id_map nodes; /* rows to indexes */
        struct id_list path; /* tracebacks and frames on the way up, in turn */
        uint64_t *wanted;    /* STORE_LOAD_PLACES: a bit for each traceback up to last_wanted */
        int64_t last_wanted;
};

/* Note the tracebacks from @id upwards that are not built yet. @parentp: the node below which they belong */
static int climb(struct load *load, int64_t id, uint32_t *parentp) {
        sqlite3_stmt *statement = load->tracebacks.statement;
        load->path.n = 0;
        *parentp = 0;
        while (id != 0 && !id_map_find(&load->nodes, id, parentp)) {
                int r = reader_find_row(load->reader, &load->tracebacks, id, "traceback");
                if (r)
                        return r;
                int64_t parent = sqlite3_column_int64(statement, 1), frame = sqlite3_column_int64(statement, 2);
                /* ids that only go down cannot go round in a circle */
                if (parent < 0 || parent >= id || frame <= 0)
                        return reader_damaged(load->reader, "traceback");
                if (id_list_add(&load->path, id) || id_list_add(&load->path, frame))
                        return -ENOMEM;
                id = parent;
        }
        return 0;
}

static int load_node(struct load *load, int64_t id, uint32_t *indexp) {
        int r = climb(load, id, indexp);
        for (size_t i = load->path.n; r == 0 && i >= 2; i -= 2) {
                uint32_t location;
                r = frame_loader_location(&load->frames, load->path.ids[i - 1], &location);
                if (r == 0)
                        r = snapshot_builder_node(load->builder, *indexp, location, indexp);
                if (r == 0)
                        r = id_map_add(&load->nodes, load->path.ids[i - 2], *indexp);
        }
        return r;
}

static int reserve_size(struct load *load, uint32_t n) {
        if (n < load->sizes_room)
                return 0;
        uint32_t room = load->sizes_room ? load->sizes_room * 2 : 256;
        struct snapshot_size *sizes = reallocarray(load->sizes, room, sizeof *sizes);
        if (!sizes)
                return -ENOMEM;
        load->sizes = sizes;
        load->sizes_room = room;
        return 0;
}

/* @index: of the group, which is new */
static int add_sizes(struct load *load, uint32_t index, const struct snapshot_group *group, const void *bytes,
                     size_t length) {
        struct sizes_reader sizes = sizes_begin(bytes, length);
        struct snapshot_size entry;
        uint64_t size = 0, count = 0, product;
        uint32_t n = 0;
        int r;
        while ((r = sizes_next(&sizes, &entry)) > 0) {
                if (__builtin_mul_overflow(entry.size, entry.count, &product) ||
                    __builtin_add_overflow(size, product, &size) || __builtin_add_overflow(count, entry.count, &count))
                        return reader_damaged(load->reader, "sizes");
                r = reserve_size(load, n);
                if (r)
                        return r;
                load->sizes[n++] = entry;
        }
        if (r < 0 || size != group->size || count != group->count)
                return reader_damaged(load->reader, "sizes");
        return snapshot_builder_group_sizes(load->builder, index, load->sizes, n);
}

/* @sizes: NULL: only the sums are known */
static int add_group(struct load *load, const struct snapshot_group *group, const void *sizes, size_t length) {
        uint32_t index;
        int r = snapshot_builder_group(load->builder, group->domain, group->node, group->total_nframe, &index);
        if (r)
                return r;
        if (index != load->n_groups++)
                return reader_damaged(load->reader, "a traceback twice");
        if (sizes)
                r = add_sizes(load, index, group, sizes, length);
        else
                snapshot_builder_group_sum(load->builder, index, group->size, group->count);
        snapshot_builder_group_allocated(load->builder, index, group->allocated_size, group->allocated_count);
        return r;
}

/* The row that the list of groups stands on */
static int load_group(struct load *load) {
        sqlite3_stmt *statement = load->reader->statements[load->list_groups];
        struct snapshot_group group = {0};
        int64_t traceback = sqlite3_column_int64(statement, 0);
        bool unknown = sqlite3_column_int64(statement, 2) == -1;
        if (traceback < 0 || !statement_column_u32(statement, 1, &group.domain) ||
            (!unknown && !statement_column_u32(statement, 2, &group.total_nframe)))
                return reader_damaged(load->reader, "group");
        if (unknown)
                group.total_nframe = SNAPSHOT_TOTAL_NFRAME_UNKNOWN;
        group.size = (uint64_t)sqlite3_column_int64(statement, 3);
        group.count = (uint64_t)sqlite3_column_int64(statement, 4);
        group.allocated_size = (uint64_t)sqlite3_column_int64(statement, 5);
        group.allocated_count = (uint64_t)sqlite3_column_int64(statement, 6);
        const void *sizes = NULL;
        size_t length = 0;
        if (sqlite3_column_type(statement, 7) != SQLITE_NULL && !statement_column_blob(statement, 7, &sizes, &length))
                return reader_damaged(load->reader, "sizes");
        int r = load_node(load, traceback, &group.node);
        return r ? r : add_group(load, &group, sizes, length);
}

static int load_domain(struct load *load) {
        sqlite3_stmt *statement = load->reader->statements[LIST_DOMAINS];
        uint32_t number;
        const void *name;
        size_t length;
        if (!statement_column_u32(statement, 0, &number))
                return reader_damaged(load->reader, "domain");
        int r = reader_begin_string(load->reader, sqlite3_column_int64(statement, 1), &name, &length);
        if (r)
                return r;
        r = snapshot_builder_domain(load->builder, number, name, length);
        reader_end_string(load->reader);
        return r;
}

static int for_each_row(struct load *load, enum reader_statement which, int64_t id, int (*visit)(struct load *load)) {
        sqlite3_stmt *statement = load->reader->statements[which];
        sqlite3_bind_int64(statement, 1, id);
        for (;;) {
                bool row;
                int r = statement_row(statement, &row, &load->reader->error);
                if (r || !row)
                        return r;
                r = visit(load);
                if (r) {
                        sqlite3_reset(statement);
                        return r;
                }
        }
}

static void want(struct load *load, int64_t traceback) {
        load->wanted[traceback / 64] |= UINT64_C(1) << traceback % 64;
}

/* The row that the list stands on. The first is the highest. */
static int want_traceback(struct load *load) {
        int64_t id = sqlite3_column_int64(load->reader->statements[LIST_TRACEBACKS_DOWN], 0);
        if (id < 0 || (load->wanted && id > load->last_wanted))
                return reader_damaged(load->reader, "group");
        if (!load->wanted) {
                load->wanted = calloc((size_t)id / 64 + 1, sizeof *load->wanted);
                load->last_wanted = id;
        }
        if (!load->wanted)
                return -ENOMEM;
        want(load, id);
        return 0;
}

/* Its location, and its parent, which is further down. */
static int load_place(struct load *load, int64_t id) {
        int r = reader_find_row(load->reader, &load->tracebacks, id, "traceback");
        if (r)
                return r;
        sqlite3_stmt *statement = load->tracebacks.statement;
        int64_t parent = sqlite3_column_int64(statement, 1), frame = sqlite3_column_int64(statement, 2);
        uint32_t location;
        if (parent < 0 || parent >= id || frame <= 0)
                return reader_damaged(load->reader, "traceback");
        want(load, parent);
        return frame_loader_location(&load->frames, frame, &location);
}

/* Row 0, the empty traceback, has none. */
static int load_places(struct load *load, int64_t snapshot) {
        int r = for_each_row(load, LIST_TRACEBACKS_DOWN, snapshot, want_traceback);
        for (int64_t id = load->last_wanted; r == 0 && id > 0; id--) {
                uint64_t bits = load->wanted[id / 64] << (63 - id % 64);
                if (bits == 0)
                        id -= id % 64; /* the rest of the word */
                else if (bits >> 63)
                        r = load_place(load, id);
        }
        return r;
}

/* @data: struct snapshot_info, whose strings become its own. Each is set or NULL when this fails. */
static int copy_info(void *data, const struct snapshot_info *from) {
        struct snapshot_info *to = data;
        int r = 0;
        *to = *from;
        for (size_t i = 0; i < SNAPSHOT_INFO_TEXTS; i++) {
                to->texts[i] = strdup(from->texts[i]);
                if (!to->texts[i])
                        r = -ENOMEM;
        }
        return r;
}

/* @snapshotp: set on 0 */
static int finish(struct load *load, const struct snapshot_info *stored, struct snapshot **snapshotp) {
        struct snapshot *snapshot;
        int r = snapshot_builder_finish(load->builder, &snapshot);
        if (r)
                return r;
        load->builder = NULL;
        bool differs = snapshot->info.size != stored->size || snapshot->info.count != stored->count;
        if (differs && load->what != STORE_LOAD_PLACES) {
                snapshot_unref(snapshot);
                return reader_damaged(load->reader, "totals");
        }
        snapshot->info.size = stored->size;
        snapshot->info.count = stored->count;
        snapshot->info.traces = stored->traces; /* as they were counted then */
        *snapshotp = snapshot;
        return 0;
}

static int load_traces(struct load *load, int64_t id) {
        int r = for_each_row(load, load->list_groups, id, load_group);
        return r ? r : for_each_row(load, LIST_DOMAINS, id, load_domain);
}

static int load_all(struct load *load, int64_t id, struct snapshot **snapshotp) {
        int r = snapshot_builder_new(&load->builder);
        if (r)
                return r;
        frame_loader_init(&load->frames, load->reader, load->builder);
        struct snapshot_info *info = snapshot_builder_info(load->builder);
        r = store_reader_info(load->reader, id, copy_info, info);
        struct snapshot_info stored = *info;
        if (r == 0)
                r = load->what == STORE_LOAD_PLACES ? load_places(load, id) : load_traces(load, id);
        return r ? r : finish(load, &stored, snapshotp);
}

static int load_fresh(struct store_reader *reader, int64_t id, enum store_load what, struct snapshot **snapshotp) {
        struct load load = {.reader = reader,
                            .what = what,
                            .list_groups = what == STORE_LOAD_SUMS ? LIST_GROUP_SUMS : LIST_GROUPS,
                            .tracebacks = {.statement = reader->statements[TRACEBACKS_DOWN], .down = true}};
        int r = load_all(&load, id, snapshotp);
        row_cursor_deinit(&load.tracebacks);
        frame_loader_deinit(&load.frames);
        snapshot_builder_free(load.builder);
        free(load.sizes);
        free(load.wanted);
        id_map_deinit(&load.nodes);
        id_list_deinit(&load.path);
        return r;
}

/* A number that changes when any other connection has committed. */
static int get_version(struct store_reader *reader, int64_t *versionp) {
        sqlite3_stmt *statement = reader->statements[GET_DATA_VERSION];
        bool row;
        int r = statement_row(statement, &row, &reader->error);
        if (r)
                return r;
        *versionp = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        return 0;
}

static int load_sums(struct store_reader *reader, int64_t id, struct snapshot **snapshotp) {
        int64_t version;
        int r = get_version(reader, &version);
        if (r)
                return r;
        *snapshotp = snapshot_cache_find(&reader->cache, version, id);
        if (*snapshotp)
                return 0;
        r = load_fresh(reader, id, STORE_LOAD_SUMS, snapshotp);
        if (r == 0)
                snapshot_cache_add(&reader->cache, *snapshotp);
        return r;
}

int store_reader_load(struct store_reader *reader, int64_t id, enum store_load what, struct snapshot **snapshotp) {
        int r = reader_begin(reader);
        if (r == 0)
                r = what == STORE_LOAD_SUMS ? load_sums(reader, id, snapshotp)
                                            : load_fresh(reader, id, what, snapshotp);
        reader_end(reader);
        if (r == -ENOMEM)
                store_error_set(&reader->error, r, "out of memory");
        return r;
}
