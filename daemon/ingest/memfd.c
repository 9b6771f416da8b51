/* SPDX-License-Identifier: Apache-2.0 */

/* Checks and makes memfds. Main loop's thread; called by ring_reader.c, definitions.c, worker.c. */

#include "daemon/ingest/memfd.h"

#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* linux/fcntl.h, since 5.1 */
#endif

static const char *refusal(int fd, uint64_t bytes_min, uint64_t bytes_max, uint64_t *bytesp) {
        struct stat st;
        struct statfs fs;
        if (fstat(fd, &st) || !S_ISREG(st.st_mode))
                return "descriptor is no regular file";
        if (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC)
                return "descriptor is not on tmpfs";
        if (fs.f_bsize != sysconf(_SC_PAGESIZE))
                return "descriptor has pages of another size";
        const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
        int seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & wanted) != wanted)
                return "descriptor is not sealed";
        /* the size after the seals: before them it may still change */
        if (fstat(fd, &st) || st.st_size < 0 || (uint64_t)st.st_size < bytes_min || (uint64_t)st.st_size > bytes_max)
                return "descriptor has a size outside the bounds";
        *bytesp = (uint64_t)st.st_size;
        return NULL;
}

int memfd_map_peer(int fd, uint64_t bytes_min, uint64_t bytes_max, const void **memoryp, uint64_t *bytesp,
                   const char **reasonp) {
        uint64_t bytes;
        const char *reason = refusal(fd, bytes_min, bytes_max, &bytes);
        if (reason) {
                *reasonp = reason;
                return MEMFD_E_REFUSED;
        }
        void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (memory == MAP_FAILED) {
                if (errno != EACCES)
                        return -errno;
                *reasonp = "descriptor is not readable";
                return MEMFD_E_REFUSED;
        }
        (void)madvise(memory, bytes, MADV_DONTDUMP); /* a core is of the daemon, not of all rings */
        *memoryp = memory;
        *bytesp = bytes;
        return 0;
}

/* A descriptor of the same file with a description of its own. Only of what refusal() lets pass: opening a device may
 * do anything, and opening a file that somebody has a lease on waits without O_NONBLOCK. */
static int open_again(int fd) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int memfd_tie_peer(int fd, int *ownp) {
        uint64_t bytes;
        if (refusal(fd, 0, UINT64_MAX, &bytes))
                return MEMFD_E_REFUSED;
        AUTO_CLOSE int own = open_again(fd);
        if (own < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
                return -errno;
        *ownp = fd_steal(&own);
        return 0;
}

bool memfd_is_tied(int own) {
        /* one that can be written to is the peer's own, which could not be tied: no lock says anything */
        if (own < 0 || (fcntl(own, F_GETFL) & O_ACCMODE) != O_RDONLY || flock(own, LOCK_EX | LOCK_NB) < 0)
                return true;
        flock(own, LOCK_UN);
        return false;
}

int memfd_make(const char *name, size_t bytes, int seals, int *fdp, void **memoryp) {
        AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || ftruncate(fd, (off_t)bytes))
                return -errno;
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals)) {
                int r = -errno;
                munmap(memory, bytes);
                return r;
        }
        *fdp = fd_steal(&fd);
        *memoryp = memory;
        return 0;
}

int memfd_reader(int fd, int *readerp) {
        if (fchmod(fd, 0400) < 0)
                return -errno;
        int reader = open_again(fd);
        if (reader < 0)
                return -errno;
        *readerp = reader;
        return 0;
}

void *memfd_map_own(int fd, size_t bytes) {
        struct stat st;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
                return NULL;
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return memory == MAP_FAILED ? NULL : memory;
}
