/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A symbol of one loaded object, from its own tables in memory. Not by dlsym, which
 * takes the loader's lock (that another thread may hold while it waits for ours) and
 * leaves an error for dlerror() where it finds nothing.
 */

#include <stdint.h>

#include "agent/object.h"

/** object_symbol() - address of what an object defines under a name
 * @object: cannot be unloaded meanwhile (a frame is in it, or it was loaded at the program's start)
 * Versions are not looked at. Return: 0 where it has no such symbol, or no hash table. */
uintptr_t object_symbol(const struct object *object, const char *name);
