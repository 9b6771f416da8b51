/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A symbol of one loaded object, from its own tables in memory. Not by dlsym, which
 * takes the loader's lock (that another thread may hold while it waits for ours) and
 * leaves an error for dlerror() where it finds nothing.
 */

#include "agent/object.h"

#include <stdbool.h>
#include <stdint.h>

/** object_symbol() - address of what an object defines under a name
 * @object: cannot be unloaded meanwhile (a frame is in it, or it was loaded at the program's start)
 * Versions are not looked at. Return: 0 where it has no such symbol, or no hash table. */
uintptr_t object_symbol(const struct object *object, const char *name);

/** object_symbol_redirect() - let the loader and dlsym find another function under a name that an object defines
 * @object: as above; @to: what they find from now on, never unloaded
 * What was bound before stays as it is, and so do calls within the object. One word of its symbol table changes, in the
 * process's own copy of that page; other threads may look symbols up meanwhile. Return: false, and nothing has changed,
 * where there is no such function, or where the table is not in a segment that is only read (it may lie with the code).
 */
bool object_symbol_redirect(const struct object *object, const char *name, uintptr_t to);
