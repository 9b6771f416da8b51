/* SPDX-License-Identifier: Apache-2.0 */

/* What all output for people shares. */

#include "client/render.h"

#include "client/memory.h"
#include "client/paragraph.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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

/* Return: a pattern that keeps traces, and does so by a file's name alone, or by the most recent frame; NULL. */
static const char *find_include(const struct options *o, bool bare) {
        for (size_t i = 0; i < o->n_filters; i++) {
                const struct filter *f = &o->filters[i];
                bool by_name = !strpbrk(f->pattern ? f->pattern : "", "/*?[<");
                if (f->inclusive && !f->domain_only && (bare ? by_name : !f->all_frames))
                        return f->pattern;
        }
        return NULL;
}

void render_nothing(const struct render *r) {
        const char *bare = find_include(r->options, true);
        AUTO_FREE char *name = bare ? text_display(bare, strlen(bare)) : NULL;
        AUTO_FREE char *whole =
                name ? memory_format("There is nothing that matches. A pattern is of the whole path: '*/%s'.", name)
                     : NULL;
        const char *sentence = "There is nothing to show.";
        if (whole)
                sentence = whole;
        else if (find_include(r->options, false))
                sentence = "There is nothing that matches. Filters look at the most recent frame, with --all-frames "
                           "at every one.";
        else if (r->options->n_filters > 0)
                sentence = "There is nothing that matches.";
        render_sentence(r, STYLE_PLAIN, sentence, 2);
}

void render_deinit(struct render *r) {
        r->lines = source_lines_free(r->lines);
        text_buffer_deinit(r->text);
        free(r->text);
        r->text = NULL;
}
