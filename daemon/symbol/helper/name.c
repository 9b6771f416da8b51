/* SPDX-License-Identifier: Apache-2.0 */

/* Names as people read them. Called by module.c and unit.c for each name once. */

#include "daemon/symbol/helper/name.h"

#include "daemon/symbol/helper/memory.h"

#include <libiberty/demangle.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MANGLED_BYTES_MAX   16384 /* longest name that is demangled: work and size of the result may be exponential */
#define DEMANGLED_BYTES_MAX 16384 /* what is longer is cut */
#define PATH_BYTES_MAX      8192  /* twice PATH_MAX: folder and file of a line table */

static char *cut(char *name) {
        if (strnlen(name, DEMANGLED_BYTES_MAX + 1) > DEMANGLED_BYTES_MAX)
                memcpy(name + DEMANGLED_BYTES_MAX - 3, "...", sizeof "...");
        return name;
}

static char *demangle(const char *linkage_name) {
        char *name = cplus_demangle(linkage_name, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);
        return name ? cut(name) : NULL;
}

/* A version begins at the first '@' that is not the first character. */
static size_t length_without_version(const char *symbol) {
        const char *at = symbol[0] ? strchr(symbol + 1, '@') : NULL;
        return at ? (size_t)(at - symbol) : strlen(symbol);
}

char *name_demangle(const char *linkage_name) {
        if (linkage_name[0] != '_' || strnlen(linkage_name, MANGLED_BYTES_MAX + 1) > MANGLED_BYTES_MAX)
                return NULL;
        size_t length = length_without_version(linkage_name);
        if (linkage_name[length] == '\0')
                return demangle(linkage_name);

        char *bare = memory_string(linkage_name, length);
        char *name = demangle(bare);
        free(bare);
        return name;
}

char *name_of_symbol(const char *symbol) {
        char *name = name_demangle(symbol);
        return name ? name : cut(memory_string(symbol, length_without_version(symbol)));
}

/* Take one component away from out[..length); false where there is none that ".." could undo. */
static bool pop(const char *out, size_t root, size_t *lengthp) {
        size_t start = *lengthp;
        while (start > root && out[start - 1] != '/')
                start--;
        if (start == *lengthp || (*lengthp - start == 2 && memcmp(out + start, "..", 2) == 0))
                return false;
        *lengthp = start > root ? start - 1 : start;
        return true;
}

static void push(char *out, size_t root, size_t *lengthp, const char *component, size_t n) {
        if (*lengthp > root)
                out[(*lengthp)++] = '/';
        memmove(out + *lengthp, component, n);
        *lengthp += n;
}

static char *normal(const char *path) {
        size_t whole = strnlen(path, PATH_BYTES_MAX);
        char *out = memory_string(path, whole);
        size_t root = path[0] == '/', length = root;
        for (const char *at = path, *end = path + whole; at < end;) {
                const char *slash = memchr(at, '/', (size_t)(end - at));
                size_t n = (size_t)((slash ? slash : end) - at);
                bool up = n == 2 && memcmp(at, "..", 2) == 0;
                if (n > 0 && !(n == 1 && at[0] == '.') && !(up && (pop(out, root, &length) || root)))
                        push(out, root, &length, at, n);
                at += n + 1;
        }
        out[length] = '\0';
        return out;
}

char *name_normal_path(const char *folder, const char *path) {
        size_t folder_length = folder ? strnlen(folder, PATH_BYTES_MAX) : 0;
        size_t length = strnlen(path, PATH_BYTES_MAX);
        if (path[0] == '/' || folder_length == 0)
                return normal(path);
        char *joined = memory_new(folder_length + 1 + length + 1, 1);
        memcpy(joined, folder, folder_length);
        joined[folder_length] = '/';
        memcpy(joined + folder_length + 1, path, length);
        char *out = normal(joined);
        free(joined);
        return out;
}
