/* SPDX-License-Identifier: Apache-2.0 */

/* PATH and "#!" lines. Called by command_run.c before the command starts. */

#include "client/program.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT "/bin:/usr/bin" /* execvp(3), where PATH is unset */
#define SCRIPT_DEPTH 5               /* execve(2): interpreters of interpreters */
#define SHEBANG_MAX  256             /* execve(2): the line that the kernel reads */

static int try_program(const char *path) {
        struct stat st;
        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
        return access(path, X_OK) < 0 ? -errno : 0;
}

int program_find(const char *name, const char *path_variable, char **pathp) {
        if (!name[0])
                return -ENOENT;
        if (strchr(name, '/')) {
                int r = try_program(name);
                if (r == 0)
                        *pathp = memory_copy(name, strlen(name));
                return r;
        }
        const char *dirs = path_variable ? path_variable : PATH_DEFAULT;
        AUTO_FREE char *copy = memory_copy(dirs, strlen(dirs));
        char *rest = copy;
        int result = -ENOENT;
        for (char *dir; (dir = strsep(&rest, ":"));) {
                char *path = memory_format("%s/%s", dir[0] ? dir : ".", name);
                int r = try_program(path);
                if (r == 0) {
                        *pathp = path;
                        return 0;
                }
                free(path);
                if (r == -EACCES || r == -EISDIR)
                        result = r;
        }
        return result;
}

/* "#!/usr/bin/env -S python3 -u": the program that env will look for.
 * Return: heap, or NULL when that is not plain to see. */
static char *env_target(char *arguments) {
        char *rest = arguments;
        for (char *word; (word = strsep(&rest, " \t"));) {
                if (!word[0] || strcmp(word, "-S") == 0 || strchr(word, '='))
                        continue;
                return word[0] == '-' ? NULL : memory_copy(word, strlen(word));
        }
        return NULL;
}

/* The interpreter of a script: that of its "#!" line, or the shell as execvp(3) has it.
 * Return: heap; NULL: cannot be told. */
static char *script_interpreter(const char *path, const char *path_variable) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char line[SHEBANG_MAX + 1];
        ssize_t n = fd < 0 ? -1 : read(fd, line, SHEBANG_MAX);
        if (n < 0)
                return NULL;
        line[n] = '\0';
        if (strncmp(line, "#!", 2) != 0)
                return memory_copy("/bin/sh", strlen("/bin/sh"));
        line[strcspn(line, "\n")] = '\0';
        char *begin = line + 2 + strspn(line + 2, " \t");
        char *end = begin + strcspn(begin, " \t");
        char *arguments = *end ? end + 1 : end;
        *end = '\0';
        const char *slash = strrchr(begin, '/');
        AUTO_FREE char *target = slash && strcmp(slash, "/env") == 0 ? env_target(arguments) : NULL;
        char *found;
        if (target && program_find(target, path_variable, &found) == 0)
                return found;
        return memory_copy(begin, strlen(begin));
}

enum elf_verdict program_check(const char *path, const char *path_variable, char **culpritp) {
        AUTO_FREE char *file = memory_copy(path, strlen(path));
        enum elf_verdict verdict = elf_check(file);
        for (int depth = 0; verdict == ELF_NOT_ELF && depth < SCRIPT_DEPTH; depth++) {
                char *interpreter = script_interpreter(file, path_variable);
                if (!interpreter)
                        break;
                free(file);
                file = interpreter;
                verdict = elf_check(file);
        }
        if (verdict != ELF_OK) {
                *culpritp = file;
                file = NULL;
        }
        return verdict;
}
