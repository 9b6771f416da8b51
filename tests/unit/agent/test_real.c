/* SPDX-License-Identifier: Apache-2.0 */

/* Memory of the time before the real functions are known: none of it reaches them, whenever it comes back. */

#include "agent/real.h"
#include "tests/support/check_main.h"

#include <dlfcn.h>
#include <string.h>

/* As dlsym asks for it. */
static void *pool_block(void *(*boot_malloc)(size_t), size_t size) {
        thread_state.resolving = 1;
        void *block = boot_malloc(size);
        thread_state.resolving = 0;
        ck_assert_ptr_nonnull(block);
        ck_assert(real_is_pool(block));
        return block;
}

static void takes_blocks_of_both_kinds(void *pool) {
        strcpy(pool, "in the pool");
        char *block = real.realloc(pool, 4096);
        ck_assert(!real_is_pool(block));
        ck_assert_str_eq(block, "in the pool");
        block = real.realloc(block, 100000);
        ck_assert_str_eq(block, "in the pool");
        real.free(block);
        real.free(pool);
        real.free(pool); /* to libc this would be a double free */
        real.free(NULL);
        block = real.realloc(NULL, 10);
        ck_assert(!real_is_pool(block));
        real.free(block);
}

START_TEST(block_of_the_pool_comes_back_before_libc_is_known)
{
        void *pool = pool_block(real.malloc, 20);
        thread_state.resolving = 1;
        real.free(pool);
        thread_state.resolving = 0;
        takes_blocks_of_both_kinds(pool);
}
END_TEST

START_TEST(block_of_the_pool_comes_back_later)
{
        void *pool = pool_block(real.malloc, 20);
        real_setup();
        takes_blocks_of_both_kinds(pool);
}
END_TEST

/* A thread that was about to take it when another one found libc's functions. */
START_TEST(block_of_the_pool_may_come_late)
{
        void *(*boot_malloc)(size_t) = real.malloc;
        real_setup();
        void *pool = pool_block(boot_malloc, 20);
        takes_blocks_of_both_kinds(pool);
        real_setup();
        takes_blocks_of_both_kinds(pool);
}
END_TEST

START_TEST(without_the_pool_there_is_nothing_before_libc)
{
        real_setup();
        ck_assert_ptr_eq((void *)real.free, dlsym(RTLD_DEFAULT, "free"));
        ck_assert_ptr_eq((void *)real.realloc, dlsym(RTLD_DEFAULT, "realloc"));
}
END_TEST

CHECK_MAIN("real", block_of_the_pool_comes_back_before_libc_is_known, block_of_the_pool_comes_back_later,
           block_of_the_pool_may_come_late, without_the_pool_there_is_nothing_before_libc)
