/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/** sandbox_enter() - give up what reading ELF files does not need; before the first byte of input
 * root becomes nobody; no core file, no new privileges, memory bounded, not to be ptraced by its own uid; a thread
 * watches the daemon's end of the socket and ends the process with it, whatever it is doing.
 * @socket_fd: the connection to the daemon
 * Return: 0; -errno: do not go on. */
int sandbox_enter(int socket_fd);
