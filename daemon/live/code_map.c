/* SPDX-License-Identifier: Apache-2.0 */

/* Code objects into locations. Runs on the ingest worker that owns the image; called by image_snapshot.c. */

#include "daemon/live/code_map.h"

#include "proto/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct code_entry {
        uint32_t code;
        uint32_t filename, function; /* strings of the builder; function may be SNAPSHOT_NONE */
        uint32_t first_line;         /* 0: unknown */
        uint32_t first_run, n_runs;  /* of map->lines */
};

void code_map_deinit(struct code_map *map) {
        free(map->entries);
        index_table_deinit(&map->index);
        line_runs_deinit(&map->lines);
        *map = (struct code_map){};
}

/* Lines that there is no room for are unknown: a program that has so many is a hostile one. */
static int add_lines(struct code_map *map, const struct code_text *text, struct code_entry *entry) {
        entry->first_run = map->lines.n;
        int r = line_table_decode(text->table_format, text->first_line, text->table, text->table_length, &map->lines);
        entry->n_runs = map->lines.n - entry->first_run;
        return r < 0 ? r : 0;
}

static int add_entry(struct code_map *map, struct snapshot_builder *builder, const struct node_source *source,
                     uint32_t code) {
        static const char unknown[] = "<unknown>";
        struct code_entry *entry = &map->entries[map->n];
        struct code_text text;
        int r = source->code(source, code, &text);
        if (r < 0)
                return r;
        if (r > 0)
                text = (struct code_text){.filename = unknown, .filename_length = sizeof unknown - 1};
        *entry = (struct code_entry){.code = code,
                                     .function = SNAPSHOT_NONE,
                                     .first_line = text.first_line > 0 ? (uint32_t)text.first_line : 0};
        r = snapshot_builder_string(builder, text.filename, text.filename_length, &entry->filename);
        if (r == 0 && text.function)
                r = snapshot_builder_string(builder, text.function, text.function_length, &entry->function);
        return r ? r : add_lines(map, &text, entry);
}

static uint32_t hash_code(uint32_t code) {
        return index_hash_words(code, 0);
}

static uint32_t hash_of_entry(const void *owner, uint32_t index) {
        return hash_code(((const struct code_map *)owner)->entries[index].code);
}

static int find_entry(struct code_map *map, struct snapshot_builder *builder, const struct node_source *source,
                      uint32_t code, const struct code_entry **entryp) {
        uint32_t hash = hash_code(code), cursor = hash, index;
        while ((index = index_table_next(&map->index, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (map->entries[index].code == code) {
                        *entryp = &map->entries[index];
                        return 0;
                }
        }
        if (map->n == map->capacity) {
                uint32_t capacity = map->capacity ? 2 * map->capacity : 64;
                struct code_entry *entries = reallocarray(map->entries, capacity, sizeof *entries);
                if (!entries)
                        return -ENOMEM;
                map->entries = entries;
                map->capacity = capacity;
        }
        int r = index_table_reserve(&map->index, map->n, hash_of_entry, map);
        if (r == 0)
                r = add_entry(map, builder, source, code);
        if (r)
                return r;
        *entryp = &map->entries[map->n];
        index_table_put(&map->index, hash, map->n++);
        return 0;
}

int code_map_location(struct code_map *map, struct snapshot_builder *builder, const struct node_source *source,
                      uint32_t code, uint64_t instruction, uint32_t *locationp) {
        const struct code_entry *entry;
        int r = find_entry(map, builder, source, code, &entry);
        if (r)
                return r;
        struct snapshot_location location = {.kind = LOCATION_SOURCE,
                                             .filename = entry->filename,
                                             .function = entry->function,
                                             .lineno = entry->first_line};
        if (instruction & NODE_VALUE_LINE)
                location.lineno = (uint32_t)instruction <= INT32_MAX ? (uint32_t)instruction : 0;
        else if (instruction > 0 && entry->n_runs == 0) /* there may be no runs at all, and no address to count from */
                location.lineno = 0;
        else if (instruction > 0)
                location.lineno = line_runs_find(map->lines.runs + entry->first_run, entry->n_runs, instruction - 1);
        return snapshot_builder_location(builder, &location, locationp);
}
