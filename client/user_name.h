/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/** user_name() - of a uid; its number where it has none. Return: the caller frees. */
char *user_name(uint32_t uid);
