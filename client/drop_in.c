/* SPDX-License-Identifier: Apache-2.0 */

/* systemd.unit(5), drop-ins. Called by command_unit.c. */

#include "client/drop_in.h"

#include "client/memory.h"
#include "daemon/base/cleanup.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "zz-tracemallocd.conf" /* the last by name: Environment= of others does not undo it */

static const char *const places[] = {"/run/systemd/system", "/etc/systemd/system"}; /* [persist] */

static char *drop_in_path(const char *unit, bool persist) {
        return memory_format("%s/%s.d/%s", places[persist], unit, FILE_NAME);
}

/* One word, as systemd.syntax(7) quotes it; "%" begins a specifier. */
static void write_quoted(FILE *out, const char *text) {
        fputc('"', out);
        for (; *text; text++) {
                if (strchr("\"\\", *text))
                        fputc('\\', out);
                if (*text == '%')
                        fputc('%', out);
                if (*text == '\n')
                        fputs("\\n", out);
                else
                        fputc(*text, out);
        }
        fputs("\"\n", out);
}

static void write_lines(FILE *out, const char *unit, const struct environment *e) {
        fprintf(out, "# 'tmctl unit untrace %s' removes this file.\n[Service]\n", unit);
        for (size_t i = 0; i < e->n; i++) {
                fputs("Environment=", out);
                write_quoted(out, e->entries[i]);
        }
}

static int make_folder(const char *path) {
        AUTO_FREE char *copy = memory_copy(path, strlen(path));
        const char *folder = dirname(copy);
        return mkdir(folder, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int remove_at(const char *path) {
        AUTO_FREE char *copy = memory_copy(path, strlen(path));
        int r = unlink(path) < 0 ? -errno : 0;
        if (r == -ENOENT || r == -ENOTDIR)
                return DROP_IN_E_ABSENT;
        if (r == 0)
                rmdir(dirname(copy)); /* unless somebody else's drop-ins are in there */
        return r;
}

/* Beside its place first, so that systemd never reads half of it. */
static int write_file(const char *path, const char *unit, const struct environment *e) {
        AUTO_FREE char *temporary = memory_format("%s.new", path); /* systemd looks at *.conf only */
        FILE *out = fopen(temporary, "we");
        if (!out)
                return -errno;
        write_lines(out, unit, e);
        int r = ferror(out) ? -EIO : 0; /* what was wrong, only the call knew that failed */
        if (fclose(out) != 0 && r == 0)
                r = -errno;
        if (r == 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                unlink(temporary);
        return r;
}

int drop_in_write(const char *unit, const struct environment *e, bool persist, char **pathp) {
        AUTO_FREE char *path = drop_in_path(unit, persist), *other = drop_in_path(unit, !persist);
        int r = make_folder(path);
        if (r == 0)
                r = write_file(path, unit, e);
        if (r < 0)
                return r;
        r = remove_at(other);
        if (r < 0)
                return r;
        *pathp = path;
        path = NULL;
        return 0;
}

int drop_in_remove(const char *unit) {
        int result = DROP_IN_E_ABSENT;
        for (int persist = 0; persist < 2; persist++) {
                AUTO_FREE char *path = drop_in_path(unit, persist);
                int r = remove_at(path);
                if (r <= 0)
                        result = r;
                if (r < 0)
                        break;
        }
        return result;
}
