/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Brackets in demangled names of C++ and Rust. Any thread. */

#include <stddef.h>

/** brackets_length() - from an opening bracket up to and with the one that closes it, or to the end
 * @text: [length], begins with one of ( [ { <. Between others < and > may compare, or be of an operator; in -> no
 * bracket is closed. O(length). Return: bytes. */
size_t brackets_length(const char *text, size_t length);
