/* SPDX-License-Identifier: Apache-2.0 */

/* Width and colours of stdout. */

#include "client/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80 /* a terminal that does not tell */
#define WIDTH_MAX     4096

static bool color_by_environment(void) {
        const char *no_color = getenv("NO_COLOR"); /* no-color.org: set and not empty */
        const char *term = getenv("TERM");
        return !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}

static size_t terminal_columns(int fd) {
        struct winsize size;
        if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                return size.ws_col;
        const char *columns = getenv("COLUMNS");
        long n = columns ? strtol(columns, NULL, 10) : 0;
        return n > 0 && n <= WIDTH_MAX ? (size_t)n : WIDTH_DEFAULT;
}

void terminal_init(struct terminal *t, int fd, enum color_when when) {
        bool is_terminal = isatty(fd);
        t->width = is_terminal ? terminal_columns(fd) : 0;
        t->color = when == COLOR_ALWAYS || (when == COLOR_AUTO && is_terminal && color_by_environment());
}

const char *terminal_begin(const struct terminal *t, enum style style) {
        static const char *const sequences[] = {
                [STYLE_PLAIN] = "",        [STYLE_STRONG] = "\033[1m", [STYLE_FAINT] = "\033[2m",
                [STYLE_MORE] = "\033[31m", [STYLE_LESS] = "\033[32m",  [STYLE_WARNING] = "\033[33m",
        };
        return t->color ? sequences[style] : "";
}

const char *terminal_end(const struct terminal *t, enum style style) {
        return t->color && style != STYLE_PLAIN ? "\033[0m" : "";
}
