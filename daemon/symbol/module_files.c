/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Descriptors of modules' files by uid and build id. Filled by the threads that
 * read agent.sock, asked by the symbolizer's. What is closed is closed after the
 * mutex is given back.
 */

#include "daemon/symbol/module_files.h"

#include "daemon/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LENGTH_MAX 4096 /* PATH_MAX of linux/limits.h; longer names no file */

/* What a file is known by: its build id, else its path. */
struct key {
        uint32_t uid;
        bool is_path;
        size_t length;
        const uint8_t *bytes;
};

struct file {
        LIST_ENTRY(file) in_bucket;
        TAILQ_ENTRY(file) in_owner;
        struct owner *owner;
        uint64_t inode;
        uint32_t device_major, device_minor;
        int fd;
        bool is_path;
        size_t length;
        uint8_t bytes[];
};

LIST_HEAD(bucket, file);

struct owner {
        LIST_ENTRY(owner) in_files;
        TAILQ_HEAD(, file) by_use; /* least recently used first */
        uint32_t uid, n_files;
};

struct module_files {
        pthread_mutex_t mutex;
        struct module_files_limits limits;
        uint32_t n_files;
        LIST_HEAD(, owner) owners; /* those with files */
        size_t n_buckets;
        struct bucket buckets[];
};

static struct key key_of(uint32_t uid, const void *path, size_t path_length, const uint8_t *build_id,
                         size_t build_id_length) {
        if (build_id_length > 0 && build_id_length <= MODULE_FILES_BUILD_ID_MAX)
                return (struct key){uid, false, build_id_length, build_id};
        return (struct key){uid, true, path_length, path};
}

/* FNV-1a. A user who makes keys collide slows down lookups among their own few files. */
static struct bucket *bucket_of(struct module_files *files, const struct key *key) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ key->uid;
        for (size_t i = 0; i < key->length; i++)
                hash = (hash ^ key->bytes[i]) * UINT64_C(0x100000001b3);
        return &files->buckets[(hash ^ hash >> 32) % files->n_buckets];
}

static struct file *find(struct module_files *files, const struct key *key) {
        struct file *file;
        LIST_FOREACH(file, bucket_of(files, key), in_bucket) {
                if (file->owner->uid == key->uid && file->is_path == key->is_path && file->length == key->length &&
                    memcmp(file->bytes, key->bytes, key->length) == 0)
                        return file;
        }
        return NULL;
}

static struct owner *find_owner(struct module_files *files, uint32_t uid) {
        struct owner *owner;
        LIST_FOREACH(owner, &files->owners, in_files) {
                if (owner->uid == uid)
                        return owner;
        }
        return NULL;
}

int module_files_new(const struct module_files_limits *limits, struct module_files **filesp) {
        size_t n_buckets = limits->n_files;
        struct module_files *files = calloc(1, sizeof *files + n_buckets * sizeof *files->buckets);
        assert(limits->n_files > 0 && limits->n_files_per_uid > 0);
        if (!files)
                return -ENOMEM;
        if (pthread_mutex_init(&files->mutex, NULL) != 0) {
                free(files);
                return -ENOMEM;
        }
        files->limits = *limits;
        files->n_buckets = n_buckets;
        *filesp = files;
        return 0;
}

/* Take a file out, its owner too when that was the last. Return: its descriptor, for the caller to close. */
static int take_out(struct module_files *files, struct file *file) {
        struct owner *owner = file->owner;
        int fd = file->fd;
        LIST_REMOVE(file, in_bucket);
        TAILQ_REMOVE(&owner->by_use, file, in_owner);
        free(file);
        files->n_files--;
        if (--owner->n_files == 0) {
                LIST_REMOVE(owner, in_files);
                free(owner);
        }
        return fd;
}

struct module_files *module_files_free(struct module_files *files) {
        struct owner *owner;
        if (!files)
                return NULL;
        while ((owner = LIST_FIRST(&files->owners)))
                close(take_out(files, TAILQ_FIRST(&owner->by_use)));
        pthread_mutex_destroy(&files->mutex);
        free(files);
        return NULL;
}

/* What is known without asking the file system (a hostile FUSE could let us wait). */
static int examine(int fd, struct statx *statusp) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY ||
            statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, statusp) < 0 ||
            !S_ISREG(statusp->stx_mode))
                return MODULE_FILES_E_REFUSED;
        return 0;
}

static bool is_same(const struct file *file, const struct statx *status) {
        return file->inode == status->stx_ino && file->device_major == status->stx_dev_major &&
               file->device_minor == status->stx_dev_minor;
}

static void set_file(struct file *file, const struct statx *status, int fd) {
        file->inode = status->stx_ino;
        file->device_major = status->stx_dev_major;
        file->device_minor = status->stx_dev_minor;
        file->fd = fd;
}

static void use(struct file *file) {
        TAILQ_REMOVE(&file->owner->by_use, file, in_owner);
        TAILQ_INSERT_TAIL(&file->owner->by_use, file, in_owner);
}

static struct owner *owner_of(struct module_files *files, uint32_t uid) {
        struct owner *owner = find_owner(files, uid);
        if (owner || !(owner = calloc(1, sizeof *owner)))
                return owner;
        owner->uid = uid;
        TAILQ_INIT(&owner->by_use);
        LIST_INSERT_HEAD(&files->owners, owner, in_files);
        return owner;
}

/* Whoever is over a limit lets the file go that they used least recently. Return: its descriptor; -1. */
static int evict(struct module_files *files, const struct owner *newcomer) {
        struct owner *owner, *most = NULL;
        if (newcomer && newcomer->n_files >= files->limits.n_files_per_uid)
                return take_out(files, TAILQ_FIRST(&newcomer->by_use));
        if (files->n_files < files->limits.n_files)
                return -1;
        LIST_FOREACH(owner, &files->owners, in_files) {
                if (!most || owner->n_files > most->n_files)
                        most = owner;
        }
        return take_out(files, TAILQ_FIRST(&most->by_use));
}

/* @evictedp: to be closed by the caller, whatever is returned */
static int insert(struct module_files *files, const struct key *key, const struct statx *status, int fd,
                  int *evictedp) {
        struct file *file = calloc(1, sizeof *file + key->length);
        if (!file)
                return -ENOMEM;

        *evictedp = evict(files, find_owner(files, key->uid));
        file->owner = owner_of(files, key->uid);
        if (!file->owner) {
                free(file);
                return -ENOMEM;
        }
        set_file(file, status, fd);
        file->is_path = key->is_path;
        file->length = key->length;
        memcpy(file->bytes, key->bytes, key->length);
        LIST_INSERT_HEAD(bucket_of(files, key), file, in_bucket);
        TAILQ_INSERT_TAIL(&file->owner->by_use, file, in_owner);
        file->owner->n_files++;
        files->n_files++;
        return 0;
}

int module_files_add(struct module_files *files, uint32_t uid, const void *path, size_t path_length,
                     const uint8_t *build_id, size_t build_id_length, int fd) {
        struct key key = key_of(uid, path, path_length, build_id, build_id_length);
        AUTO_CLOSE int new_fd = fd, old_fd = -1;
        struct statx status;
        if (key.length == 0 || key.length > PATH_LENGTH_MAX || examine(fd, &status) != 0)
                return MODULE_FILES_E_REFUSED;
        int r = 0;
        pthread_mutex_lock(&files->mutex);
        struct file *file = find(files, &key);
        if (!file) {
                r = insert(files, &key, &status, new_fd, &old_fd);
                if (r == 0)
                        fd_steal(&new_fd);
        } else {
                use(file);
                if (!is_same(file, &status)) {
                        old_fd = file->fd;
                        set_file(file, &status, fd_steal(&new_fd));
                }
        }
        pthread_mutex_unlock(&files->mutex);
        return r;
}

int module_files_get(struct module_files *files, uint32_t uid, const void *path, size_t path_length,
                     const uint8_t *build_id, size_t build_id_length, int *fdp) {
        struct key key = key_of(uid, path, path_length, build_id, build_id_length);
        int r = MODULE_FILES_E_UNKNOWN;
        pthread_mutex_lock(&files->mutex);
        struct file *file = find(files, &key);
        if (file) {
                use(file);
                int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
                r = fd < 0 ? -errno : 0;
                if (fd >= 0)
                        *fdp = fd;
        }
        pthread_mutex_unlock(&files->mutex);
        return r;
}

uint32_t module_files_count(struct module_files *files, uint32_t uid) {
        pthread_mutex_lock(&files->mutex);
        struct owner *owner = find_owner(files, uid);
        uint32_t n = owner ? owner->n_files : 0;
        pthread_mutex_unlock(&files->mutex);
        return n;
}

void module_files_check(struct module_files *files) {
        struct owner *owner;
        struct file *file;
        uint32_t n = 0, n_in_buckets = 0;
        pthread_mutex_lock(&files->mutex);
        LIST_FOREACH(owner, &files->owners, in_files) {
                uint32_t n_of_owner = 0;
                TAILQ_FOREACH(file, &owner->by_use, in_owner) {
                        struct key key = {owner->uid, file->is_path, file->length, file->bytes};
                        assert(file->owner == owner && file->fd >= 0 && find(files, &key) == file);
                        n_of_owner++;
                }
                assert(n_of_owner > 0 && n_of_owner == owner->n_files && n_of_owner <= files->limits.n_files_per_uid);
                n += n_of_owner;
        }
        for (size_t i = 0; i < files->n_buckets; i++) {
                LIST_FOREACH(file, &files->buckets[i], in_bucket) {
                        n_in_buckets++;
                }
        }
        assert(n == files->n_files && n == n_in_buckets && n <= files->limits.n_files);
        pthread_mutex_unlock(&files->mutex);
}
