/* SPDX-License-Identifier: Apache-2.0 */

/* From options to a connected daemon. Called by every command that needs one. */

#include "client/session.h"

#include "client/exit_code.h"
#include "client/memory.h"
#include "client/message.h"
#include "client/places.h"
#include "client/private_daemon.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int code_of(int connection_error) {
        return connection_error == CONNECTION_E_DENIED ? EXIT_CODE_DENIED : EXIT_CODE_NO_DAEMON;
}

/* A directory in /tmp could be somebody else's trap: what is sent there names our files and processes. */
static bool is_trusted(const struct places *places, const char *dir, uid_t uid) {
        return !places->user_runtime_dir || strcmp(dir, places->user_runtime_dir) != 0 || places_is_own_dir(dir, uid);
}

static void say_why_not(const char *dir, int r, const char *reason) {
        if (r == CONNECTION_E_DENIED)
                message_error("%s; that daemon is another user's, '--user' talks to one's own", reason);
        else if (strcmp(dir, PLACES_SYSTEM_RUNTIME) == 0) /* systemd listens there, even if the service cannot start */
                message_error("%s; 'systemctl status tracemallocd' and 'journalctl -u tracemallocd' tell more", reason);
        else
                message_error("%s", reason);
}

/* Ask each place in turn.
 * Return: 0; CONNECTION_E_ABSENT (no daemon anywhere); another outcome of connection_open(), said on stderr. */
static int find_daemon(const struct places *places, uid_t uid, struct connection **connectionp, char *reason) {
        for (unsigned i = 0; i < places->n_runtime_dirs; i++) {
                const char *dir = places->runtime_dirs[i];
                if (!is_trusted(places, dir, uid))
                        continue;
                int r = connection_open(dir, connectionp, reason);
                bool next = r == CONNECTION_E_ABSENT || (r == CONNECTION_E_DENIED && i + 1 < places->n_runtime_dirs);
                if (!next) {
                        if (r != 0)
                                say_why_not(dir, r, reason);
                        return r;
                }
        }
        return CONNECTION_E_ABSENT;
}

/* $XDG_RUNTIME_DIR exists, /run/user/0 may not. */
static int make_runtime_dir(const char *dir, uid_t uid) {
        AUTO_FREE char *copy = memory_copy(dir, strlen(dir));
        const char *parent = dirname(copy);
        struct stat st;
        if (stat(parent, &st) < 0) {
                int r = places_make_own_dir(parent, uid);
                if (r != 0)
                        return r;
        }
        return places_make_own_dir(dir, uid);
}

static int dir_error(const char *dir, int r) {
        message_error(
                "cannot start a private daemon in %s: %s; XDG_RUNTIME_DIR and XDG_STATE_HOME choose other folders", dir,
                r == PLACES_E_UNSAFE ? "it belongs to somebody else, or others may write to it" : strerror(-r));
        return EXIT_CODE_NO_DAEMON;
}

static int start_daemon(const struct places *places, uid_t uid, struct connection **connectionp) {
        if (!places->user_state_dir) {
                message_error(
                        "no daemon is running, and without a home there is no place for a private one's snapshots; "
                        "give --state-dir");
                return EXIT_CODE_NO_DAEMON;
        }
        const char *dir = places->user_runtime_dir;
        int r = make_runtime_dir(dir, uid);
        if (r < 0) {
                dir = places->user_fallback_dir;
                r = make_runtime_dir(dir, uid);
        }
        if (r != 0)
                return dir_error(dir, r);
        r = places_make_own_dir(places->user_state_dir, uid);
        if (r != 0)
                return dir_error(places->user_state_dir, r);
        return private_daemon_start(dir, places->user_state_dir, connectionp);
}

static int open_places(const struct places *places, const struct places_input *input, struct connection **connectionp) {
        char reason[CONNECTION_REASON_MAX] = "";
        int r = find_daemon(places, input->uid, connectionp, reason);
        if (r == 0 && input->state_dir)
                message_note("a daemon answers at %s already: --state-dir has no effect", (*connectionp)->runtime_dir);
        if (r != CONNECTION_E_ABSENT)
                return r == 0 ? EXIT_CODE_DONE : code_of(r);
        const char *no_start = getenv("TMCTL_NO_START");
        if (places->user_runtime_dir && no_start && no_start[0]) {
                message_error("no daemon is running, and TMCTL_NO_START keeps tmctl from starting a private one");
                return EXIT_CODE_NO_DAEMON;
        }
        if (places->user_runtime_dir)
                return start_daemon(places, input->uid, connectionp);
        if (input->system)
                message_error("%s; 'systemctl start tracemallocd' starts the system's", reason);
        else
                message_error("%s; 'tracemallocd --runtime-dir %s' starts one", reason, places->runtime_dirs[0]);
        return EXIT_CODE_NO_DAEMON;
}

int session_open(const struct options *o, struct connection **connectionp) {
        struct places_input input;
        places_input_init(&input);
        input.runtime_dir = o->runtime_dir;
        input.state_dir = o->state_dir;
        input.system = o->system;
        input.user = o->user;
        struct places places;
        places_init(&places, &input);
        int code = open_places(&places, &input, connectionp);
        places_deinit(&places);
        return code;
}

int session_call(const struct options *o, const Tracemallocd__Control__Request *request, connection_handler *handler,
                 void *context) {
        AUTO_CONNECTION struct connection *connection = NULL;
        int code = session_open(o, &connection);
        return code == EXIT_CODE_DONE ? connection_call(connection, request, handler, context) : code;
}
