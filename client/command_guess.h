/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/** command_guess() - which command somebody meant who wrote @name: mistyped, or another tool's word
 * Return: its name, static; NULL: nobody knows. */
const char *command_guess(const char *name);
