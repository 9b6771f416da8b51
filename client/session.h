/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"
#include "client/options.h"

/** session_open() - find the daemon that the options mean, or start a private one, and connect
 * @connectionp: set on EXIT_CODE_DONE; the caller closes
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int session_open(const struct options *options, struct connection **connectionp);

/** session_call() - session_open() for one request, whose replies go to @handler as in connection_call()
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int session_call(const struct options *options, const Tracemallocd__Control__Request *request,
                 connection_handler *handler, void *context);
