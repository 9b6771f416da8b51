/* SPDX-License-Identifier: Apache-2.0 */

/* Start, ask and end a symbol helper. Called by symbolizer.c on pool threads, each in its turn (symbol_turn.h). */

#include "daemon/symbol/helper_process.h"

#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/symbol/symbol_answer.h"
#include "daemon/symbol/symbol_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_MS 10000
#define REAP_TIMEOUT_MS  2000 /* after SIGKILL; longer takes a file system that hangs */
#define VARIABLES_MAX    8

struct helper_process {
        pid_t pid;
        int pidfd, socket_fd;
        struct symbol_channel channel;
};

/* ---- start ---- */

struct environment {
        char *variables[VARIABLES_MAX + 1];
        size_t n;
};

static void environment_free(struct environment *environment) {
        for (size_t i = 0; i < environment->n; i++)
                free(environment->variables[i]);
}

static int set_variable(struct environment *environment, const char *name, const char *value) {
        if (!value)
                return 0;
        if (asprintf(&environment->variables[environment->n], "%s=%s", name, value) < 0)
                return -ENOMEM;
        environment->n++;
        return 0;
}

static const char *value_or(const char *name, const char *otherwise) {
        const char *value = getenv(name);
        return value ? value : otherwise;
}

/* A server that does not answer may not hold a view up: seconds to the first bytes and for a whole file. */
static int make_environment(const struct helper_process_config *config, struct environment *environment) {
        if (!config->debuginfod_urls || !config->debuginfod_urls[0])
                return 0;
        int r = set_variable(environment, "DEBUGINFOD_URLS", config->debuginfod_urls);
        if (r == 0)
                r = set_variable(environment, "DEBUGINFOD_TIMEOUT", value_or("DEBUGINFOD_TIMEOUT", "10"));
        if (r == 0)
                r = set_variable(environment, "DEBUGINFOD_MAXTIME", value_or("DEBUGINFOD_MAXTIME", "60"));
        if (r == 0)
                r = set_variable(environment, "DEBUGINFOD_RETRY_LIMIT", value_or("DEBUGINFOD_RETRY_LIMIT", "1"));
        if (r == 0 && config->debuginfod_cache)
                r = set_variable(environment, "DEBUGINFOD_CACHE_PATH", config->debuginfod_cache);
        if (r == 0 && !config->debuginfod_cache)
                r = set_variable(environment, "HOME", getenv("HOME"));
        if (r == 0 && !config->debuginfod_cache)
                r = set_variable(environment, "XDG_CACHE_HOME", getenv("XDG_CACHE_HOME"));
        return r;
}

/* Only fds 0 to 2; our signal state is not for it; a session of its own, so that ^C on a terminal reaches the daemon
 * first. */
static int spawn(const char *path, char **arguments, char **variables, int socket_fd, pid_t *pidp) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
        int r = posix_spawn_file_actions_adddup2(&actions, socket_fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        if (r == 0)
                r = posix_spawn(pidp, path, &actions, &attributes, arguments, variables);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int spawn_configured(const struct helper_process_config *config, int socket_fd, pid_t *pidp) {
        struct environment environment = {0};
        AUTO_FREE char *debug_root = NULL;
        if (asprintf(&debug_root, "--debug-root=%s", config->debug_root ? config->debug_root : "/usr/lib/debug") < 0) {
                debug_root = NULL;
                return -ENOMEM;
        }
        int r = make_environment(config, &environment);
        if (r == 0) {
                char *arguments[] = {(char *)config->path, debug_root, NULL};
                r = spawn(config->path, arguments, environment.variables, socket_fd, pidp);
        }
        environment_free(&environment);
        return r;
}

/* Any answer to a request about no module shows that it got through its start. */
static int greet(struct helper_process *helper) {
        Tracemallocd__Symbol__Resolve request = TRACEMALLOCD__SYMBOL__RESOLVE__INIT;
        Tracemallocd__Symbol__Resolved *answer;
        int r = helper_process_ask(helper, &request, -1, START_TIMEOUT_MS, &answer);
        if (r != 0)
                return r < 0 ? r : -EIO;
        symbol_answer_free(answer);
        return 0;
}

int helper_process_start(const struct helper_process_config *config, struct helper_process **helperp) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        AUTO_CLOSE int ours = pair[0], theirs = pair[1];
        struct helper_process *helper = calloc(1, sizeof *helper);
        if (!helper)
                return -ENOMEM;
        int r = spawn_configured(config, theirs, &helper->pid);
        if (r != 0) {
                free(helper);
                return r;
        }
        helper->pidfd = pidfd_open(helper->pid, 0); /* -1: reaped without a limit on the wait */
        helper->socket_fd = fd_steal(&ours);
        symbol_channel_init(&helper->channel, helper->socket_fd, false);
        close(fd_steal(&theirs)); /* so that its death is an end of file for us */
        r = greet(helper);
        if (r != 0) {
                helper_process_end(helper);
                return r;
        }
        *helperp = helper;
        return 0;
}

/* ---- end ---- */

static void reap(struct helper_process *helper) {
        struct pollfd poll_fd = {.fd = helper->pidfd, .events = POLLIN};
        int status, n;
        do
                n = helper->pidfd < 0 ? 1 : poll(&poll_fd, 1, REAP_TIMEOUT_MS);
        while (n < 0 && errno == EINTR);
        if (n == 0) {
                log_warning("symbol helper %d does not end, it is left behind", (int)helper->pid);
                return;
        }
        while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR)
                continue;
}

struct helper_process *helper_process_end(struct helper_process *helper) {
        if (!helper)
                return NULL;
        close(helper->socket_fd); /* enough for an honest one; the signal needs CAP_KILL where it is another user */
        kill(helper->pid, SIGKILL);
        reap(helper);
        symbol_channel_deinit(&helper->channel);
        if (helper->pidfd >= 0)
                close(helper->pidfd);
        free(helper);
        return NULL;
}

void helper_process_interrupt(struct helper_process *helper) {
        shutdown(helper->socket_fd, SHUT_RDWR);
}

/* ---- ask ---- */

static int send_request(struct helper_process *helper, const Tracemallocd__Symbol__Resolve *request, int fd,
                        int64_t deadline_ns) {
        size_t length = tracemallocd__symbol__resolve__get_packed_size(request);
        AUTO_FREE uint8_t *message = malloc(FRAME_HEADER_BYTES + length);
        if (!message)
                return -ENOMEM;
        tracemallocd__symbol__resolve__pack(request, message + FRAME_HEADER_BYTES);
        return symbol_channel_send(&helper->channel, message, length, fd, deadline_ns);
}

static int outcome(int channel_result) {
        if (channel_result < 0)
                return channel_result;
        return channel_result == SYMBOL_CHANNEL_E_TIMEOUT ? HELPER_E_TIMEOUT : HELPER_E_DIED;
}

int helper_process_ask(struct helper_process *helper, const Tracemallocd__Symbol__Resolve *request, int fd,
                       uint32_t timeout_ms, Tracemallocd__Symbol__Resolved **answerp) {
        int64_t deadline_ns = clock_ns(CLOCK_MONOTONIC) + (int64_t)timeout_ms * 1000000;
        const uint8_t *payload;
        size_t length;
        int r = send_request(helper, request, fd, deadline_ns);
        if (r == 0)
                r = symbol_channel_receive(&helper->channel, &payload, &length, NULL, deadline_ns);
        if (r != 0)
                return outcome(r);
        *answerp = symbol_answer_unpack(payload, length);
        return *answerp ? 0 : HELPER_E_DIED;
}
