/* SPDX-License-Identifier: Apache-2.0 */

/* See wrapper.h. Runs in the thread of its query. */

#include "daemon/query/wrapper.h"

#include "daemon/base/brackets.h"
#include "daemon/query/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A stretch of a name. */
struct part {
        const char *bytes;
        size_t length;
};

/* How the names of C's wrappers end: xmalloc, CRYPTO_zalloc, my_strdup. */
static const char *const endings[] = {
        "malloc", "calloc", "realloc", "reallocarray", "zalloc", "strdup", "strndup", "wcsdup", "memdup", "memalign",
};

/* Those that are called otherwise, and strings and containers, which allocate for who fills them. How names begin. */
static const char *const beginnings[] = {
        /* C++, Rust; the latter also as `<alloc::string::String as core::clone::Clone>::clone` */
        "std::",
        "__gnu_cxx::",
        "alloc::",
        "<alloc::",
        "hashbrown::",
        "<hashbrown::",
        /* libc */
        "asprintf",
        "vasprintf",
        "__asprintf",
        "__vasprintf",
        "getdelim",
        "__getdelim",
        "_IO_getdelim",
        /* gnulib */
        "xasprintf",
        "xvasprintf",
        "xnmalloc",
        "x2nrealloc",
        "xmalloc",
        "xcharalloc",
        /* GLib */
        "g_malloc",
        "g_try_malloc",
        "g_realloc",
        "g_try_realloc",
        "g_aligned_alloc",
        "g_slice_",
        "g_memdup",
        "g_strdup",
        "g_strconcat",
        "g_strjoin",
        "g_string_",
        "g_array_",
        "g_ptr_array_",
        "g_byte_array_",
        "g_list_",
        "g_slist_",
        "g_queue_",
        "g_hash_table_",
        "g_tree_",
        /* Qt */
        "QArrayData::",
        "QTypedArrayData<",
        "QListData::",
        "QHashData::",
        "QMapDataBase::",
        "QHashPrivate::",
        /* redis */
        "zmalloc",
        "zcalloc",
        "zrealloc",
        "ztrymalloc",
        "ztrycalloc",
        "ztryrealloc",
        "_sdsnewlen",
        "sdsnew",
        "sdstrynewlen",
        "sdsdup",
        "sdscat",
        "sdscpy",
        "sdsMakeRoomFor",
        "_sdsMakeRoomFor",
        "sdsRemoveFreeSpace",
        "sdsResize",
        "sdsgrowzero",
        /* nginx, APR, PostgreSQL, talloc: pools */
        "ngx_alloc",
        "ngx_palloc",
        "ngx_pnalloc",
        "ngx_calloc",
        "ngx_pcalloc",
        "ngx_memalign",
        "ngx_pmemalign",
        "ngx_create_pool",
        "ngx_array_",
        "ngx_list_",
        "apr_palloc",
        "apr_pcalloc",
        "apr_pstr",
        "apr_pmemdup",
        "apr_psprintf",
        "apr_pvsprintf",
        "apr_pool_create",
        "apr_allocator_alloc",
        "allocator_alloc",
        "apr_array_",
        "apr_table_",
        "palloc",
        "repalloc",
        "pstrdup",
        "MemoryContextAlloc",
        "MemoryContextStrdup",
        "AllocSet",
        "talloc_",
        "_talloc_",
        "__talloc",
        /* OpenSSL, Perl, SQLite, CPython as a native program */
        "CRYPTO_malloc",
        "CRYPTO_zalloc",
        "CRYPTO_realloc",
        "CRYPTO_strdup",
        "CRYPTO_strndup",
        "CRYPTO_memdup",
        "Perl_safesys",
        "sqlite3Malloc",
        "sqlite3MemMalloc",
        "sqlite3DbMalloc",
        "_PyMem_Raw",
        "PyMem_",
        "_PyObject_Malloc",
        "PyObject_Malloc",
        "PyObject_Calloc",
        "PyObject_Realloc",
        "gc_alloc",
        "_PyObject_GC_New",
        "_PyObject_New",
        "PyType_GenericAlloc",
        "_PyType_AllocNoTrack",
};

/* Within names of files: headers and modules of these libraries. */
static const char *const files[] = {
        "/include/c++/",
        "/libstdc++.so",
        "/libc++.so",
        /* Rust's releases, with the component rust-src, Debian's */
        "/rustc/",
        "/rustlib/src/rust/",
        "/usr/src/rustc-",
        "/rust/deps/",
};

/* Nearly always settled by the first byte, which counts: there are many beginnings. */
static bool begins_with(struct part p, const char *text) {
        size_t i = 0;
        while (i < p.length && text[i] && p.bytes[i] == text[i])
                i++;
        return !text[i];
}

static bool ends_with(struct part p, const char *text) {
        size_t length = strlen(text);
        return p.length >= length && memcmp(p.bytes + p.length - length, text, length) == 0;
}

/* `std::string shop::Cart<int>::label<char>(int) const` to `shop::Cart<int>::label<char>`: without arguments and
 * result. `operator`, which may have anything behind it, ends a name. */
static struct part qualified_name(struct part whole) {
        size_t begin = 0, i = 0;
        while (i < whole.length) {
                struct part done = {whole.bytes + begin, i - begin}, rest = {whole.bytes + i, whole.length - i};
                if (!strchr(" (<[{", *rest.bytes)) {
                        i++;
                        continue;
                }
                if (ends_with(done, "operator"))
                        return (struct part){done.bytes, whole.length - begin};
                if (*rest.bytes == '(' && i > begin && !ends_with(done, "decltype") && !begins_with(rest, "(anonymous"))
                        return done;
                if (*rest.bytes == ' ')
                        begin = i + 1;
                i += *rest.bytes == ' ' ? 1 : brackets_length(rest.bytes, rest.length);
        }
        return (struct part){whole.bytes + begin, whole.length - begin};
}

/* The last component of a qualified name, without its template's arguments and what GCC puts behind (`.part.0`). */
static struct part own_name(struct part qualified) {
        size_t begin = 0, end = 0, i = 0;
        while (i < qualified.length && qualified.bytes[i] != '.') {
                struct part rest = {qualified.bytes + i, qualified.length - i};
                if (strchr("(<[{", *rest.bytes)) {
                        i += brackets_length(rest.bytes, rest.length);
                        continue;
                }
                if (begins_with(rest, "::"))
                        begin = i + 2;
                i += begins_with(rest, "::") ? 2 : 1;
                end = i;
        }
        return (struct part){qualified.bytes + begin, end > begin ? end - begin : 0};
}

/* Before the ending: xstrdup, __strdup and glibc's __GI___strdup are what their ending says and nothing else. */
static bool says_more(struct part own, size_t ending_length) {
        for (size_t i = 0; i < own.length - ending_length; i++)
                if (!strchr("_xGI", own.bytes[i]))
                        return true;
        return false;
}

enum wrapper wrapper_function(const char *name, size_t length) {
        struct part qualified, own;
        enum wrapper answer = WRAPPER_NONE;
        if (memchr(name, '\0', length))
                return WRAPPER_NONE;
        qualified = qualified_name((struct part){name, length});
        own = own_name(qualified);
        if (begins_with(own, "operator new"))
                return WRAPPER_KNOWN;
        for (size_t i = 0; i < COUNT(beginnings); i++)
                if (begins_with(qualified, beginnings[i]))
                        return WRAPPER_KNOWN;
        for (size_t i = 0; i < COUNT(endings) && answer != WRAPPER_KNOWN; i++)
                if (ends_with(own, endings[i]))
                        answer = says_more(own, strlen(endings[i])) ? WRAPPER_SUPPOSED : WRAPPER_KNOWN;
        return answer;
}

bool wrapper_file(const char *name, size_t length) {
        for (size_t i = 0; i < COUNT(files); i++)
                if (memmem(name, length, files[i], strlen(files[i])))
                        return true;
        return false;
}

/* ---- models ---- */

/* Each text is looked at once: many frames share a file. */
struct answers {
        const struct model *model;
        uint8_t *files, *functions; /* [n_texts] 0, not asked yet, or 1 + enum wrapper */
};

static enum wrapper ask_file(const struct answers *a, uint32_t text) {
        const struct text *texts = a->model->table.texts.texts;
        if (text == TEXT_NONE)
                return WRAPPER_NONE;
        if (a->files[text] == 0)
                a->files[text] =
                        1 + (wrapper_file(texts[text].bytes, texts[text].length) ? WRAPPER_KNOWN : WRAPPER_NONE);
        return a->files[text] - 1;
}

static enum wrapper ask_function(const struct answers *a, uint32_t text) {
        const struct text *texts = a->model->table.texts.texts;
        if (text == TEXT_NONE)
                return WRAPPER_NONE;
        if (a->functions[text] == 0)
                a->functions[text] = 1 + wrapper_function(texts[text].bytes, texts[text].length);
        return a->functions[text] - 1;
}

/* Who initialises a library is the loader, which is no answer to who wanted the library's memory. */
static bool is_loader(const struct model *m, const struct traceback_frame *frame) {
        const struct text *path;
        if (frame->module == MODULE_NONE)
                return false;
        path = &m->table.texts.texts[m->table.modules[frame->module].path];
        return memmem(path->bytes, path->length, "/ld-linux", strlen("/ld-linux"));
}

static uint8_t mark_of(const struct answers *a, const struct traceback_frame *f) {
        enum wrapper function = ask_function(a, f->function);
        if (function == WRAPPER_KNOWN || ask_file(a, f->filename) == WRAPPER_KNOWN)
                return FILTER_GOES;
        if (function == WRAPPER_SUPPOSED)
                return FILTER_SUPPOSED;
        if (is_loader(a->model, f))
                return FILTER_NO_ANSWER;
        return f->function == TEXT_NONE ? FILTER_FOLLOWS : FILTER_STAYS; /* stripped: only exports have names */
}

int wrapper_mark(const struct model *m, uint8_t *marks) {
        const size_t n_texts = m->table.texts.n_texts;
        uint8_t *memo = calloc(2 * n_texts + 1, sizeof *memo);
        struct answers answers;
        if (!memo)
                return -ENOMEM;
        answers = (struct answers){m, memo, memo + n_texts};
        for (uint32_t i = 0; i < m->table.n_frames; i++)
                if (m->table.frames[i].native && marks[i] != FILTER_GOES)
                        marks[i] = mark_of(&answers, &m->table.frames[i]);
        free(memo);
        return 0;
}
