/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What stdout is: how wide, and whether colours are wanted there. */

enum color_when {
        COLOR_AUTO = 0,
        COLOR_ALWAYS = 1,
        COLOR_NEVER = 2,
};

enum style {
        STYLE_PLAIN = 0,
        STYLE_STRONG, /* the place in the code */
        STYLE_FAINT,  /* source lines, remarks */
        STYLE_MORE,   /* memory that grew */
        STYLE_LESS,   /* memory that shrank */
        STYLE_WARNING,
};

struct terminal {
        bool color;
        size_t width; /* columns; 0: no terminal, nothing is shortened */
};

/** terminal_init() - look at descriptor @fd
 * COLOR_AUTO means colours on a terminal unless NO_COLOR is set and not empty or TERM is dumb. */
void terminal_init(struct terminal *t, int fd, enum color_when when);

/** terminal_begin() - the escape sequence that begins a style, "" without colours */
const char *terminal_begin(const struct terminal *t, enum style style);

/** terminal_end() - the one that ends it */
const char *terminal_end(const struct terminal *t, enum style style);
