/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/environment.h"

#include <stdbool.h>

/* The file beside a systemd unit that has its processes load the agent. */

/** drop_in_write() - write it, durably or until the next boot
 * @unit: with its suffix
 * @environment: what to set
 * @persist: below /etc instead of /run; what lies in the other place goes, it would be in the way
 * @pathp: set on 0, the caller frees
 * Return: 0; -errno. */
int drop_in_write(const char *unit, const struct environment *environment, bool persist, char **pathp);

#define DROP_IN_E_ABSENT 1

/** drop_in_remove() - take it away, and its folder if nothing else is in there
 * Return: 0; DROP_IN_E_ABSENT; -errno. */
int drop_in_remove(const char *unit);
