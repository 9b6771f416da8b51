/* SPDX-License-Identifier: Apache-2.0 */

/* Directories and companion files. Main thread, at the start. */

#include "daemon/places.h"

#include "daemon/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNTIME_DIR_SYSTEM "/run/tracemallocd"
#define STATE_DIR_SYSTEM   "/var/lib/tracemallocd"

static const char *environment(const char *name) {
        const char *value = getenv(name);
        return value && *value ? value : NULL;
}

/* systemd.exec(5): several directories are separated by ':', ours has one. */
static char *systemd_directory(const char *name) {
        const char *value = environment(name);
        return value ? strndup(value, strcspn(value, ":")) : NULL;
}

static int default_runtime_dir(char **dirp) {
        *dirp = systemd_directory("RUNTIME_DIRECTORY");
        if (*dirp)
                return 0;
        const char *xdg = environment("XDG_RUNTIME_DIR");
        int n = geteuid() == 0 ? asprintf(dirp, "%s", RUNTIME_DIR_SYSTEM)
                : xdg          ? asprintf(dirp, "%s/tracemallocd", xdg)
                               : asprintf(dirp, "/run/user/%u/tracemallocd", (unsigned)geteuid());
        return n < 0 ? -ENOMEM : 0;
}

static int default_state_dir(char **dirp) {
        *dirp = systemd_directory("STATE_DIRECTORY");
        if (*dirp)
                return 0;
        const char *xdg = environment("XDG_STATE_HOME"), *home = environment("HOME");
        if (geteuid() != 0 && !xdg && !home)
                return -ENOENT;
        int n = geteuid() == 0 ? asprintf(dirp, "%s", STATE_DIR_SYSTEM)
                : xdg          ? asprintf(dirp, "%s/tracemallocd", xdg)
                               : asprintf(dirp, "%s/.local/state/tracemallocd", home);
        return n < 0 ? -ENOMEM : 0;
}

/* An installed daemon has its companions in the package's library folder; one that runs from a build tree has them
 * beside it. */
static char *companion(const char *in_build_tree, const char *installed) {
        char exe[4096], path[sizeof exe + 64];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
        if (n > 0) {
                exe[n] = '\0';
                char *slash = strrchr(exe, '/');
                if (slash)
                        *slash = '\0';
                snprintf(path, sizeof path, "%s/%s", exe, in_build_tree);
                if (access(path, R_OK) == 0)
                        return realpath(path, NULL);
        }
        return strdup(installed);
}

static int choose(const char *option, const char *variable, int (*fallback)(char **), char **dirp) {
        const char *given = option ? option : environment(variable);
        if (!given)
                return fallback(dirp);
        *dirp = strdup(given);
        return *dirp ? 0 : -ENOMEM;
}

int places_init(struct places *p, const char *runtime_dir, const char *state_dir) {
        *p = (struct places){0};
        int r = choose(runtime_dir, "TRACEMALLOCD_RUNTIME_DIR", default_runtime_dir, &p->runtime_dir);
        if (r == 0)
                r = choose(state_dir, "TRACEMALLOCD_STATE_DIR", default_state_dir, &p->state_dir);
        if (r < 0) {
                places_deinit(p);
                return r;
        }
        p->system = strcmp(p->runtime_dir, RUNTIME_DIR_SYSTEM) == 0;
        p->agent_path = companion("../agent/libtracemalloc-agent.so", PKGLIBDIR "/libtracemalloc-agent.so");
        p->symbolizer_path = companion("symbol/tracemallocd-symbolizer", PKGLIBDIR "/tracemallocd-symbolizer");
        if (p->agent_path && p->symbolizer_path)
                return 0;
        places_deinit(p);
        return -ENOMEM;
}

void places_deinit(struct places *p) {
        free(p->runtime_dir);
        free(p->state_dir);
        free(p->agent_path);
        free(p->symbolizer_path);
        *p = (struct places){0};
}

static int make_directory(const char *path, mode_t mode) {
        AUTO_FREE char *copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int places_lock_runtime(const struct places *p) {
        /* traced processes of all users connect to the system's sockets; a private daemon's are its user's alone */
        int r = make_directory(p->runtime_dir, p->system ? 0755 : 0700);
        if (r < 0)
                return r;
        AUTO_FREE char *path = NULL;
        if (asprintf(&path, "%s/lock", p->runtime_dir) < 0)
                return -ENOMEM;
        AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        return fd_steal(&fd);
}
