/* SPDX-License-Identifier: Apache-2.0 */

/* Looks into /proc. Called by unit_watch.c. */

#include "client/process_environment.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* A zombie has none any more; its environment reads as empty. */
static bool has_program(unsigned long pid) {
        char byte;
        AUTO_FREE char *path = memory_format("/proc/%lu/exe", pid);
        return readlink(path, &byte, 1) > 0;
}

static bool has_variable(const char *environment, size_t n, const char *name) {
        size_t length = strlen(name);
        for (const char *at = environment; at < environment + n;
             at += strnlen(at, n - (size_t)(at - environment)) + 1) {
                if (strncmp(at, name, length) == 0 && at[length] == '=')
                        return true;
        }
        return false;
}

bool process_environment_lacks(unsigned long pid, const char *name) {
        char environment[(1 << 16) + 1];
        AUTO_FREE char *path = memory_format("/proc/%lu/environ", pid);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, environment, sizeof environment - 1);
        if (pid == 0 || n < 0 || (size_t)n == sizeof environment - 1)
                return false;
        environment[n] = 0;
        return !has_variable(environment, (size_t)n, name) && has_program(pid);
}
