/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From an empty file, or any earlier schema version, to the current one. */

#include "daemon/store/store_error.h"

#include <sqlite3.h>

#define STORE_SCHEMA_VERSION 3

/** store_migrate() - bring a database of ours up to date
 * @db: the writer's connection, no transaction open
 * In one transaction: a database is of the old version or of the new one. Does nothing where it is current.
 * Return: 0; STORE_E_NEWER; as store_open(). */
int store_migrate(sqlite3 *db, struct store_error *error);
