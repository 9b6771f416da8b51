/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"
#include "client/environment.h"
#include "client/options.h"

#include <sys/types.h>

/* The variables by which a program is traced: agent/agent.h says what each means. */

/** trace_environment_check() - whether the daemon's agent can be preloaded at all
 * Return: EXIT_CODE_DONE; EXIT_CODE_FAILED: a line on stderr has said what is wrong. */
int trace_environment_check(const struct connection *connection);

/** trace_environment_set() - put them into @environment; what an outer tmctl run left there goes
 * @token: of RunBegin; NULL: none */
void trace_environment_set(struct environment *environment, const struct connection *connection,
                           const struct options *options, const ProtobufCBinaryData *token);

/** trace_environment_set_pid() - the pid that is traced with --no-children */
void trace_environment_set_pid(struct environment *environment, pid_t pid);
