/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Where the daemon's sockets and database are, from options and environment:
 * the rules of tmctl(1), ENVIRONMENT. Nothing is connected to or made here.
 */

#define PLACES_SYSTEM_RUNTIME "/run/tracemallocd"
#define PLACES_RUNTIME_MAX    2 /* the system's, then the user's */

/* What decides; borrowed. A test sets it freely. */
struct places_input {
        const char *runtime_dir; /* --runtime-dir, or NULL */
        const char *state_dir;   /* --state-dir, or NULL */
        bool system, user;       /* --system, --user: at most one */
        uid_t uid;
        const char *run_root; /* "/run/user", where /run/user/UID is looked for */
        const char *tmp_root; /* "/tmp" */
        const char *(*getenv)(const char *name);
};

struct places {
        char *runtime_dirs[PLACES_RUNTIME_MAX]; /* in the order in which to ask for a daemon */
        unsigned n_runtime_dirs;
        char *user_runtime_dir;  /* where a private daemon may be started; NULL: must not */
        char *user_fallback_dir; /* instead, if that one cannot be made; NULL with it */
        char *user_state_dir;    /* of that daemon; NULL with user_runtime_dir, or without a home */
};

/** places_input_init() - the real environment and uid, no options */
void places_input_init(struct places_input *input);

/** places_init() - resolve; relative paths are taken from the current folder, as traced programs may leave it
 * $XDG_RUNTIME_DIR counts only if it is a directory of one's own, which after su(1) it may not be. Without it
 * /run/user/UID is taken where it exists or root can make it, else /tmp/tracemallocd-UID. */
void places_init(struct places *places, const struct places_input *input);

/** places_deinit() - free the folders */
void places_deinit(struct places *places);

#define PLACES_E_UNSAFE 1

/** places_make_own_dir() - make @path with mode 0700 unless it is there, and its parents with 0755
 * Return: 0; PLACES_E_UNSAFE (is there, but is no directory, belongs to somebody else, or others may write to it);
 * -errno. */
int places_make_own_dir(const char *path, uid_t uid);

/** places_is_own_dir() - a real directory of this user's that nobody else may write to */
bool places_is_own_dir(const char *path, uid_t uid);
