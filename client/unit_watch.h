/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"

#include <stdbool.h>

/** unit_watch() - after the start of a service: wait until the daemon sees a process of it, and say so
 * @unit: as systemd calls it; @oneshot: it may have ended
 * Takes up to ten seconds. Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int unit_watch(struct connection *connection, const char *unit, bool oneshot);
