/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "client/connection.h"

/* Files of tracemalloc on their way to the daemon, which reads them: tmctl looks at none of their bytes. */

/** upload_check() - whether a file is there to be read, before a daemon is looked for
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int upload_check(const char *path);

/** upload_file() - send a file, to be used as a snapshot for the time of the connection
 * @path: "-" is stdin
 * @referencep: set on EXIT_CODE_DONE, the caller frees
 * Return: enum exit_code; above 0 a line on stderr has said what is wrong. */
int upload_file(struct connection *connection, const char *path, char **referencep);

/** upload_and_store() - send a file, to be stored as a snapshot
 * @label: NULL for none
 * @referencep: its id
 * A line on stderr says what is left out. Return: as above. */
int upload_and_store(struct connection *connection, const char *path, const char *label, char **referencep);
