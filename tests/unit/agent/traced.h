/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Running a program under the agent and a fake daemon, in tests. Failures to do so are assertions. */

#include "tests/support/fake_daemon.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TRACED_OUTPUT_MAX (1 << 20)

/* The environment of each way of streaming: ring, socket. */
extern const char *const traced_ways[2];

struct traced {
        char dir[64];
        struct fake_daemon *daemon; /* NULL: none runs */
        struct fake_image **images;
        size_t n_images;
        pid_t pid;
        int input, output_fd;
        int status;   /* as a shell has it: exit status, 128 + signal */
        char *output; /* stdout and stderr, NUL-terminated */
        size_t output_length;
};

/** traced_open() - a runtime directory; with @options a daemon in it */
void traced_open(struct traced *traced, const struct fake_daemon_options *options);

/** traced_start() - begin a command
 * @argv: NULL-terminated; @environment: NULL-terminated "NAME=value", or NULL; @with_agent: preload it */
void traced_start(struct traced *traced, const char *const *argv, const char *const *environment, bool with_agent);

/** traced_finish() - end its input, collect output and status; with a daemon wait for all that was traced */
void traced_finish(struct traced *traced);

/** traced_run() - open, start, finish with a daemon that does nothing special */
void traced_run(struct traced *traced, const char *const *argv, const char *const *environment);

/** traced_close() - end daemon and directory */
void traced_close(struct traced *traced);
