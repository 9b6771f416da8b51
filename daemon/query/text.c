/* SPDX-License-Identifier: Apache-2.0 */

/* Interned names in Python's order; see text.h. Used by the model, in the thread of its query. */

#include "daemon/query/text.h"

#include "daemon/base/python_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MIN        64
#define ESCAPE_KEY_BYTES 3 /* U+DC80..U+DCFF in UTF-8 */

/* Number of bytes that no valid sequence holds. */
static size_t count_escaped(const char *bytes, size_t length) {
        uint32_t code_point;
        size_t n_escaped = 0, taken;
        for (size_t i = 0; i < length; i += taken) {
                taken = python_text_decode(bytes + i, length - i, &code_point);
                n_escaped += taken == 1 && code_point >= PYTHON_TEXT_ESCAPE_BASE;
        }
        return n_escaped;
}

/* Return: 0, *keyp NULL where the bytes are their own key. */
static int make_key(const char *bytes, size_t length, char **keyp, size_t *key_lengthp) {
        size_t n_escaped = count_escaped(bytes, length), taken;
        uint32_t code_point;
        char *key, *end;
        *keyp = NULL;
        *key_lengthp = length;
        if (n_escaped == 0)
                return 0;
        key = end = malloc(length + (ESCAPE_KEY_BYTES - 1) * n_escaped);
        if (!key)
                return -ENOMEM;
        for (size_t i = 0; i < length; i += taken) {
                taken = python_text_decode(bytes + i, length - i, &code_point);
                if (taken == 1 && code_point >= PYTHON_TEXT_ESCAPE_BASE) {
                        *end++ = (char)(0xe0 | code_point >> 12);
                        *end++ = (char)(0x80 | (code_point >> 6 & 0x3f));
                        *end++ = (char)(0x80 | (code_point & 0x3f));
                } else {
                        memcpy(end, bytes + i, taken);
                        end += taken;
                }
        }
        *keyp = key;
        *key_lengthp = (size_t)(end - key);
        return 0;
}

void text_table_init(struct text_table *t) {
        *t = (struct text_table){0};
        intern_init(&t->index);
}

void text_table_deinit(struct text_table *t) {
        for (uint32_t i = 0; i < t->n_texts; i++)
                if (t->texts[i].key != t->texts[i].bytes)
                        free((char *)t->texts[i].key);
        free(t->texts);
        intern_deinit(&t->index);
        *t = (struct text_table){0};
}

static bool text_equal(const void *owner, uint32_t id, const void *key) {
        const struct text_table *t = owner;
        const struct text *a = &t->texts[id], *b = key;
        return a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0;
}

static int text_table_reserve(struct text_table *t) {
        struct text *texts;
        uint32_t size;
        if (t->n_texts >= TEXT_NONE - 1)
                return -EOVERFLOW;
        if (t->n_texts == t->size) {
                size = t->size ? (t->size > TEXT_NONE / 2 ? TEXT_NONE : t->size * 2) : TEXTS_MIN;
                texts = reallocarray(t->texts, size, sizeof *texts);
                if (!texts)
                        return -ENOMEM;
                t->texts = texts;
                t->size = size;
        }
        return intern_reserve(&t->index, 1);
}

int text_table_intern(struct text_table *t, const char *bytes, size_t length, uint32_t *idp) {
        struct text text = {.bytes = bytes ? bytes : "", .length = length};
        char *own_key;
        int r = make_key(text.bytes, length, &own_key, &text.key_length);
        if (r < 0)
                return r;
        text.key = own_key ? own_key : text.bytes;
        uint32_t hash = intern_hash_bytes(text.key, text.key_length);
        *idp = intern_find(&t->index, hash, text_equal, t, &text);
        r = *idp == INTERN_NONE ? text_table_reserve(t) : 0;
        if (r < 0 || *idp != INTERN_NONE) {
                free(own_key);
                return r;
        }
        *idp = t->n_texts;
        t->texts[t->n_texts] = text;
        intern_add(&t->index, hash, t->n_texts++);
        return 0;
}

int text_table_compare(const struct text_table *t, uint32_t a, uint32_t b) {
        if (a == b)
                return 0;
        if (a == TEXT_NONE || b == TEXT_NONE)
                return a == TEXT_NONE ? -1 : 1;
        const struct text *x = &t->texts[a];
        const struct text *y = &t->texts[b];
        size_t shorter = x->key_length < y->key_length ? x->key_length : y->key_length;
        int r = memcmp(x->key, y->key, shorter);
        return r != 0 ? r : (x->key_length > y->key_length) - (x->key_length < y->key_length);
}
