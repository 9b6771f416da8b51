/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** unit_name() - a unit for a table: "redis-server", as --unit takes it. Return: the caller frees. */
char *unit_name(const void *bytes, size_t length);

/** user_name() - of a uid; its number where it has none. Return: the caller frees. */
char *user_name(uint32_t uid);
