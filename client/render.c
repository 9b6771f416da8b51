/* SPDX-License-Identifier: Apache-2.0 */

/* What all output for people shares. */

#include "client/render.h"

#include <unistd.h>

void render_init(struct render *r, const struct options *options) {
        *r = (struct render){.out = stdout, .options = options, .lines = source_lines_new()};
        terminal_init(&r->terminal, STDOUT_FILENO, options->color);
}

void render_deinit(struct render *r) {
        r->lines = source_lines_free(r->lines);
}
