/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's run from "ready" to its end: signals, watchdog, idle end, and the order in which things close. */

struct daemon;

/** lifetime_run() - run the main loop until SIGTERM, SIGINT or idleness; then close everything
 * Return: 0: all that was acknowledged or queued is stored, no handle is left; -errno. */
int lifetime_run(struct daemon *d);
