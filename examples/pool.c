/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A pool allocator that tells tracemallocd of its blocks: one malloc holds all of them, so without that nobody
 * sees who has them.
 *
 *     cc -g -o pool examples/pool.c $(pkg-config --cflags --libs tracemallocd)
 *     tmctl run -- ./pool
 *     tmctl stats last --domain pool
 *     tmctl list                        # the peak snapshot says in which phase the peak was
 */

#include <tracemallocd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_DOMAIN 481735 /* any number that nobody else has */

struct pool {
        char *memory;
        size_t used, size;
};

static void *pool_get(struct pool *pool, size_t size) {
        size_t needed = (size + 15) & ~(size_t)15;
        if (needed > pool->size - pool->used)
                return NULL;
        void *block = pool->memory + pool->used;
        pool->used += needed;
        tm_track(POOL_DOMAIN, (uintptr_t)block, size);
        return block;
}

/* The last one only: it is a small pool. */
static void pool_put(struct pool *pool, void *block) {
        tm_untrack(POOL_DOMAIN, (uintptr_t)block);
        pool->used = (size_t)((char *)block - pool->memory);
}

static char *copy_text(struct pool *pool, const char *text) {
        char *copy = pool_get(pool, strlen(text) + 1);
        return copy ? strcpy(copy, text) : NULL;
}

static void sort_numbers(struct pool *pool, int n) {
        int *numbers = pool_get(pool, (size_t)n * sizeof *numbers);
        for (int i = 0; numbers && i < n; i++)
                numbers[i] = n - i;
        if (numbers)
                pool_put(pool, numbers);
}

int main(void) {
        struct pool pool = {.memory = malloc(1 << 20), .size = 1 << 20};
        if (!pool.memory)
                return 1;
        tm_domain_name(POOL_DOMAIN, "pool");
        tm_phase("loading");
        char *names[100];
        for (int i = 0; i < 100; i++)
                names[i] = copy_text(&pool, "a name that is kept");
        tm_phase("sorting");
        sort_numbers(&pool, 100000);
        tm_phase("done");
        printf("%s\n", names[99]);
        return 0; /* the names are left to the exit snapshot */
}
