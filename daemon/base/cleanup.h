/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Objects that a scope owns clean themselves; handing one over sets the local to NULL (fd_steal() to -1). */

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer) {
        free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd) {
        if (*fd >= 0)
                close(*fd);
}

/* fd_close() - close what a field holds, if it holds one: -1 afterwards */
static inline void fd_close(int *fd) {
        cleanup_close(fd);
        *fd = -1;
}

static inline int fd_steal(int *fd) {
        int stolen = *fd;
        *fd = -1;
        return stolen;
}

#define AUTO_FREE  __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))
