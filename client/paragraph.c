/* SPDX-License-Identifier: Apache-2.0 */

/* Sentences on a terminal, which would break them in the middle of words. Called by whatever prints some. */

#include "client/paragraph.h"

#include "client/memory.h"
#include "client/text.h"
#include "client/text_buffer.h"
#include "daemon/base/cleanup.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A quote opens at the beginning of a word, or behind a bracket: "doesn't" has none. */
static bool opens_quote(const char *text, const char *at) {
        return *at == '\'' && (at == text || !isalnum((unsigned char)at[-1]));
}

/* The end of the word that begins at @word: the next space outside quotes. */
static const char *word_end(const char *text, const char *word) {
        const char *at = word;
        while (*at && *at != ' ') {
                const char *close = opens_quote(text, at) ? strchr(at + 1, '\'') : NULL;
                at = close ? close + 1 : at + 1;
        }
        return at;
}

static size_t width_between(const char *begin, const char *end) {
        AUTO_FREE char *part = memory_copy(begin, (size_t)(end - begin));
        return text_width(part);
}

char *paragraph_format(const char *text, size_t width, size_t indent) {
        if (width == 0 || text_width(text) <= width)
                return memory_copy(text, strlen(text));
        /* a line is a word at least, so there are no more of them than spaces */
        size_t n_spaces = 0;
        for (const char *at = text; *at; at++)
                n_spaces += *at == ' ';
        char *out = memory_grow(NULL, strlen(text) + n_spaces * (indent + 1) + 1, 1), *end = out;
        size_t column = 0;
        for (const char *gap = text, *word, *after; *gap; gap = after) {
                word = gap + strspn(gap, " ");
                after = word_end(text, word);
                size_t wide = width_between(gap, after);
                if (column > 0 && column + wide > width) {
                        end += sprintf(end, "\n%*s", (int)indent, "");
                        column = indent;
                        wide -= (size_t)(word - gap);
                        gap = word;
                }
                memcpy(end, gap, (size_t)(after - gap));
                end += after - gap;
                column += wide;
        }
        *end = '\0';
        return out;
}

char *paragraph_fields(char *const *fields, size_t n, size_t width, size_t column, size_t indent) {
        struct text_buffer out = {0};
        for (size_t i = 0; i < n; i++) {
                size_t wide = text_width(fields[i]) + (i + 1 < n ? strlen(",") : 0);
                bool breaks = i > 0 && width > 0 && column + strlen(" ") + wide > width;
                if (breaks)
                        column = indent;
                else
                        column += i > 0 ? strlen(" ") : 0;
                if (i > 0)
                        text_buffer_text(&out, breaks ? ",\n" : ", ");
                for (size_t space = 0; breaks && space < indent; space++)
                        text_buffer_add(&out, " ", 1);
                text_buffer_text(&out, fields[i]);
                column += wide;
        }
        text_buffer_add(&out, "", 1);
        return out.bytes;
}
