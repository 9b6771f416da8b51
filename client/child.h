/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/environment.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The command of tmctl run. It gets the terminal, descriptors, signal mask and dispositions that tmctl got.
 * Until child_wait() returns, this process ignores SIGINT and SIGQUIT (the terminal sends them to both) and
 * hands on SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2.
 */

struct child {
        pid_t pid;
        int64_t ran_ns; /* set by child_wait() */
        int64_t started_ns;
        int wait_status;
};

/** child_start() - fork and execute
 * @path: the program's file; @argv: NULL behind the last
 * @environment: in the child, TRACEMALLOCD_PID is added with @set_pid
 * Return: 0; -errno of fork(2) or execve(2). One child at a time. */
int child_start(struct child *child, const char *path, char **argv, struct environment *environment, bool set_pid);

/** child_wait() - until it ended; when it is stopped from the terminal, stop too */
void child_wait(struct child *child);

/** child_exit_code() - as a shell has it: the status, or 128 + N after signal N */
int child_exit_code(const struct child *child);
