/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"

/** private_daemon_start() - start a tracemallocd of the user's own, in a session of its own, and connect to it
 * Two clients that start one at once end up with the same: a lock in @runtime_dir is held meanwhile.
 * @runtime_dir, @state_dir: exist and are the user's
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. Takes at most some 10 s. */
int private_daemon_start(const char *runtime_dir, const char *state_dir, struct connection **connectionp);
