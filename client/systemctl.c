/* SPDX-License-Identifier: Apache-2.0 */

/* systemctl(1) as a child process. Called by command_unit.c. */

#include "client/systemctl.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 4096

/* An array that execve(2) takes: "systemctl", "--no-pager", then the caller's. */
static char **make_argv(const char *const *arguments) {
        static const char *const first[] = {"systemctl", "--no-pager"};
        size_t n = 0;
        while (arguments[n])
                n++;
        char **argv = memory_zalloc((n + 3) * sizeof *argv);
        argv[0] = (char *)first[0];
        argv[1] = (char *)first[1];
        for (size_t i = 0; i < n; i++)
                argv[2 + i] = (char *)arguments[i];
        return argv;
}

static int spawn(const char *const *arguments, int out, pid_t *pidp) {
        posix_spawn_file_actions_t actions;
        AUTO_FREE char **argv = make_argv(arguments);
        posix_spawn_file_actions_init(&actions);
        if (out >= 0)
                posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        else
                posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        int r = posix_spawnp(pidp, argv[0], &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static char *read_all(int fd) {
        char *text = memory_grow(NULL, 1, 1);
        size_t length = 0;
        for (;;) {
                text = memory_grow(text, length + CHUNK + 1, 1);
                ssize_t n = read(fd, text + length, CHUNK);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                length += (size_t)n;
        }
        text[length] = '\0';
        return text;
}

int systemctl_run(const char *const *arguments, char **outputp) {
        int ends[2] = {-1, -1};
        if (outputp && pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        AUTO_CLOSE int from = ends[0];
        pid_t pid;
        int r = spawn(arguments, ends[1], &pid);
        if (ends[1] >= 0)
                close(ends[1]);
        if (r < 0)
                return r;
        if (outputp)
                *outputp = read_all(from);
        int status;
        while (waitpid(pid, &status, 0) < 0) {
                if (errno != EINTR)
                        return -errno;
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

bool systemctl_is_here(void) {
        struct stat st;
        return lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode);
}

char *systemctl_property(const char *output, const char *name) {
        size_t length = strlen(name);
        for (const char *line = output; line && *line; line = strchr(line, '\n'), line += line != NULL) {
                if (strncmp(line, name, length) == 0 && line[length] == '=')
                        return memory_copy(line + length + 1, strcspn(line + length + 1, "\n"));
        }
        return memory_copy("", 0);
}
