/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"
#include "client/options.h"

/** statistics_output_call() - send a stats or compare request and print its answer, as text or JSON
 * @old, @snapshot: references as the user wrote them; @old NULL: stats
 * Return: enum exit_code. */
int statistics_output_call(struct connection *connection, const Tracemallocd__Control__Request *request,
                           const struct options *options, const char *old, const char *snapshot);
