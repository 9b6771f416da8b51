/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/*
 * A control server with canned answers, for tests of the client without a daemon. It appends what
 * it was asked to DIR/requests, a line each.
 *
 * Processes: 1234 ("redis-server") and 77 (an inexact one whose name is no UTF-8), no others; 5 is somebody else's.
 * Snapshots: 17 and 18; 999 is unknown; 666 ends the connection in the middle of an answer; 998 fails; 555 is not
 * answered. The list is of 40 where DIR/many exists.
 */

/** canned_server_start() - fork a server on DIR/control.sock; it answers when this returns.
 * @agent_path: what HelloReply names
 * Return: its pid. */
pid_t canned_server_start(const char *dir, const char *agent_path);

/** canned_server_stop() - and wait for its end */
void canned_server_stop(pid_t pid);
