/* SPDX-License-Identifier: Apache-2.0 */

/* Runtime and state directories. Called by session.c, once a run. */

#include "client/places.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *environment(const char *name) {
        return getenv(name);
}

void places_input_init(struct places_input *input) {
        *input = (struct places_input){
                .uid = geteuid(), .run_root = "/run/user", .tmp_root = "/tmp", .getenv = environment};
}

static const char *value_of(const struct places_input *input, const char *name) {
        const char *value = input->getenv(name);
        return value && value[0] ? value : NULL;
}

bool places_is_own_dir(const char *path, uid_t uid) {
        struct stat st;
        return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool exists(const char *path) {
        struct stat st;
        return lstat(path, &st) == 0;
}

static char *absolute(const char *path) {
        AUTO_FREE char *folder = path[0] == '/' ? NULL : get_current_dir_name();
        return folder ? memory_format("%s/%s", folder, path) : memory_copy(path, strlen(path));
}

static char *temporary_runtime_dir(const struct places_input *input) {
        return memory_format("%s/tracemallocd-%u", input->tmp_root, (unsigned)input->uid);
}

static char *user_runtime_dir(const struct places_input *input) {
        const char *xdg = value_of(input, "XDG_RUNTIME_DIR");
        if (xdg && xdg[0] == '/' && places_is_own_dir(xdg, input->uid))
                return memory_format("%s/tracemallocd", xdg);
        AUTO_FREE char *run = memory_format("%s/%u", input->run_root, (unsigned)input->uid);
        /* systemd-logind makes it at login; root can do so itself, in cron jobs and containers */
        if (places_is_own_dir(run, input->uid) || (input->uid == 0 && !exists(run)))
                return memory_format("%s/tracemallocd", run);
        return temporary_runtime_dir(input);
}

static char *user_state_dir(const struct places_input *input) {
        const char *chosen = input->state_dir ? input->state_dir : value_of(input, "TRACEMALLOCD_STATE_DIR");
        if (chosen)
                return absolute(chosen);
        const char *xdg = value_of(input, "XDG_STATE_HOME");
        if (xdg && xdg[0] == '/')
                return memory_format("%s/tracemallocd", xdg);
        const char *home = value_of(input, "HOME");
        if (!home) { /* a service or cron job */
                const struct passwd *entry = getpwuid(input->uid);
                home = entry ? entry->pw_dir : NULL;
        }
        return home && home[0] == '/' ? memory_format("%s/.local/state/tracemallocd", home) : NULL;
}

static void add_runtime_dir(struct places *places, const char *dir) {
        places->runtime_dirs[places->n_runtime_dirs++] = memory_copy(dir, strlen(dir));
}

void places_init(struct places *places, const struct places_input *input) {
        *places = (struct places){0};
        const char *environment_dir = input->system || input->user ? NULL : value_of(input, "TRACEMALLOCD_RUNTIME_DIR");
        const char *chosen = input->runtime_dir ? input->runtime_dir : environment_dir;
        if (chosen) {
                places->runtime_dirs[places->n_runtime_dirs++] = absolute(chosen);
                return;
        }
        if (!input->user)
                add_runtime_dir(places, PLACES_SYSTEM_RUNTIME);
        if (!input->system) {
                places->user_runtime_dir = user_runtime_dir(input);
                places->user_fallback_dir = temporary_runtime_dir(input);
                places->user_state_dir = user_state_dir(input);
                add_runtime_dir(places, places->user_runtime_dir);
        }
}

void places_deinit(struct places *places) {
        for (unsigned i = 0; i < places->n_runtime_dirs; i++)
                free(places->runtime_dirs[i]);
        free(places->user_runtime_dir);
        free(places->user_fallback_dir);
        free(places->user_state_dir);
        *places = (struct places){0};
}

int places_make_own_dir(const char *path, uid_t uid) {
        AUTO_FREE char *part = memory_copy(path, strlen(path));
        for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
                        return -errno;
                *slash = '/';
        }
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        return places_is_own_dir(path, uid) ? 0 : PLACES_E_UNSAFE;
}
