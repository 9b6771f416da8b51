/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Making the memory of an epoch: two memfds, sealed, or private memory where the
 * records go through the socket. Runs in the one thread that arms the agent.
 */

#include "agent/epoch.h"

#include "agent/sys.h"

#include <errno.h>

/* 64 MiB of nodes and 128 MiB of items, sparse: they cost what is used. Code objects are what fills items: a program
 * that makes them all day says so in 60 to 200 bytes each. */
#define NODES_LOG2_DEFAULT 22
#define NODES_LOG2_MIN     12
#define ITEMS_LOG2_DEFAULT 27
#define ITEMS_LOG2_MIN     16

static uint64_t limit_of(int resource) {
        struct rlimit limit;
        return sys_getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

static int map_memfd(const char *name, size_t bytes, void **memoryp, int *fdp) {
        int fd = sys_memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *memory = NULL;
        if (fd < 0)
                return fd;
        int r = sys_ftruncate(fd, bytes); /* the caller has looked at RLIMIT_FSIZE: SIGXFSZ kills */
        if (r == 0) {
                memory = sys_map(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd);
                r = memory ? 0 : -ENOMEM;
        }
        /* after the mapping, which F_SEAL_FUTURE_WRITE leaves as the only one to write through */
        if (r == 0)
                r = sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
        if (r < 0) {
                if (memory)
                        sys_unmap(memory, bytes);
                sys_close(fd);
                return r;
        }
        *memoryp = memory;
        *fdp = fd;
        return 0;
}

static int map_part(const char *name, bool shared, size_t bytes, void **memoryp, int *fdp) {
        if (shared)
                return map_memfd(name, bytes, memoryp, fdp);
        *memoryp = sys_map_memory(bytes);
        return *memoryp ? 0 : -ENOMEM;
}

static int make_ring(struct epoch *epoch, unsigned log2_size, bool shared, uint64_t budget) {
        int r = -ENOMEM;
        for (; log2_size >= RING_LOG2_SIZE_MIN; log2_size--) {
                epoch->ring_bytes = RING_HEADER_BYTES + ((size_t)1 << log2_size);
                if (epoch->ring_bytes > budget)
                        continue;
                r = map_part("tracemallocd-ring", shared, epoch->ring_bytes, &epoch->ring_memory, &epoch->ring_fd);
                if (r != -ENOMEM)
                        break;
        }
        if (r == 0)
                ring_writer_init(&epoch->ring, epoch->ring_memory, log2_size, epoch->own_control);
        return r;
}

static int make_definitions(struct epoch *epoch, bool shared, uint64_t budget) {
        unsigned nodes_log2 = NODES_LOG2_DEFAULT, items_log2 = ITEMS_LOG2_DEFAULT;
        int r = -ENOMEM;
        for (; nodes_log2 >= NODES_LOG2_MIN; nodes_log2--) {
                epoch->definitions_bytes = definitions_bytes(UINT32_C(1) << nodes_log2, UINT64_C(1) << items_log2);
                if (epoch->definitions_bytes <= budget) {
                        r = map_part("tracemallocd-definitions", shared, epoch->definitions_bytes,
                                     &epoch->definitions_memory, &epoch->definitions_fd);
                        if (r != -ENOMEM)
                                break;
                }
                if (items_log2 > ITEMS_LOG2_MIN)
                        items_log2--;
        }
        if (r == 0)
                definitions_init(&epoch->definitions, epoch->definitions_memory, UINT32_C(1) << nodes_log2,
                                 UINT64_C(1) << items_log2);
        return r;
}

void epoch_free(struct epoch *epoch) {
        epoch_close_fds(epoch);
        epoch_unmap_foreign(epoch);
        trie_deinit(&epoch->trie);
        if (epoch->own_control)
                sys_unmap(epoch->own_control, CONTROL_BYTES);
        sys_unmap(epoch, sizeof *epoch);
}

int epoch_new(unsigned log2_ring, bool shared, struct epoch **epochp) {
        struct epoch *epoch = sys_map_memory(sizeof *epoch);
        uint64_t file = shared ? limit_of(RLIMIT_FSIZE) : UINT64_MAX, space = limit_of(RLIMIT_AS);
        if (!epoch)
                return -ENOMEM;
        /* under a limit, the program needs the address space more than we do */
        if (space != UINT64_MAX)
                space /= 16;
        epoch->ring_fd = epoch->definitions_fd = -1;
        epoch->own_control = sys_map_memory(CONTROL_BYTES);
        int r = epoch->own_control ? 0 : -ENOMEM;
        if (r == 0)
                r = make_ring(epoch, log2_ring, shared, file < space ? file : space);
        if (r == 0)
                r = make_definitions(epoch, shared, file < space ? file : space);
        if (r == 0)
                r = trie_init(&epoch->trie);
        if (r < 0) {
                epoch_free(epoch);
                return r;
        }
        epoch->own_control->magic = CONTROL_MAGIC;
        epoch->own_control->version = RING_VERSION;
        atomic_store(&epoch->own_control->fill_mark, UINT64_MAX);
        modules_init(&epoch->modules, &epoch->definitions, &epoch->ring, &epoch->trie);
        *epochp = epoch;
        return 0;
}

int epoch_inherit(struct epoch *epoch, const struct epoch *parent) {
        int r = definitions_copy_nodes(&epoch->definitions, &parent->definitions);
        if (r < 0)
                return r;
        trie_share(&epoch->trie, &parent->trie);
        modules_copy(&epoch->modules, &parent->modules);
        return 0;
}

void epoch_close_fds(struct epoch *epoch) {
        if (epoch->ring_fd >= 0)
                sys_close(epoch->ring_fd);
        if (epoch->definitions_fd >= 0)
                sys_close(epoch->definitions_fd);
        epoch->ring_fd = epoch->definitions_fd = -1;
}

/* Fresh memory in its place, in one step: a hook that is still writing there notices nothing. From a file that is
 * sealed nothing can be taken away. */
static void discard(void *memory, size_t bytes) {
        sys_map(memory, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1);
}

void epoch_discard_pages(struct epoch *epoch) {
        discard((char *)epoch->ring_memory + RING_HEADER_BYTES, epoch->ring_bytes - RING_HEADER_BYTES);
        discard((char *)epoch->definitions_memory + DEFINITIONS_HEADER_BYTES,
                epoch->definitions_bytes - DEFINITIONS_HEADER_BYTES);
}

void epoch_unmap_foreign(struct epoch *epoch) {
        if (epoch->ring_memory)
                sys_unmap(epoch->ring_memory, epoch->ring_bytes);
        if (epoch->definitions_memory)
                sys_unmap(epoch->definitions_memory, epoch->definitions_bytes);
        epoch->ring_memory = epoch->definitions_memory = NULL;
}
