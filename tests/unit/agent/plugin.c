/* SPDX-License-Identifier: Apache-2.0 */

/* Two libraries of different code that the loader puts at the same address, one after the other. */

#include <stdlib.h>

void *plugin_allocate(size_t size);

#if PLUGIN == 2
static __attribute__((noinline)) void *inner(size_t size) {
        void *volatile block = malloc(size);
        return block;
}

void *plugin_allocate(size_t size) {
        void *volatile block = inner(size);
        return block;
}
#else
void *plugin_allocate(size_t size) {
        void *volatile block = malloc(size);
        return block;
}
#endif
