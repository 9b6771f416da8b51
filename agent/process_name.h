/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/** process_name_of() - what people call a process: "/usr/sbin/nginx" and what its workers make of it,
 * "nginx: worker process", are nginx both; "/usr/bin/redis-server *:6379" is redis-server, and the script
 * "/usr/bin/gunicorn", which the kernel runs as "/usr/bin/python3 /usr/bin/gunicorn", is gunicorn
 * @cmdline: [length] /proc/PID/cmdline, with a NUL behind it; overwritten by the name
 * @comm: the process's comm, at most 15 bytes; "" where it is unknown
 * Return: the name's length. Any thread; no system call. */
size_t process_name_of(char *cmdline, size_t length, const char *comm);
