/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* systemd's own client, run as a child: what it says of a unit, and orders to it. */

/** systemctl_run() - run it with these arguments, its complaints on our stderr
 * @arguments: behind "systemctl"; NULL behind the last
 * @outputp: what it printed on stdout, the caller frees; NULL: thrown away
 * Return: its exit status; -errno where it could not be run; -EINTR after a signal. */
int systemctl_run(const char *const *arguments, char **outputp);

/** systemctl_is_here() - whether this machine was booted with systemd, sd_booted(3) */
bool systemctl_is_here(void);

/** systemctl_property() - a value out of what "systemctl show" printed
 * Return: the caller frees; "" where there is no such line. */
char *systemctl_property(const char *output, const char *name);
