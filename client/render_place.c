/* SPDX-License-Identifier: Apache-2.0 */

/* Frames: one as a place, many as a traceback. */

#include "client/function_name.h"
#include "client/memory.h"
#include "client/render.h"
#include "client/text.h"
#include "daemon/base/cleanup.h"

#include <inttypes.h>
#include <string.h>

#define PATH_WIDTH_MIN     16 /* room for a file name even where it breaks the line */
#define FUNCTION_WIDTH_MIN 16
#define TRACEBACK_PATH_MIN 24 /* a long function leaves that much to the path */

static bool shows_function(const Tracemallocd__Control__Frame *f) {
        return f->lineno == 0 && (f->has_function || f->has_offset);
}

/* Without symbols a place in a module is its offset. */
static char *function_text(const Tracemallocd__Control__Frame *f) {
        if (!f->has_function)
                return memory_format("+0x%" PRIx64, f->offset);
        AUTO_FREE char *whole = text_display(f->function.data, f->function.len);
        return function_name_short(whole);
}

/* Replace *@textp by a shortened one. */
static void shorten(char **textp, size_t width) {
        char *shorter = text_shorten(*textp, width);
        free(*textp);
        *textp = shorter;
}

static void shorten_path(char **pathp, size_t width) {
        char *shorter = text_shorten_path(*pathp, width);
        free(*pathp);
        *pathp = shorter;
}

/* Its arguments go before its name does. */
static void shorten_function(char **functionp, size_t width) {
        if (text_width(*functionp) > width) {
                char *brief = function_name_brief(*functionp);
                free(*functionp);
                *functionp = brief;
        }
        shorten(functionp, width);
}

static size_t room(size_t width, size_t taken, size_t least) {
        return width > taken + least ? width - taken : least;
}

static char *place_with_function(const Tracemallocd__Control__Frame *f, char **pathp, size_t width) {
        AUTO_FREE char *function = function_text(f);
        const size_t around = strlen(" ()");
        if (width > 0 && text_width(*pathp) + text_width(function) + around > width) {
                /* a file name alone says nearly as much as its path; half a function says little */
                shorten_function(&function, room(width, PATH_WIDTH_MIN + around, FUNCTION_WIDTH_MIN));
                shorten_path(pathp, room(width, text_width(function) + around, PATH_WIDTH_MIN));
                shorten_function(&function, room(width, text_width(*pathp) + around, FUNCTION_WIDTH_MIN));
        }
        return memory_format("%s (%s)", *pathp, function);
}

char *render_place(const Tracemallocd__Control__Frame *f, size_t width) {
        AUTO_FREE char *path = text_display(f->filename.data, f->filename.len);
        if (shows_function(f))
                return place_with_function(f, &path, width);
        char line[24];
        int n = snprintf(line, sizeof line, ":%" PRIu64, f->lineno);
        if (width > 0)
                shorten_path(&path, room(width, (size_t)n, PATH_WIDTH_MIN));
        return memory_format("%s%s", path, line);
}

size_t render_place_least(const Tracemallocd__Control__Frame *f) {
        AUTO_FREE char *whole = render_place(f, 0);
        AUTO_FREE char *path = text_display(f->filename.data, f->filename.len);
        const char *slash = strrchr(path, '/');
        size_t folders = slash ? text_width(path) - text_width(slash) : 0, mark = strlen("...");
        return text_width(whole) - (folders > mark ? folders - mark : 0);
}

static void add_source(const struct render *r, const Tracemallocd__Control__Frame *f, int indent) {
        const char *text;
        size_t length;
        if (source_lines_get(r->lines, f->filename.data, f->filename.len, f->lineno, &text, &length) != 0)
                return;
        for (int i = 0; i < indent; i++)
                text_buffer_add(r->text, " ", 1);
        text_buffer_text(r->text, terminal_begin(&r->terminal, STYLE_FAINT));
        if (r->terminal.width > 0) {
                AUTO_FREE char *safe = text_display(text, length);
                text_cut(safe, r->terminal.width > (size_t)indent ? r->terminal.width - (size_t)indent : 0);
                text_buffer_text(r->text, safe);
        } else {
                text_display_append(r->text, text, length);
        }
        text_buffer_text(r->text, terminal_end(&r->terminal, STYLE_FAINT));
        text_buffer_add(r->text, "\n", 1);
}

void render_source(const struct render *r, const Tracemallocd__Control__Frame *f, int indent) {
        add_source(r, f, indent);
        text_buffer_write(r->text, r->out);
}

#define BROKEN_INDENT "      " /* below "  File" and more */

/* Names of C++ and Rust have their types in them, and are longer than a line.
 * @broken: it begins a line */
static char *in_function(const Tracemallocd__Control__Frame *f, size_t width, bool broken) {
        if (!f->has_function)
                return memory_copy("", 0);
        AUTO_FREE char *function = function_text(f);
        size_t before = broken ? strlen(BROKEN_INDENT "in ") : strlen(", in ");
        shorten_function(&function, room(width, before, FUNCTION_WIDTH_MIN));
        return memory_format("%s%s", broken ? ",\n" BROKEN_INDENT "in " : ", in ", function);
}

/* Cut to the columns of a terminal */
static void add_line_short(const struct render *r, const Tracemallocd__Control__Frame *f) {
        const size_t width = r->terminal.width;
        AUTO_FREE char *path = text_display(f->filename.data, f->filename.len);
        AUTO_FREE char *line = memory_format("\", line %" PRIu64, f->lineno);
        size_t around = strlen("  File \"") + strlen(line);
        size_t path_least = text_width(path) < TRACEBACK_PATH_MIN ? text_width(path) : TRACEBACK_PATH_MIN;
        AUTO_FREE char *beside = in_function(f, room(width, around + path_least, 1), false);
        size_t short_path = text_width(path) < PATH_WIDTH_MIN ? text_width(path) : PATH_WIDTH_MIN;
        bool broken = f->has_function && around + short_path + text_width(beside) > width;
        AUTO_FREE char *below = in_function(f, width, true);
        shorten_path(&path, room(width, around + (broken ? strlen(",") : text_width(beside)), PATH_WIDTH_MIN));
        text_buffer_text(r->text, path);
        text_buffer_text(r->text, line);
        text_buffer_text(r->text, broken ? below : beside);
}

/* For files and pipes, which get all rows: a traceback's frames are what an answer consists of. */
static void add_line_whole(const struct render *r, const Tracemallocd__Control__Frame *f) {
        text_display_append(r->text, f->filename.data, f->filename.len);
        text_buffer_text(r->text, "\", line ");
        text_buffer_unsigned(r->text, f->lineno);
        if (f->has_function) {
                AUTO_FREE char *function = function_text(f);
                text_buffer_text(r->text, ", in ");
                text_buffer_text(r->text, function);
        }
}

static void render_frame(const struct render *r, const Tracemallocd__Control__Frame *f) {
        const size_t width = r->terminal.width;
        if (shows_function(f)) {
                AUTO_FREE char *place = render_place(f, width > 2 ? width - 2 : 0);
                fprintf(r->out, "  %s\n", place);
                return;
        }
        text_buffer_text(r->text, "  File \"");
        if (width > 0)
                add_line_short(r, f);
        else
                add_line_whole(r, f);
        text_buffer_add(r->text, "\n", 1);
        render_source(r, f, 4);
}

void render_traceback_range(size_t n, int64_t limit, size_t *firstp, size_t *endp) {
        *firstp = 0;
        *endp = n;
        if (limit > 0) {
                if ((uint64_t)limit < n)
                        *firstp = n - (size_t)limit;
        } else if (limit == 0) {
                *endp = 0;
        } else {
                uint64_t drop = (uint64_t)-limit;
                *endp = drop < n ? n - (size_t)drop : 0;
        }
}

/* How many were not kept cannot be told: inlined frames are shown, and are not part of the depth. */
static void render_not_kept(const struct render *r, uint64_t total_nframe) {
        AUTO_FREE char *line = memory_format("  (cut at the traceback limit: %" PRIu64 " frames in all)", total_nframe);
        render_sentence(r, STYLE_FAINT, line, strlen("  ("));
}

void render_traceback(const struct render *r, Tracemallocd__Control__Frame *const *frames, size_t n,
                      uint64_t total_nframe) {
        const struct options *o = r->options;
        size_t first = 0, end = n;
        if (o->has_traceback_limit)
                render_traceback_range(n, o->traceback_limit, &first, &end);
        bool not_kept = total_nframe > n && first == 0 && end > first;
        if (not_kept && !o->most_recent_first)
                render_not_kept(r, total_nframe);
        for (size_t i = first; i < end; i++)
                render_frame(r, frames[o->most_recent_first ? end - 1 - (i - first) : i]);
        if (not_kept && o->most_recent_first)
                render_not_kept(r, total_nframe);
}
