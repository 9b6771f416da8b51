/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The source line below a row. The file's name comes from a traced process, so
 * it may be anything: a device, a FIFO, a terabyte.
 */

#include "client/source_lines.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/clock.h"

#include <ctype.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES  (16u << 20) /* generated sources come near; nothing written by hand does */
#define CACHE_MAX_BYTES (256u << 20)
/* The start of a process is known in ticks of 10 ms, and a script may be run as soon as it is written. */
#define UNTIL_GRACE_NS  1000000000

struct source_file {
        char *name;
        size_t name_length;
        char *text; /* NULL: cannot be read */
        size_t length;
        size_t *starts; /* [n_lines] offset of each line */
        size_t n_lines;
};

struct source_lines {
        struct source_file *last; /* most frames lie in the file of the one before */
        void *files;              /* tsearch(3) tree of struct source_file by name */
        size_t total_bytes;
        int64_t until_ns; /* 0: any time */
};

static int compare_files(const void *a, const void *b) {
        return strcmp(((const struct source_file *)a)->name, ((const struct source_file *)b)->name);
}

static void source_file_free(void *node) {
        struct source_file *file = node;
        free(file->name);
        free(file->text);
        free(file->starts);
        free(file);
}

struct source_lines *source_lines_new(void) {
        return memory_zalloc(sizeof(struct source_lines));
}

struct source_lines *source_lines_free(struct source_lines *lines) {
        if (lines) {
                tdestroy(lines->files, source_file_free);
                free(lines);
        }
        return NULL;
}

void source_lines_until(struct source_lines *lines, int64_t until_ns) {
        lines->until_ns = until_ns;
}

static bool changed_since(const struct source_lines *lines, const struct stat *st) {
        int64_t last_ns;
        if (lines->until_ns == 0 || __builtin_add_overflow(lines->until_ns, UNTIL_GRACE_NS, &last_ns))
                return false;
        return timespec_ns(&st->st_mtim) > last_ns;
}

static bool read_whole(int fd, char *text, size_t length) {
        for (size_t done = 0; done < length;) {
                ssize_t n = read(fd, text + done, length - done);
                if (n <= 0)
                        return false;
                done += (size_t)n;
        }
        return true;
}

static void source_file_index(struct source_file *file) {
        size_t capacity = 0;
        /* behind another indentation the stops of a terminal line nothing up */
        for (char *tab = file->text; (tab = memchr(tab, '\t', file->length - (size_t)(tab - file->text)));)
                *tab = ' ';
        for (size_t at = 0; at < file->length;) {
                if (file->n_lines == capacity) {
                        capacity = capacity ? capacity * 2 : 256;
                        file->starts = memory_grow(file->starts, capacity, sizeof *file->starts);
                }
                file->starts[file->n_lines++] = at;
                const char *end = memchr(file->text + at, '\n', file->length - at);
                at = end ? (size_t)(end - file->text) + 1 : file->length;
        }
}

static void source_file_load(struct source_lines *lines, struct source_file *file) {
        /* O_NONBLOCK: opening a FIFO shall not wait for its other end */
        AUTO_CLOSE int fd = open(file->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
                return;
        if (changed_since(lines, &st) || st.st_size > FILE_MAX_BYTES ||
            lines->total_bytes + (size_t)st.st_size > CACHE_MAX_BYTES)
                return;
        char *text = memory_grow(NULL, (size_t)st.st_size, 1);
        if (!read_whole(fd, text, (size_t)st.st_size)) {
                free(text);
                return;
        }
        file->text = text;
        file->length = (size_t)st.st_size;
        lines->total_bytes += file->length;
        source_file_index(file);
}

static struct source_file *find_file(struct source_lines *lines, const void *filename, size_t length) {
        AUTO_FREE char *name = memory_copy(filename, length);
        struct source_file key = {.name = name};
        struct source_file **found = tfind(&key, &lines->files, compare_files);
        if (found)
                return *found;
        struct source_file *file = memory_zalloc(sizeof *file);
        file->name = name;
        file->name_length = length;
        name = NULL;
        source_file_load(lines, file);
        tsearch(file, &lines->files, compare_files);
        return file;
}

static struct source_file *source_lines_file(struct source_lines *lines, const void *filename, size_t length) {
        const struct source_file *last = lines->last;
        if (!last || last->name_length != length || memcmp(last->name, filename, length) != 0)
                lines->last = find_file(lines, filename, length);
        return lines->last;
}

static bool is_file_name(const char *name, size_t length) {
        if (length == 0 || memchr(name, '\0', length))
                return false;
        return !(name[0] == '<' && name[length - 1] == '>');
}

int source_lines_get(struct source_lines *lines, const void *filename, size_t length, uint64_t lineno,
                     const char **textp, size_t *text_lengthp) {
        if (!is_file_name(filename, length) || lineno == 0)
                return SOURCE_LINES_E_NONE;
        const struct source_file *file = source_lines_file(lines, filename, length);
        if (lineno > file->n_lines)
                return SOURCE_LINES_E_NONE;
        size_t start = file->starts[lineno - 1];
        size_t end = lineno < file->n_lines ? file->starts[lineno] : file->length;
        while (start < end && isspace((unsigned char)file->text[start]))
                start++;
        while (start < end && isspace((unsigned char)file->text[end - 1]))
                end--;
        if (start == end)
                return SOURCE_LINES_E_NONE;
        *textp = file->text + start;
        *text_lengthp = end - start;
        return 0;
}
