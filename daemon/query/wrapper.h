/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Functions that allocate for others, by the names that widely used libraries and tradition give them: xmalloc,
 * g_malloc, zmalloc, strdup, the containers of C++, Rust and GLib. What somebody wants to know is who called them.
 * tmctl(1), ALLOCATION WRAPPERS, is the list for people.
 */

#include "daemon/query/model.h"

#include <stdbool.h>
#include <stddef.h>

enum wrapper {
        WRAPPER_NONE = 0,
        WRAPPER_KNOWN,
        WRAPPER_SUPPOSED, /* the name only ends like one: pool_strdup is, load_malloc may be what somebody looks for */
};

/** wrapper_function() - is a function of that name one?
 * @name: [length] as the symbolizer gives it: demangled, perhaps with arguments and a result. O(length). */
enum wrapper wrapper_function(const char *name, size_t length);

/** wrapper_file() - is every function of that source file or module one? O(length). */
bool wrapper_file(const char *name, size_t length);

/** wrapper_mark() - mark them, for filter_drop_recent()
 * With a wrapper go the nameless functions of its module that it calls. Frames of Python, and of imported files, stay;
 * so does the last one before the loader, which runs initialisers.
 * @marks: [n_frames of the model's table] enum filter_mark; one that is FILTER_GOES stays so, as a wrapper that the
 * user knows. What is supposed only becomes FILTER_SUPPOSED. O(frames). Return: 0; -ENOMEM. */
int wrapper_mark(const struct model *m, uint8_t *marks);
