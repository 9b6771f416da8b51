/* SPDX-License-Identifier: Apache-2.0 */

/* What all output for people shares. */

#include "client/render.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "daemon/base/cleanup.h"

#include <stdlib.h>
#include <unistd.h>

void render_init(struct render *r, const struct options *options) {
        *r = (struct render){.out = stdout,
                             .options = options,
                             .lines = source_lines_new(),
                             .text = memory_zalloc(sizeof(struct text_buffer))};
        terminal_init(&r->terminal, STDOUT_FILENO, options->color);
}

void render_sentence(const struct render *r, enum style style, const char *text, size_t indent) {
        AUTO_FREE char *lines = paragraph_format(text, r->terminal.width, indent);
        fprintf(r->out, "%s%s%s\n", terminal_begin(&r->terminal, style), lines, terminal_end(&r->terminal, style));
}

void render_deinit(struct render *r) {
        r->lines = source_lines_free(r->lines);
        text_buffer_deinit(r->text);
        free(r->text);
        r->text = NULL;
}
