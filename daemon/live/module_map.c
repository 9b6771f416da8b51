/* SPDX-License-Identifier: Apache-2.0 */

/* Module generations. Runs on the ingest worker that owns the image; called by image.c, image_fork.c and
 * image_snapshot.c. */

#include "daemon/live/module_map.h"

#include <errno.h>
#include <string.h>

int module_map_new(struct charge *charge, struct module_map **mapp) {
        struct module_map *m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->refs = 1;
        m->charge = charge_ref(charge);
        *mapp = m;
        return 0;
}

struct module_map *module_map_ref(struct module_map *m) {
        m->refs++;
        return m;
}

struct module_map *module_map_unref(struct module_map *m) {
        if (!m || --m->refs > 0)
                return NULL;
        for (uint32_t i = 0; i < m->n_files; i++)
                free(m->files[i]);
        free(m->files);
        free(m->entries);
        index_table_deinit(&m->by_generation);
        index_table_deinit(&m->by_content);
        charge_give(m->charge, m->charged);
        charge_unref(m->charge);
        free(m);
        return NULL;
}

static bool file_is(const struct module_file *file, const void *path, size_t path_length, const uint8_t *build_id,
                    size_t build_id_length) {
        return file->path_length == path_length && file->build_id_length == build_id_length &&
               memcmp(file->path, path, path_length) == 0 && memcmp(file->build_id, build_id, build_id_length) == 0;
}

static uint32_t hash_generation(uint32_t generation) {
        return index_hash_words(generation, 0);
}

static uint32_t hash_of_entry(const void *owner, uint32_t index) {
        const struct module_map *m = owner;
        return hash_generation(m->entries[index].generation);
}

static uint32_t hash_content(const void *path, size_t path_length, const uint8_t *build_id, size_t build_id_length) {
        return index_hash_bytes(path, path_length) ^ index_hash_bytes(build_id, build_id_length);
}

static uint32_t hash_of_file(const void *owner, uint32_t index) {
        const struct module_file *file = ((const struct module_map *)owner)->files[index];
        return hash_content(file->path, file->path_length, file->build_id, file->build_id_length);
}

/* Charged before it is allocated, and given back with the map: failures leave the charge a little high until then. */
static int grow(struct module_map *m, void **arrayp, uint32_t *capacityp, uint32_t n, size_t item_bytes) {
        if (n < *capacityp)
                return 0;
        uint32_t capacity = *capacityp ? 2 * *capacityp : 16;
        size_t more = (capacity - *capacityp) * item_bytes;
        if (!charge_take(m->charge, more))
                return MODULE_MAP_E_FULL;
        m->charged += more;
        void *array = realloc(*arrayp, capacity * item_bytes);
        if (!array)
                return -ENOMEM;
        *arrayp = array;
        *capacityp = capacity;
        return 0;
}

static int intern_file(struct module_map *m, const void *path, size_t path_length, const uint8_t *build_id,
                       size_t build_id_length, struct module_file **filep) {
        uint32_t hash = hash_content(path, path_length, build_id, build_id_length);
        uint32_t cursor = hash, index;
        while ((index = index_table_next(&m->by_content, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (file_is(m->files[index], path, path_length, build_id, build_id_length)) {
                        *filep = m->files[index];
                        return 0;
                }
        }
        int r = index_table_reserve(&m->by_content, m->n_files, hash_of_file, m);
        if (r == 0)
                r = grow(m, (void **)&m->files, &m->files_capacity, m->n_files, sizeof *m->files);
        if (r)
                return r;
        size_t bytes = sizeof(struct module_file) + path_length + 1;
        if (!charge_take(m->charge, bytes))
                return MODULE_MAP_E_FULL;
        m->charged += bytes;
        struct module_file *file = calloc(1, bytes);
        if (!file)
                return -ENOMEM;
        file->path_length = (uint32_t)path_length;
        file->build_id_length = (uint8_t)build_id_length;
        memcpy(file->build_id, build_id, build_id_length);
        memcpy(file->path, path, path_length);
        index_table_put(&m->by_content, hash, m->n_files);
        m->files[m->n_files++] = file;
        *filep = file;
        return 0;
}

const struct module_file *module_map_find(const struct module_map *m, uint32_t generation) {
        uint32_t hash = hash_generation(generation), cursor = hash, index;
        while ((index = index_table_next(&m->by_generation, hash, &cursor)) != INDEX_TABLE_NONE) {
                if (m->entries[index].generation == generation)
                        return m->entries[index].file;
        }
        return NULL;
}

int module_map_add(struct module_map *m, uint32_t generation, const void *path, size_t path_length,
                   const uint8_t *build_id, size_t build_id_length) {
        if (module_map_find(m, generation))
                return 0;
        if (path_length > MODULE_PATH_MAX)
                path_length = MODULE_PATH_MAX;
        if (build_id_length > MODULE_BUILD_ID_MAX)
                build_id_length = MODULE_BUILD_ID_MAX;
        struct module_file *file;
        int r = intern_file(m, path_length ? path : "", path_length, build_id_length ? build_id : (const uint8_t *)"",
                            build_id_length, &file);
        if (r == 0)
                r = index_table_reserve(&m->by_generation, m->n_entries, hash_of_entry, m);
        if (r == 0)
                r = grow(m, (void **)&m->entries, &m->entries_capacity, m->n_entries, sizeof *m->entries);
        if (r)
                return r;
        index_table_put(&m->by_generation, hash_generation(generation), m->n_entries);
        m->entries[m->n_entries++] = (struct module_entry){.generation = generation, .file = file};
        return 0;
}

int module_map_copy(struct module_map *m, const struct module_map *from, uint32_t n) {
        for (uint32_t i = 0; i < n && i < from->n_entries; i++) {
                const struct module_file *file = from->entries[i].file;
                int r = module_map_add(m, from->entries[i].generation, file->path, file->path_length, file->build_id,
                                       file->build_id_length);
                if (r)
                        return r;
        }
        return 0;
}
