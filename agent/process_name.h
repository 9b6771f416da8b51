/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/** process_name_of() - what people call a process, from argv[0]: "/usr/sbin/nginx" and what its workers make of it,
 * "nginx: worker process", are nginx both; "/usr/bin/redis-server *:6379" is redis-server
 * @title: argv[0], NUL-terminated; overwritten by the name
 * @comm: the process's comm, at most 15 bytes; "" where it is unknown
 * Return: the name's length. Any thread; no system call. */
size_t process_name_of(char *title, const char *comm);
