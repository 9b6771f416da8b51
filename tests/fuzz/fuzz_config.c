/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration file: whatever is in it, either it is taken or one line says what is wrong. */

#include "daemon/config.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        int fd = memfd_create("config", MFD_CLOEXEC);
        assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        struct config config;
        assert(config_init(&config) == 0);
        char *error = NULL;
        int r = config_read(&config, path, true, &error);
        assert(r == 0 || r == CONFIG_E_INVALID);
        assert((r == 0) == !error);
        assert(!error || strncmp(error, path, strlen(path)) == 0);
        /* what was taken is in range */
        assert(config.workers >= 1 && config.workers <= 64);
        assert(config.processes_per_user >= 1 && config.connections_per_user >= 1);
        free(error);
        config_deinit(&config);
        close(fd);
        return 0;
}
