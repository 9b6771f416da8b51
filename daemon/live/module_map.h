/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Module generations and custom domains of an image, in the order they were
 * defined; nothing is ever taken out (blocks may point at unloaded modules), so
 * "the first n" is what a fork's child inherits. Shared by parent and forks. One thread.
 */

#include "daemon/live/charge.h"
#include "daemon/live/index_table.h"

#include <stddef.h>
#include <stdint.h>

#define MODULE_BUILD_ID_MAX 32
#define MODULE_PATH_MAX     4096 /* PATH_MAX; longer paths are cut */

struct module_file {
        uint32_t path_length;
        uint8_t build_id_length;
        uint8_t build_id[MODULE_BUILD_ID_MAX];
        char path[]; /* NUL-terminated besides */
};

struct module_map {
        struct module_entry {
                uint32_t generation;
                struct module_file *file; /* same pointer for same content */
        } * entries;
        struct module_file **files;
        struct index_table by_generation, by_content;
        uint32_t n_entries, entries_capacity, n_files, files_capacity;
        uint64_t charged;
        unsigned refs;
        struct charge *charge;
};

enum { MODULE_MAP_E_FULL = 1 };

/** module_map_new() - Return: 0; -ENOMEM. */
int module_map_new(struct charge *charge, struct module_map **mapp);
struct module_map *module_map_ref(struct module_map *m);
struct module_map *module_map_unref(struct module_map *m);

/** module_map_add() - a generation; the first definition of one stays
 * Return: 0; MODULE_MAP_E_FULL (no charge); -ENOMEM. */
int module_map_add(struct module_map *m, uint32_t generation, const void *path, size_t path_length,
                   const uint8_t *build_id, size_t build_id_length);

/** module_map_find() - Return: borrowed for the map's life; NULL. */
const struct module_file *module_map_find(const struct module_map *m, uint32_t generation);

/** module_map_copy() - add the first @n entries of another map; Return: as module_map_add() */
int module_map_copy(struct module_map *m, const struct module_map *from, uint32_t n);
