/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reads code objects and writes CodeDefs. Runs in hooks, in threads that walk their own Python stacks. The
 * message is encoded by hand and by parts, so that it needs no memory: once to count and hash it, once
 * to compare it with what has that hash, or else to write it.
 */

#include "agent/python_code.h"

#include "agent/sys.h"

#include <string.h>

/* A name that is longer is cut; a table that is longer is left out, and the code has no lines. */
#define TEXT_BYTES_MAX  (64 * 1024)
#define TABLE_BYTES_MAX (ITEM_BYTES_MAX / 2)

/* trie_find() wants a parent that is not 0 */
#define CONTENT_PARENT 1
#define CONTENT_MASK   ((UINT64_C(1) << 60) - 1)

/* protobuf's wire format: field << 3 | type, varint 0 or bytes 2 */
enum tag {
        TAG_ITEM_CODE = 3 << 3 | 2,
        TAG_CODE = 1 << 3,
        TAG_FILENAME = 2 << 3 | 2,
        TAG_QUALNAME = 3 << 3 | 2,
        TAG_FIRST_LINE = 4 << 3,
        TAG_TABLE_FORMAT = 5 << 3,
        TAG_TABLE = 6 << 3 | 2,
};

/* Where encoded bytes go. */
struct sink {
        uint64_t n_bytes;
        uint64_t hash;
        uint8_t *to;             /* NULL: not written */
        const uint8_t *expected; /* NULL: not compared */
        uint64_t n_expected;
        bool differs;
};

static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t n) {
        uint64_t word;
        for (; n >= sizeof word; n -= sizeof word, bytes += sizeof word) {
                memcpy(&word, bytes, sizeof word);
                hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 29;
        }
        for (; n > 0; n--, bytes++)
                hash = (hash ^ *bytes) * UINT64_C(0x100000001b3);
        return hash ^ hash >> 32;
}

static void put(struct sink *sink, const void *bytes, size_t n) {
        if (sink->to)
                memcpy(sink->to + sink->n_bytes, bytes, n);
        else if (!sink->expected)
                sink->hash = hash_bytes(sink->hash, bytes, n);
        else if (n > sink->n_expected - sink->n_bytes || memcmp(sink->expected + sink->n_bytes, bytes, n) != 0)
                sink->differs = true;
        if (!sink->differs)
                sink->n_bytes += n;
}

static void put_number(struct sink *sink, uint64_t number) {
        uint8_t bytes[10];
        unsigned n = 0;
        for (; number >= 128; number >>= 7)
                bytes[n++] = (uint8_t)(number | 128);
        bytes[n++] = (uint8_t)number;
        put(sink, bytes, n);
}

/* A str, however the interpreter keeps it. */
struct text {
        const void *data;
        uint64_t length; /* characters */
        unsigned kind;   /* bytes of one */
        uint64_t n_bytes;
};

static uint32_t character(const struct text *text, uint64_t i) {
        switch (text->kind) {
        case 1:
                return ((const uint8_t *)text->data)[i];
        case 2:
                return ((const uint16_t *)text->data)[i];
        default:
                return ((const uint32_t *)text->data)[i];
        }
}

/* UTF-8, surrogates like any other character: so names that are not UTF-8 come through. */
static unsigned encode_character(uint32_t c, uint8_t bytes[4]) {
        if (c < 0x80) {
                bytes[0] = (uint8_t)c;
                return 1;
        }
        if (c < 0x800) {
                bytes[0] = (uint8_t)(0xc0 | c >> 6);
                bytes[1] = (uint8_t)(0x80 | (c & 63));
                return 2;
        }
        if (c < 0x10000) {
                bytes[0] = (uint8_t)(0xe0 | c >> 12);
                bytes[1] = (uint8_t)(0x80 | (c >> 6 & 63));
                bytes[2] = (uint8_t)(0x80 | (c & 63));
                return 3;
        }
        bytes[0] = (uint8_t)(0xf0 | (c >> 18 & 7));
        bytes[1] = (uint8_t)(0x80 | (c >> 12 & 63));
        bytes[2] = (uint8_t)(0x80 | (c >> 6 & 63));
        bytes[3] = (uint8_t)(0x80 | (c & 63));
        return 4;
}

static void measure(struct text *text) {
        uint8_t bytes[4];
        uint64_t n = 0;
        for (uint64_t i = 0; i < text->length; i++) {
                unsigned more = encode_character(character(text, i), bytes);
                if (n + more > TEXT_BYTES_MAX) {
                        text->length = i;
                        break;
                }
                n += more;
        }
        text->n_bytes = n;
}

static struct text read_text(const struct python_layout *layout, uintptr_t object) {
        struct text text = {.kind = 1};
        uint32_t state;
        bool compact, ascii;
        if (!object)
                return text;
        state = (uint32_t)python_int(object, PYTHON_TEXT_STATE);
        compact = state >> 5 & 1;
        ascii = state >> 6 & 1;
        text.kind = state >> 2 & 7;
        text.length = python_word(object, PYTHON_TEXT_LENGTH);
        if (text.kind != 1 && text.kind != 2 && text.kind != 4)
                return (struct text){.kind = 1}; /* a str of 3.11 or earlier that nobody has looked at yet */
        if (compact)
                text.data = (const void *)(object + (ascii ? layout->text_ascii_bytes : layout->text_compact_bytes));
        else
                text.data = (const void *)python_word(object, layout->text_compact_bytes);
        if (!text.data)
                return (struct text){.kind = 1};
        if (text.kind == 1 && ascii) {
                if (text.length > TEXT_BYTES_MAX)
                        text.length = TEXT_BYTES_MAX;
                text.n_bytes = text.length;
        } else {
                measure(&text);
        }
        return text;
}

static void put_text(struct sink *sink, uint8_t tag, const struct text *text) {
        uint8_t bytes[64];
        unsigned n = 0;
        put(sink, &tag, 1);
        put_number(sink, text->n_bytes);
        if (text->kind == 1 && text->n_bytes == text->length) {
                put(sink, text->data, text->length);
                return;
        }
        for (uint64_t i = 0; i < text->length; i++) {
                if (n > sizeof bytes - 4) {
                        put(sink, bytes, n);
                        n = 0;
                }
                n += encode_character(character(text, i), bytes + n);
        }
        put(sink, bytes, n);
}

/* All of a CodeDef but the number. */
struct said {
        const struct python_layout *layout;
        struct text filename, qualname;
        uint64_t first_line;
        const uint8_t *table;
        uint64_t table_length;
};

static struct said read_code(const struct python_layout *layout, uintptr_t code) {
        uintptr_t table = python_word(code, layout->code_table);
        struct said said = {
                .layout = layout,
                .filename = read_text(layout, python_word(code, layout->code_filename)),
                .qualname = read_text(layout, python_word(code, layout->code_name)),
                .first_line = (uint64_t)(int64_t)python_int(code, layout->code_first_line),
        };
        if (table && python_word(table, PYTHON_BYTES_LENGTH) <= TABLE_BYTES_MAX) {
                said.table = (const uint8_t *)table + PYTHON_BYTES_DATA;
                said.table_length = python_word(table, PYTHON_BYTES_LENGTH);
        }
        return said;
}

static void put_tagged(struct sink *sink, uint8_t tag, uint64_t number) {
        put(sink, &tag, 1);
        put_number(sink, number);
}

static void put_said(struct sink *sink, const struct said *said) {
        put_text(sink, TAG_FILENAME, &said->filename);
        put_text(sink, TAG_QUALNAME, &said->qualname);
        put_tagged(sink, TAG_FIRST_LINE, said->first_line);
        put_tagged(sink, TAG_TABLE_FORMAT, said->layout->table_format);
        put_tagged(sink, TAG_TABLE, said->table_length);
        put(sink, said->table, said->table_length);
}

static unsigned number_bytes(uint64_t number) {
        unsigned n = 1;
        for (; number >= 128; number >>= 7)
                n++;
        return n;
}

/* Return: NULL: no number of that page was handed out. */
static _Atomic uint64_t *item_of(const struct python_codes *codes, uint32_t number) {
        _Atomic uint64_t *page =
                atomic_load_explicit(&codes->items[number >> PYTHON_CODES_PAGE_LOG2], memory_order_acquire);

        return page ? &page[number & (PYTHON_CODES_PAGE - 1)] : NULL;
}

/* Return: NULL where there is no memory. */
static _Atomic uint64_t *new_item(struct python_codes *codes, uint32_t number) {
        _Atomic uint64_t *_Atomic *place = &codes->items[number >> PYTHON_CODES_PAGE_LOG2];
        _Atomic uint64_t *page, *none = NULL;
        if (!atomic_load_explicit(place, memory_order_acquire)) {
                page = sys_map_memory(PYTHON_CODES_PAGE * sizeof *page);
                if (page && !atomic_compare_exchange_strong(place, &none, page))
                        sys_unmap(page, PYTHON_CODES_PAGE * sizeof *page); /* another thread was first */
        }
        return item_of(codes, number);
}

/* Whether the Item of a number says the same: it ends with those bytes, and what is before them is its number. */
static bool says(const struct python_codes *codes, uint32_t number, const struct said *said, uint64_t n_bytes) {
        const _Atomic uint64_t *place = item_of(codes, number);
        uint64_t item = place ? atomic_load_explicit(place, memory_order_acquire) : 0;
        struct sink sink = {0};
        const void *bytes;
        uint64_t code_def = 1 + number_bytes(number) + n_bytes;
        if (!item)
                return false;
        uint32_t length = definitions_item(codes->definitions, item - 1, &bytes);
        if (length != 1 + number_bytes(code_def) + code_def)
                return false;
        sink.expected = (const uint8_t *)bytes + length - n_bytes;
        sink.n_expected = n_bytes;
        put_said(&sink, said);
        return !sink.differs;
}

static bool write_item(struct python_codes *codes, uint32_t number, const struct said *said, uint64_t n_bytes) {
        uint64_t code_def = 1 + number_bytes(number) + n_bytes;
        uint32_t length = (uint32_t)(1 + number_bytes(code_def) + code_def);
        _Atomic uint64_t *item = new_item(codes, number);
        uint64_t offset;
        uint8_t *place = item ? definitions_begin_item(codes->definitions, length, &offset) : NULL;
        struct sink sink = {.to = place};
        if (!place)
                return false;
        put_tagged(&sink, TAG_ITEM_CODE, code_def);
        put_tagged(&sink, TAG_CODE, number);
        put_said(&sink, said);
        definitions_end_item(codes->definitions, offset, length);
        atomic_store_explicit(item, offset + 1, memory_order_release);
        return true;
}

static uint32_t new_number(struct python_codes *codes) {
        uint32_t n = atomic_load_explicit(&codes->n_codes, memory_order_relaxed);
        do {
                if (n >= PYTHON_CODES_MAX - 1)
                        return PYTHON_CODE_UNKNOWN;
        } while (!atomic_compare_exchange_weak(&codes->n_codes, &n, n + 1));
        return n + 1;
}

/* Two threads that meet new code at once tell of it twice, under two numbers that say the same. */
static uint32_t number_by_content(struct python_codes *codes, uintptr_t code) {
        struct said said = read_code(codes->layout, code);
        struct sink sink = {0};
        uint64_t key;
        put_said(&sink, &said);
        key = (sink.hash & CONTENT_MASK) | UINT64_C(1) << 60; /* no key that means something to a trie */
        uint32_t number = trie_find(&codes->by_content, CONTENT_PARENT, key);
        if (number)
                return says(codes, number, &said, sink.n_bytes) ? number : PYTHON_CODE_UNKNOWN;
        number = new_number(codes);
        if (!number || !write_item(codes, number, &said, sink.n_bytes))
                return PYTHON_CODE_UNKNOWN;
        trie_insert(&codes->by_content, CONTENT_PARENT, key, number);
        return number;
}

struct python_codes *python_codes_new(struct definitions *definitions, const struct python_layout *layout) {
        struct python_codes *codes = sys_map_memory(sizeof *codes);
        if (!codes)
                return NULL;
        codes->definitions = definitions;
        codes->layout = layout;
        if (trie_init(&codes->by_content) < 0) {
                sys_unmap(codes, sizeof *codes);
                return NULL;
        }
        return codes;
}

void python_codes_inherit(struct python_codes *codes, const struct python_codes *parent) {
        uint32_t n = atomic_load(&parent->n_codes);
        trie_share(&codes->by_content, &parent->by_content);
        atomic_store(&codes->n_codes, n);
        for (uint32_t number = 1; number <= n; number++) {
                const _Atomic uint64_t *from = item_of(parent, number);
                uint64_t item = from ? atomic_load(from) : 0;
                _Atomic uint64_t *to;
                const void *bytes;
                if (!item)
                        continue; /* a thread of the parent was at it */
                to = new_item(codes, number);
                if (!to)
                        return;
                uint32_t length = definitions_item(parent->definitions, item - 1, &bytes);
                uint64_t offset = definitions_add_item(codes->definitions, bytes, length);
                if (offset == DEFINITIONS_FULL)
                        return;
                atomic_store(to, offset + 1);
        }
}

#define WAYS 4

static _Atomic uint64_t *cached_set(struct python_codes *codes, uintptr_t code) {
        uint64_t hash = (uint64_t)code * UINT64_C(0x9e3779b97f4a7c15);
        return &codes->by_address[hash >> (64 - PYTHON_CODES_CACHED_LOG2) & ~(uint64_t)(WAYS - 1)];
}

uint32_t python_codes_number(struct python_codes *codes, uintptr_t code) {
        _Atomic uint64_t *set = cached_set(codes, code);
        uint64_t address = (uint64_t)code >> 4 << (PYTHON_CODES_LOG2 + 1);
        unsigned victim = (unsigned)(code >> 8) % WAYS;
        uint32_t number;

        for (unsigned i = 0; i < WAYS; i++) {
                uint64_t word = atomic_load_explicit(&set[i], memory_order_acquire);
                if ((word ^ address) < PYTHON_CODES_MAX)
                        return (uint32_t)(word ^ address);
                if (word == 0)
                        victim = i;
        }
        number = number_by_content(codes, code);
        if (number && (code & 15) == 0)
                atomic_store_explicit(&set[victim], address | number, memory_order_release);
        return number;
}

void python_codes_forget(struct python_codes *codes, uintptr_t code) {
        _Atomic uint64_t *set = cached_set(codes, code);
        uint64_t address = (uint64_t)code >> 4 << (PYTHON_CODES_LOG2 + 1);
        for (unsigned i = 0; i < WAYS; i++) {
                uint64_t word = atomic_load_explicit(&set[i], memory_order_acquire);
                if (word != 0 && (word ^ address) < PYTHON_CODES_MAX)
                        atomic_store_explicit(&set[i], 0, memory_order_release);
        }
}
