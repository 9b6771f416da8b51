/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A pid that no traced process has. Any thread. */

#include <stdint.h>

#define UNTRACED_PID_MESSAGE_BYTES 256

/** untraced_pid_message() - why nothing can be said of it, and what would trace it
 * @message: one line; names the unit where the process is a service of the system's */
void untraced_pid_message(uint32_t pid, char message[UNTRACED_PID_MESSAGE_BYTES]);
