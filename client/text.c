/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes to text, for JSON and for terminals. */

#include "client/text.h"

#include "client/memory.h"

#include <json-c/json.h>
#include <json-c/printbuf.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define SHORTEN_MARK      "..."
#define SHORTEN_WIDTH_MIN 8 /* below, the mark would leave nothing to recognise */

static bool is_continuation(unsigned char byte) {
        return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at @s (Unicode table 3-7: no overlong form, no surrogate), 0 if there is none. */
static size_t utf8_length(const unsigned char *s, size_t left) {
        unsigned char low = 0x80, high = 0xbf;
        size_t n;
        if (s[0] < 0x80)
                return 1;
        if (s[0] >= 0xc2 && s[0] <= 0xdf) {
                n = 2;
        } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
                n = 3;
                low = s[0] == 0xe0 ? 0xa0 : low;
                high = s[0] == 0xed ? 0x9f : high;
        } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
                n = 4;
                low = s[0] == 0xf0 ? 0x90 : low;
                high = s[0] == 0xf4 ? 0x8f : high;
        } else {
                return 0;
        }
        if (left < n || s[1] < low || s[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++) {
                if (!is_continuation(s[i]))
                        return 0;
        }
        return n;
}

static void json_put_control(struct text_buffer *out, unsigned char c) {
        static const char shorts[][3] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
        char code[8];
        if (c < sizeof shorts / sizeof shorts[0] && shorts[c][0]) {
                text_buffer_add(out, shorts[c], 2);
                return;
        }
        snprintf(code, sizeof code, "\\u%04x", c);
        text_buffer_add(out, code, 6);
}

/* What is no UTF-8, as Python has it in a str: the three bytes that a pickle has for a surrogate are that surrogate,
 * any other byte is escaped to one. Return: bytes taken. */
static size_t json_put_surrogate(struct text_buffer *out, const unsigned char *s, size_t left) {
        char code[8];
        bool whole = left >= 3 && s[0] == 0xed && (s[1] & 0xe0) == 0xa0 && is_continuation(s[2]);
        unsigned surrogate = whole ? 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu) : 0xdc00u + s[0];
        snprintf(code, sizeof code, "\\u%04x", surrogate);
        text_buffer_add(out, code, 6);
        return whole ? 3 : 1;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether any of eight bytes is below @limit, 128 at most; what is above does not matter. Bit Twiddling Hacks
 * (Anderson), "Determine if a word has a byte less than n" */
static bool has_below(uint64_t word, unsigned char limit) {
        return ((word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80)) != 0;
}

static bool has_byte(uint64_t word, unsigned char byte) {
        return has_below(word ^ EACH_BYTE(byte), 1);
}

/* Bytes at @s, a multiple of eight, that are ASCII, no control characters, and neither @one nor @other. Names are
 * little else. */
static size_t ascii_length(const unsigned char *s, size_t left, unsigned char one, unsigned char other) {
        size_t at = 0;
        for (uint64_t word; left - at >= sizeof word; at += sizeof word) {
                memcpy(&word, s + at, sizeof word);
                bool ascii = (word & EACH_BYTE(0x80)) == 0;
                if (!ascii || has_below(word, 0x20) || has_byte(word, one) || has_byte(word, other))
                        break;
        }
        return at;
}

/* Length of what begins @s and stands in JSON as it is */
static size_t json_plain_length(const unsigned char *s, size_t left) {
        size_t at = ascii_length(s, left, '"', '\\');
        while (at < left && s[at] >= 0x20 && s[at] != '"' && s[at] != '\\') {
                size_t n = s[at] < 0x80 ? 1 : utf8_length(s + at, left - at);
                if (n == 0)
                        break;
                at += n;
        }
        return at;
}

void text_json_append(struct text_buffer *out, const void *bytes, size_t length) {
        const unsigned char *s = bytes;
        text_buffer_add(out, "\"", 1);
        while (length > 0) {
                size_t n = json_plain_length(s, length);
                if (n > 0) {
                        text_buffer_add(out, s, n);
                } else if (s[0] == '"' || s[0] == '\\') {
                        char pair[2] = {'\\', (char)s[0]};
                        text_buffer_add(out, pair, 2);
                        n = 1;
                } else if (s[0] < 0x20) {
                        json_put_control(out, s[0]);
                        n = 1;
                } else {
                        n = json_put_surrogate(out, s, length);
                }
                s += n;
                length -= n;
        }
        text_buffer_add(out, "\"", 1);
}

/* json-c's own serialiser passes bytes through, which is not JSON when they are not UTF-8. */
static int json_serialize_text(struct json_object *object, struct printbuf *pb, int level, int flags) {
        (void)level, (void)flags;
        struct text_buffer text = {0};
        text_json_append(&text, json_object_get_string(object), (size_t)json_object_get_string_len(object));
        printbuf_memappend(pb, text.bytes, (int)text.n);
        text_buffer_deinit(&text);
        return 0;
}

struct json_object *text_json(const void *bytes, size_t length) {
        /* a NULL of protobuf-c is an empty field */
        struct json_object *object = json_object_new_string_len(bytes ? bytes : "", (int)length);
        json_object_set_serializer(object, json_serialize_text, NULL, NULL);
        return object;
}

/* Length of what begins @s and stands on a terminal as it is */
static size_t display_plain_length(const unsigned char *s, size_t left) {
        size_t at = ascii_length(s, left, 0x7f, 0x7f);
        while (at < left && s[at] >= 0x20 && s[at] != 0x7f) {
                size_t n = utf8_length(s + at, left - at);
                bool c1 = n == 2 && s[at] == 0xc2 && s[at + 1] < 0xa0;
                if (n == 0 || c1)
                        break;
                at += n;
        }
        return at;
}

void text_display_append(struct text_buffer *out, const void *bytes, size_t length) {
        const unsigned char *s = bytes;
        while (length > 0) {
                size_t n = display_plain_length(s, length);
                if (n > 0) {
                        text_buffer_add(out, s, n);
                } else {
                        char code[8];
                        n = 1; /* the second byte of a C1 character is no beginning of another, and is escaped next */
                        text_buffer_add(out, code, (size_t)snprintf(code, sizeof code, "\\x%02x", s[0]));
                }
                s += n;
                length -= n;
        }
}

char *text_display(const void *bytes, size_t length) {
        struct text_buffer text = {0};
        text_display_append(&text, bytes, length);
        text_buffer_add(&text, "", 1);
        return text.bytes;
}

/* The character at @text, which is UTF-8. Return: bytes. *columnsp: 0 of what combines with the one before, 2 of CJK */
static size_t next_character(const char *text, size_t *columnsp) {
        const unsigned char *s = (const unsigned char *)text;
        size_t n = s[0] < 0x80 ? 1 : utf8_length(s, strlen(text));
        if (n <= 1) {
                *columnsp = 1;
                return 1;
        }
        wchar_t point = s[0] & (0xff >> (n + 1));
        for (size_t i = 1; i < n; i++)
                point = point << 6 | (s[i] & 0x3f);
        int columns = wcwidth(point);
        *columnsp = columns >= 0 ? (size_t)columns : 1; /* what the C library does not know */
        return n;
}

/* A sequence of terminal_begin()'s. No other gets here: text_display() escapes what names and files have. */
static size_t color_length(const char *text) {
        return text[0] == '\033' && text[1] == '[' ? strcspn(text, "m") + 1 : 0;
}

size_t text_width(const char *text) {
        size_t width = 0, columns;
        while (*text) {
                size_t color = color_length(text);
                if (color > 0 && text[color - 1]) {
                        text += color;
                        continue;
                }
                text += next_character(text, &columns);
                width += columns;
        }
        return width;
}

/* The longest beginning of @text that takes at most @width columns. Return: where it ends. */
static const char *skip_at_most(const char *text, size_t width) {
        size_t columns;
        while (*text) {
                size_t n = next_character(text, &columns);
                if (columns > width)
                        break;
                width -= columns;
                text += n;
        }
        return text;
}

/* The shortest that takes at least so many. */
static const char *skip_at_least(const char *text, size_t width) {
        size_t columns;
        while (*text) {
                size_t n = next_character(text, &columns);
                if (width == 0 && columns > 0)
                        break;
                width -= columns < width ? columns : width;
                text += n;
        }
        return text;
}

/* @least: columns of the end that stay if there is room for them */
static char *shorten(const char *text, size_t width, size_t least) {
        size_t have = text_width(text);
        if (width < SHORTEN_WIDTH_MIN)
                width = SHORTEN_WIDTH_MIN;
        if (have <= width)
                return memory_copy(text, strlen(text));
        size_t keep = width - strlen(SHORTEN_MARK);
        size_t tail = keep * 2 / 3;
        if (tail < least && least <= keep)
                tail = least;
        const char *head_end = skip_at_most(text, keep - tail);
        return memory_format("%.*s" SHORTEN_MARK "%s", (int)(head_end - text), text, skip_at_least(text, have - tail));
}

char *text_shorten(const char *text, size_t width) {
        return shorten(text, width, 0);
}

char *text_shorten_path(const char *path, size_t width) {
        const char *slash = strrchr(path, '/');
        return shorten(path, width, slash ? text_width(slash) : 0);
}

void text_cut(char *text, size_t width) {
        if (text_width(text) <= width)
                return;
        size_t mark = width < strlen(SHORTEN_MARK) ? width : strlen(SHORTEN_MARK);
        char *end = text + (skip_at_most(text, width - mark) - text);
        memcpy(end, SHORTEN_MARK, mark); /* what is cut off takes as many bytes at least */
        end[mark] = '\0';
}
