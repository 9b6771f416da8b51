/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Open descriptors of the files that traced processes map, as their agents
 * hand them over: the right file even when the path leads elsewhere from here
 * (another mount namespace, a package upgraded meanwhile), kept after the
 * process died.
 *
 * Files belong to the uid that brought them and are found by that uid only: a
 * file says what its owner likes about its build id. A file is known by its
 * build id, by its path where it has none; a newer one takes the place of an
 * older one.
 *
 * Any thread; a mutex inside, held for no system call that a peer could stretch.
 */

#include <stddef.h>
#include <stdint.h>

#define MODULE_FILES_BUILD_ID_MAX 32 /* as struct snapshot_module */

struct module_files;

struct module_files_limits {
        uint32_t n_files;         /* descriptors in all; over it the uid with the most loses its least recently used */
        uint32_t n_files_per_uid; /* over it the uid loses its least recently used */
};

enum {
        MODULE_FILES_E_REFUSED = 1, /* not a regular file, or not readable */
        MODULE_FILES_E_UNKNOWN = 2, /* this uid brought no such file, or it was let go */
};

/** module_files_new() - an empty registry
 * @limits: both at least 1; copied
 * Return: 0; -ENOMEM. */
int module_files_new(const struct module_files_limits *limits, struct module_files **filesp);

/** module_files_free() - close all; nobody may use it any more; NULL is fine. Return: NULL. */
struct module_files *module_files_free(struct module_files *files);

/** module_files_add() - keep a descriptor
 * @path: as the agent names it, borrowed
 * @build_id: [build_id_length] what the agent says; longer than MODULE_FILES_BUILD_ID_MAX or empty counts as none
 * @fd: taken, whatever is returned; closed at once where the same file is there already
 * O(1). Return: 0; MODULE_FILES_E_REFUSED; -ENOMEM. */
int module_files_add(struct module_files *files, uint32_t uid, const void *path, size_t path_length,
                     const uint8_t *build_id, size_t build_id_length, int fd);

/** module_files_get() - a duplicate of the descriptor of one file
 * @fdp: set on 0 only, close-on-exec, the caller closes it
 * O(1); marks the file as used.
 * Return: 0; MODULE_FILES_E_UNKNOWN; -errno of the duplication. */
int module_files_get(struct module_files *files, uint32_t uid, const void *path, size_t path_length,
                     const uint8_t *build_id, size_t build_id_length, int *fdp);

/** module_files_count() - descriptors held for one uid. O(1) in the number of files, O(uids) */
uint32_t module_files_count(struct module_files *files, uint32_t uid);

/** module_files_check() - assert the invariants; for tests. O(files) */
void module_files_check(struct module_files *files);
