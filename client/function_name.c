/* SPDX-License-Identifier: Apache-2.0 */

/* Names of C++ functions for people. Called by render_place.c. */

#include "client/function_name.h"

#include "client/memory.h"
#include "daemon/base/brackets.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Arguments that are rarely written: not the first of a list, and beginning like this. */
static const char *const defaults[] = {
        "std::allocator<", "std::char_traits<", "std::less<", "std::hash<", "std::equal_to<", "std::default_delete<",
};

/* What is left of a type when its defaults are gone, and how it is written. */
static const struct {
        const char *type, *alias;
} aliases[] = {
        {"std::basic_string<char>", "std::string"},
        {"std::basic_string<wchar_t>", "std::wstring"},
        {"std::basic_string_view<char>", "std::string_view"},
        {"std::basic_ostream<char>", "std::ostream"},
        {"std::basic_istream<char>", "std::istream"},
        {"std::basic_ostringstream<char>", "std::ostringstream"},
        {"std::basic_istringstream<char>", "std::istringstream"},
        {"std::basic_stringstream<char>", "std::stringstream"},
};

/* Longer ones first: they begin like others. */
static const char *const operators[] = {"<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "()", "<", ">"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A bracket that is open in what was written so far. */
struct bracket {
        char kind;
        size_t argument; /* of a template's list: where the last argument begins */
        bool first;      /* of which it is the first */
};

struct writer {
        char *text; /* as long as the name at most */
        size_t length;
        struct bracket *open;
        size_t n_open;
};

static bool begins_with(const char *text, const char *beginning) {
        return strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool ends_with(const struct writer *w, const char *ending) {
        size_t length = strlen(ending);
        return w->length >= length && memcmp(w->text + w->length - length, ending, length) == 0;
}

static void put(struct writer *w, const char *text, size_t length) {
        memcpy(w->text + w->length, text, length);
        w->length += length;
}

static void open_bracket(struct writer *w, char kind) {
        put(w, &kind, 1);
        w->open[w->n_open++] = (struct bracket){.kind = kind, .argument = w->length, .first = true};
}

/* The argument that ends here: is it one that goes? */
static void end_argument(struct writer *w) {
        struct bracket *list = &w->open[w->n_open - 1];
        w->text[w->length] = '\0';
        for (size_t i = 0; !list->first && i < COUNT(defaults); i++)
                if (begins_with(w->text + list->argument, defaults[i]))
                        w->length = list->argument - strlen(", ");
        list->first = false;
}

static void end_list(struct writer *w) {
        while (ends_with(w, " "))
                w->length--;
        end_argument(w);
        w->n_open--;
        put(w, ">", 1);
        for (size_t i = 0; i < COUNT(aliases); i++) {
                if (!ends_with(w, aliases[i].type))
                        continue;
                w->length -= strlen(aliases[i].type);
                put(w, aliases[i].alias, strlen(aliases[i].alias));
        }
}

/* Return: bytes of @rest that were looked at. */
static size_t write_bracket_or_byte(struct writer *w, const char *rest) {
        char inside = w->n_open ? w->open[w->n_open - 1].kind : '\0';
        if (*rest == '<' || *rest == '(') {
                open_bracket(w, *rest);
        } else if (*rest == '>' && inside == '<' && !ends_with(w, "-")) {
                end_list(w);
        } else if (begins_with(rest, ", ") && inside == '<') {
                end_argument(w);
                put(w, ", ", 2);
                w->open[w->n_open - 1].argument = w->length;
                return 2;
        } else {
                if (*rest == ')' && inside == '(')
                        w->n_open--;
                put(w, rest, 1);
        }
        return 1;
}

/* What brackets are else is behind `operator` its name. Return: as above; 0: it is none. */
static size_t write_operator(struct writer *w, const char *rest) {
        for (size_t i = 0; ends_with(w, "operator") && i < COUNT(operators); i++) {
                if (begins_with(rest, operators[i])) {
                        put(w, operators[i], strlen(operators[i]));
                        return strlen(operators[i]);
                }
        }
        return 0;
}

static size_t write_next(struct writer *w, const char *rest) {
        static const char abi[] = "__cxx11::"; /* a namespace that nobody writes */
        if (begins_with(rest, abi) && ends_with(w, "::"))
                return strlen(abi);
        size_t done = write_operator(w, rest);
        return done > 0 ? done : write_bracket_or_byte(w, rest);
}

char *function_name_short(const char *name) {
        size_t length = strlen(name);
        if (!strstr(name, "std::"))
                return memory_copy(name, length);
        struct writer w = {.text = memory_zalloc(length + 1), .open = memory_zalloc(length * sizeof *w.open)};
        while (*name)
                name += write_next(&w, name);
        w.text[w.length] = '\0';
        free(w.open);
        return w.text;
}

/* Whether @w ends with the word that the name of an operator or a conversion begins with. */
static bool ends_with_operator(const struct writer *w, char next) {
        return ends_with(w, "operator") && !isalnum((unsigned char)next) && next != '_';
}

static size_t write_brief(struct writer *w, const char *rest) {
        size_t done = write_operator(w, rest);
        if (done > 0)
                return done;
        if (*rest != '(' && *rest != '<') {
                put(w, rest, 1);
                return 1;
        }
        done = brackets_length(rest, strlen(rest));
        if (done <= strlen("(...)") || begins_with(rest, "(anonymous namespace)")) {
                put(w, rest, done);
        } else {
                put(w, rest, 1);
                put(w, "...", 3);
                put(w, rest + done - 1, 1);
        }
        return done;
}

char *function_name_brief(const char *name) {
        size_t length = strlen(name);
        if (!strstr(name, "::") || *name == '<') /* Rust's <A as B>::f says most inside */
                return memory_copy(name, length);
        struct writer w = {.text = memory_zalloc(length + 1)};
        bool named = false; /* no space ends a result any more */
        while (*name) {
                if ((*name == '(' && w.length > 0) || ends_with_operator(&w, *name))
                        named = true;
                bool result = *name == ' ' && !named;
                name += write_brief(&w, name);
                if (result)
                        w.length = 0;
        }
        w.text[w.length] = '\0';
        return w.text;
}
