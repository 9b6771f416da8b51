/* SPDX-License-Identifier: Apache-2.0 */

/* The account; see life.h. */

#include "tests/support/life/life.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define N_LANES 64 /* threads take turns */

struct lane {
        _Atomic uint64_t allocs_begun, alloc_bytes_begun, allocs_done, alloc_bytes_done;
        _Atomic uint64_t frees_begun, free_bytes_begun, frees_done, free_bytes_done;
};

static struct lane *ledger;
static _Atomic unsigned n_lanes_taken;
static __thread struct lane *own_lane;

static struct lane *ledger_map(void) {
        const char *folder = getenv("LIFE_LEDGERS");
        size_t bytes = N_LANES * sizeof(struct lane);
        void *memory;
        int fd = -1;
        for (int n = 1; folder && fd < 0 && n < 10000; n++) {
                char path[512];
                snprintf(path, sizeof path, "%s/%d.%d", folder, (int)getpid(), n);
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
                if (fd < 0 && errno != EEXIST)
                        break;
        }
        if (fd >= 0)
                EXPECT(ftruncate(fd, (off_t)bytes) == 0);
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
        EXPECT(memory != MAP_FAILED);
        if (fd >= 0)
                close(fd);
        return memory;
}

static struct lane *lane(void) {
        if (!ledger)
                ledger = ledger_map();
        if (!own_lane)
                own_lane = &ledger[atomic_fetch_add(&n_lanes_taken, 1) % N_LANES];
        return own_lane;
}

/* The child of a fork has its parent's blocks, and from now on an account of its own. */
void ledger_fork(void) {
        struct lane *parent = ledger, *own = ledger_map();
        size_t index = own_lane ? (size_t)(own_lane - parent) : 0;
        memcpy(own, parent, N_LANES * sizeof(struct lane));
        ledger = own;
        own_lane = &own[index];
}

void *volatile kept;

__attribute__((noinline)) void *ledger_malloc(size_t size) {
        struct lane *l = lane();
        atomic_fetch_add(&l->allocs_begun, 1);
        atomic_fetch_add(&l->alloc_bytes_begun, size);
        void *block = malloc(size);
        EXPECT(block);
        atomic_fetch_add(&l->allocs_done, 1);
        atomic_fetch_add(&l->alloc_bytes_done, size);
        kept = block;
        return block;
}

void ledger_free(void *block, size_t size) {
        struct lane *l = lane();
        atomic_fetch_add(&l->frees_begun, 1);
        atomic_fetch_add(&l->free_bytes_begun, size);
        free(block);
        atomic_fetch_add(&l->frees_done, 1);
        atomic_fetch_add(&l->free_bytes_done, size);
}

/* A static constructor, with an account already. */
static __attribute__((constructor(101))) void before_main(void) {
        ledger_malloc(1001);
}
